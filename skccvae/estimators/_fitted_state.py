"""A fitted model as arrays, numbers and text: the form in which files and pickles hold it.

The net itself is not stored. Its weights are arrays, and it is rebuilt from the parameters that
shaped it. This is not possible for the user's own networks, likelihoods and latent spaces, which
may hold anything, so a pickle holds the trained module as an object in that case.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, get_type_hints

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skccvae.estimators._attributes import SavedAttributes
from skccvae.estimators._device import resolve_device
from skccvae.estimators._model import ModelMixin
from skccvae.estimators._saved_values import Unpacker, pack
from skccvae.nn import Likelihood, MixedLikelihood, likelihood_class
from skccvae.training import RandomStream, own_modes
from skccvae.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from skccvae.vae import VAE

# First parts of the names of tensors. No other name has a dot.
WEIGHTS, AVERAGES = "module.", "optimizer."
# What is made from the model and from the attributes that are kept.
_MADE = frozenset(
    "net_ manifold_ curvature_ n_features_in_ feature_names_in_ _structure _named_encoder".split()
)


class FittedStateMixin(ModelMixin, BaseEstimator):
    """From a fitted estimator to arrays and text, and back."""

    def _attributes(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """What `fit` has decided, in the form of JSON. Arrays go to ``tensors``."""
        hints = get_type_hints(SavedAttributes)
        return {name: pack(getattr(self, name), hints[name], name, tensors) for name in hints}

    def _weights(self) -> dict[str, Tensor]:
        state = self.net_.module_.state_dict()
        if strange := [name for name, value in state.items() if not isinstance(value, Tensor)]:
            raise TypeError(f"save cannot store {strange[0]}, which is not a tensor; use pickle.")
        return {f"{WEIGHTS}{name}": value.detach().cpu() for name, value in state.items()}

    def _averages(self) -> dict[str, Tensor]:
        found = optimizer_tensors(self.net_.optimizer_, self.net_.module_)
        return {f"{AVERAGES}{name}": value.cpu() for name, value in found.items()}

    def _set_attributes(self, saved: Any, unpacker: Unpacker) -> None:
        hints = get_type_hints(SavedAttributes)
        if not isinstance(saved, dict) or set(saved) != set(hints):
            raise ValueError(f"its attributes must be {sorted(hints)}; got {reprlib.repr(saved)}.")
        for name, hint in hints.items():
            setattr(self, name, unpacker.typed(saved[name], hint, name))

    def _likelihood_of_fit(self) -> type[Likelihood]:
        """Class of ``likelihood_``, which must agree with the parameter ``likelihood``."""
        chosen = isinstance(self.likelihood, str) and self.likelihood == "auto"
        if chosen and self._input.columns is not None:
            kind: type[Likelihood] = MixedLikelihood
        else:
            kind = likelihood_class(self.likelihood_ if chosen else self.likelihood)
        if kind.name != self.likelihood_:
            raise ValueError(f"likelihood_ must be {kind.name!r}; got {self.likelihood_!r}.")
        return kind

    def _module_of(self, weights: Mapping[str, Tensor]) -> VAE:
        """The model that the parameters describe, with these weights, on the CPU."""
        # Numbers that the weights replace need not be drawn, except by the user's own code.
        with RandomStream(0).building(draws=self._has_own_parts()):
            module = self._build_module(self._likelihood_of_fit(), self._input.n_columns).float()
        module.load_state_dict({n.removeprefix(WEIGHTS): t for n, t in weights.items()})
        return module

    def _put_together(self, module: VAE, device: Any, history: list, averages: Any) -> None:
        """Set everything that is made from the model and the attributes."""
        self._input.give_back_to(self)
        self.device_ = str(device)
        self._new_net(module)
        self.net_.rest()
        self.net_.history = history
        if averages:
            named = {name.removeprefix(AVERAGES): tensor for name, tensor in averages.items()}
            load_optimizer_tensors(self.net_.optimizer_, self.net_.module_, named)
        self._update_fitted()

    # --- copies and pickles ---------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "net_" not in state:
            return state
        tensors: dict[str, Tensor] = {}
        fitted: dict[str, Any] = {
            "attributes": self._attributes(tensors),
            "history": self.net_.history.to_list(),
            # The parameters that shaped the model, where they have changed since.
            "structure": {n: v for n, v in self._structure.items() if getattr(self, n) is not v},
        }
        if self._as_built()._has_own_parts():
            fitted["module"] = self.net_.module_on_cpu()
        else:
            tensors |= self._weights()
        tensors |= self._averages()
        fitted["arrays"] = {name: tensor.numpy() for name, tensor in tensors.items()}
        done = _MADE | fitted["attributes"].keys()
        state = {n: v for n, v in state.items() if n not in done}
        return {**state, "_fitted": fitted}

    @own_modes()
    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        fitted = state.pop("_fitted", None)
        super().__setstate__(state)
        if fitted is None:
            return
        tensors = {name: _tensor(array) for name, array in fitted["arrays"].items()}
        self._set_attributes(fitted["attributes"], Unpacker(tensors, {}))
        self._structure = {**self._shape_parameters(), **fitted["structure"]}
        structure = self._structure
        weights = {n: t for n, t in tensors.items() if n.startswith(WEIGHTS)}
        averages = {n: t for n, t in tensors.items() if n.startswith(AVERAGES)}
        module = fitted["module"] if "module" in fitted else self._as_built()._module_of(weights)
        try:
            device = resolve_device(self.device_)
        except ValueError:  # the device of another machine
            device = torch.device("cpu")
        self._put_together(module, device, fitted["history"], averages)
        self._structure = structure

    def _as_built(self) -> Any:
        """The estimator with the parameters that shaped the model."""
        built = object.__new__(type(self))
        built.__dict__ = {**vars(self), **self._structure}
        return built


def _tensor(array: np.ndarray) -> Tensor:
    """Tensor of an array that may be read-only, such as one that joblib maps from a file."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
