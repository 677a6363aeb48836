"""The model of an estimator: building it, putting it into a net, reading it after training."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import nn

from skccvae.estimators._attributes import FittedAttributes
from skccvae.estimators._blocks import mixed_likelihood
from skccvae.estimators._budget import budget
from skccvae.estimators._distances import row_distances
from skccvae.estimators._molecules import n_observed
from skccvae.estimators._networks import decoder_network, encoder_network, hidden_sizes
from skccvae.estimators._precision import resolve_precision
from skccvae.estimators._shared_parameters import SharedParameters
from skccvae.molecules import MolecularGraph
from skccvae.nn import Likelihood, likelihood_class
from skccvae.nn.networks import ZeroColumns
from skccvae.training import NegativeELBO, RandomStream
from skccvae.training.adam import Adam
from skccvae.vae import VAE

# The parameters that may hold the user's own code as parts of the model.
_PARTS = ("encoder", "decoder", "likelihood", "posterior")


class ModelMixin(SharedParameters, FittedAttributes):
    """From parameters to a net, and from a trained net to fitted attributes."""

    def _make_latent(self):
        raise TypeError(f"{type(self).__name__} does not define a latent space.")

    def _likelihood_class(self, reset: bool) -> type[Likelihood]:
        """Class of the likelihood that the parameter asks for, or that of the fitted model."""
        return likelihood_class(self.likelihood) if reset else type(self.net_.module_.likelihood)

    def _takes_nan(self, reset: bool) -> bool:
        """Whether NaN stands for a value that was not observed."""
        missing = self.missing if reset else self._structure["missing"]
        return missing == "mask" or self._likelihood_class(reset).allow_nan

    def _stream(self, seed: int, device: Any = "cpu", own_data: bool = False) -> RandomStream:
        """Random numbers, lent to torch's global generators where the user's code may draw."""
        return RandomStream(seed, device, lends=self._has_own_parts() or own_data)

    def _has_own_parts(self) -> bool:
        """Whether the model has parts from outside this package, such as the user's networks."""
        parts = [getattr(self, name, "") for name in _PARTS]
        if isinstance(self.likelihood, list | tuple):
            parts[_PARTS.index("likelihood")] = ""
            parts += [kind for kind, _ in self.likelihood]
        return not all(isinstance(part, str | dict | MolecularGraph) for part in parts)

    def _may_pack(self) -> bool:
        """Whether the parameters let the model train with others; `pack_key` has the last word."""
        alone = self.early_stopping or self.callbacks or self.verbose or self._has_own_parts()
        alone = alone or self.precision == "bfloat16"  # rounded weights belong to one model
        return not alone and self.encoder == self.decoder == "mlp"

    def _build_module(self, kind: type[Likelihood], n_features: int) -> VAE:
        """The untrained model, on the CPU."""
        latent = self._make_latent()
        n_features = n_observed(self.encoder, n_features)
        scale, columns = self._input.units.scale, self._input.columns
        if columns is None:
            likelihood = kind(n_features, None if scale is None else torch.from_numpy(scale))
        else:
            likelihood = mixed_likelihood(columns, self.likelihood)
        sizes, shape = hidden_sizes(self.hidden_layer_sizes), self._input.image_shape
        n_start = latent.n_start if self.init == "pca" else 0
        masks = self.missing == "mask"
        encoder = encoder_network(
            self.encoder, likelihood, sizes, self.activation, shape, n_start, masks
        )
        decoder = decoder_network(
            self.decoder, latent, likelihood.n_outputs, sizes, self.activation, shape, n_start > 0
        )
        constant = self._input.units.constant
        if constant is not None and constant.any():
            # `torch.tensor` follows the device of the context, which is "meta" when a file is read.
            zeros = likelihood.outputs_of_columns(torch.tensor(constant))
            if zeros is not None:
                # The density of a constant column is then one around what `inverse_transform`
                # returns.
                decoder = nn.Sequential(decoder, ZeroColumns(zeros))
        predictor = None if self._targets is None else self._targets.head(latent.n_features)
        return VAE(
            encoder,
            latent,
            decoder,
            likelihood,
            predictor,
            self.supervised_weight,
            self.distance_weight,
            row_distances(self.distance_metric, self._input.units),
            missing=masks,
        )

    def _shape_parameters(self) -> dict[str, Any]:
        """The parameters that the model is built from, as they are now."""
        names = [f.name for f in fields(self) if f.metadata["shapes_model"]]
        return {name: _own_copy(getattr(self, name)) for name in names}

    def _first_decoder_width(self) -> int:
        """Width of the first hidden layer of the decoder, which hyperplanes may replace."""
        sizes = hidden_sizes(self.hidden_layer_sizes)
        return sizes[-1] if sizes and isinstance(self.decoder, str) else 128

    def _new_net(self, module: VAE) -> None:
        """Put a module into a net, and record what the module was built from."""
        from skccvae.training import VAENet  # imports skorch too

        self.net_ = VAENet(
            module,
            NegativeELBO,
            **self._net_settings(),
            optimizer=Adam,
            train_split=None,
            device=self.device_,
            verbose=0,
        )
        self.net_.initialize()
        self._structure = self._shape_parameters()

    def _net_settings(self) -> dict[str, Any]:
        """Settings of the net that follow the parameters, at first and before each training."""
        named = {
            f.metadata["net"]: getattr(self, f.name) for f in fields(self) if f.metadata["net"]
        }
        # The number of rows is known when training begins.
        plan = vars(self).get("_budget") or budget(
            1, self.batch_size, self.max_epochs, self.kl_warmup_epochs, needs_warmup=False
        )
        chosen = {
            "batch_size": plan.batch_size,
            "max_epochs": plan.epochs,
            "criterion__warmup_epochs": plan.warmup_epochs,
            "precision": "float32",
        }
        if "net_" in vars(self):
            chosen["precision"] = resolve_precision(
                self.precision, self.net_.module_, self.device_, plan.batch_size
            )
        return {name: chosen[name] if v == "auto" else v for name, v in named.items()}

    def _update_fitted(self) -> None:
        """Set the attributes that are read from the net."""
        latent = self.net_.module_.latent
        self.manifold_ = latent.fitted_manifold()
        self.curvature_ = latent.curvature()

    @property
    def _n_features_out(self) -> int:
        return self.manifold_.chart_dim(self.coordinates)


def _own_copy(value: Any) -> Any:
    """A copy of what the user may change in place, and anything else as it is."""
    return copy.copy(value) if isinstance(value, list | dict | np.ndarray) else value
