"""A fitted estimator as two torch modules, for torch.export and ONNX.

They compute what `transform` and `inverse_transform` compute, from the user's units to the user's
units. Their graphs read no value on the host, so one graph serves any rows. Where the methods raise
an error about a row, the modules turn that row into NaN.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skccvae.estimators._model import ModelMixin
from skccvae.estimators._molecules import molecular_graph
from skccvae.manifolds import Manifold, inside_the_ball
from skccvae.manifolds.charts import resolve_chart
from skccvae.training import RowScaling, own_modes
from skccvae.training.batches import rounding
from skccvae.vae import VAE


class ExportMixin(ModelMixin):
    """`to_torch`, for deployment without the estimator."""

    @own_modes(grad=True)
    def to_torch(self) -> tuple[nn.Module, nn.Module]:
        """Return encoder and decoder as torch modules, with scaling, chart and likelihood included.

        Returns
        -------
        encoder : torch.nn.Module
            Maps rows (n, p) in the units of X to latent coordinates (n, n_outputs) in the chart
            named by ``coordinates``, in float32, as `transform` does. It takes images (n, ...) too.
        decoder : torch.nn.Module
            Maps latent coordinates (n, n_outputs) to the mean of p(x | z) in float32, in the units
            and the shape of the X that `fit` was given, as `inverse_transform` does.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If X was molecules, which are text or objects and not tensors.
        ValueError
            If the levels of a categorical column are not the numbers 0, 1, 2, ...

        Notes
        -----
        The modules are copies on the CPU, in evaluation mode, and their parameters require no
        gradient. Move them with ``.to(device)``. Further training of the estimator does not change
        them. A learned curvature becomes a constant, with the value that it has at the time of the
        call.

        Both agree with the methods up to rounding, about 1e-6 of a number, and take any number of
        rows. The division by a column's scale, the last layer of the encoder and the ambient points
        are computed in float64, as in the methods, so do not convert the modules with ``.half()``.

        With ``missing="mask"``, NaN is a value that was not observed, as in `transform`. The
        encoder then contains a decoder as well, which fills the row in so that it can be encoded
        again.

        A graph cannot raise an error about a value. A row of X that contains infinity, or NaN where
        there are no missing values, becomes a row of NaN. So do latent points that do not
        exist in the chart: the zero vector on a sphere, a vector outside the cone over a
        hyperboloid, and coordinates on or outside the ball. Check the result for NaN.

        Your own networks, likelihoods and latent spaces run in the modules as they are.
        `torch.export.export` accepts them if their code does not branch on values.

        Examples
        --------
        >>> import numpy as np
        >>> import torch
        >>> from skccvae import HyperbolicVAETransformer
        >>> X = np.random.default_rng(0).normal(5, 2, size=(100, 4)).astype(np.float32)
        >>> vae = HyperbolicVAETransformer(max_epochs=2, random_state=0).fit(X)
        >>> encoder, decoder = vae.to_torch()
        >>> Z = encoder(torch.from_numpy(X))
        >>> np.allclose(Z, vae.transform(X), atol=1e-5)
        True
        >>> np.allclose(decoder(Z), vae.inverse_transform(Z), atol=1e-5)
        True

        One graph for any number of rows:

        >>> rows = torch.export.Dim("rows")
        >>> graph = torch.export.export(encoder, (Z.new_zeros(2, 4),), dynamic_shapes=({0: rows},))
        >>> bool(torch.allclose(graph.module()(torch.from_numpy(X)), Z, atol=1e-5))
        True
        """
        check_is_fitted(self)
        if molecular_graph(self._structure["encoder"]) is not None:
            raise TypeError(
                "to_torch makes modules that read rows of numbers, but this estimator reads "
                "molecules. Fit one with encoder='mlp' on "
                "skccvae.molecules.FingerprintTransformer().fit_transform(smiles), and use its "
                "to_torch on such rows."
            )
        columns = self._input.columns
        if columns is not None and (strange := columns.not_coded()):
            raise ValueError(
                f"to_torch makes modules that read numbers, but column {strange[0]} of X has "
                "levels that are not 0, 1, 2, ... Encode the categorical columns first, with "
                "sklearn.preprocessing.OrdinalEncoder for example, and fit to their codes."
            )
        # The same module twice: each of the pair drops what it does not need.
        models = [_frozen_copy(self.net_.module_) for _ in range(2)]
        manifold, chart, spec = self.manifold_, self.coordinates, self._input
        pair = (
            LatentEncoder(models[0], spec.units, manifold, chart, spec.sample_shape),
            LatentDecoder(models[1], spec.units, manifold, chart, spec.sample_shape),
        )
        return pair[0].eval().requires_grad_(False), pair[1].eval().requires_grad_(False)


def _frozen_copy(model: VAE) -> VAE:
    """A copy on the CPU that no training changes, and whose curvature is a number."""
    frozen = copy.deepcopy(model).cpu()
    frozen.latent.fix_curvature()
    frozen.predictor = None
    return frozen


class ModelUnits(nn.Module):
    """Rows in the user's units to model units: `RowScaling.apply` for tensors, without branches.

    Parameters
    ----------
    units : RowScaling
        The scaling to apply.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, units: RowScaling) -> None:
        super().__init__()
        self.divisor, self.threshold = units.divisor, units.threshold
        self.period, self.support = units.period, units.support
        self.centred = units.center is not None
        if self.centred:
            self.register_buffer("center", torch.tensor(units.center))
            self.register_buffer("scale", torch.tensor(units.scale))

    def forward(self, rows: Tensor) -> Tensor:
        if self.centred:
            rows = (rows.double() - self.center) / self.scale
        elif self.divisor != 1.0:
            rows = rows.float() / self.divisor
        if self.period is not None:
            rows = torch.fmod(rows.double(), self.period)
            turn = (rows.abs() > self.period / 2) * rows.sign()
            rows = rows - self.period * turn
        if self.threshold is not None:
            rows = rows > self.threshold
        rows = rows.float()
        if self.support is None:
            return rows
        inside = rows.clamp(*self.support)
        near = (rows - inside).abs() <= 2 * rounding(np.dtype(np.float32), self.support)
        return torch.where(near, inside, rows)


class UserUnits(nn.Module):
    """Rows in model units to the user's units: `RowScaling.invert` for tensors.

    Parameters
    ----------
    units : RowScaling
        The scaling to undo.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, units: RowScaling) -> None:
        super().__init__()
        self.divisor, self.centred = units.divisor, units.center is not None
        self.dtype = torch.float64 if units.dtype is np.float64 else torch.float32
        if self.centred:
            scale = torch.tensor(units.scale)
            if units.constant is not None:
                scale[torch.tensor(units.constant)] = 0.0  # its mean, whatever the model says
            self.register_buffer("center", torch.tensor(units.center))
            self.register_buffer("scale", scale)

    def forward(self, rows: Tensor) -> Tensor:
        if self.centred:
            return (rows.double() * self.scale + self.center).to(self.dtype)
        return rows * self.divisor if self.divisor != 1.0 else rows


class LatentEncoder(nn.Module):
    """Rows to latent coordinates, the first module of `to_torch`.

    Parameters
    ----------
    model : VAE
        The fitted model, with a fixed curvature. The encoder takes ownership of it.
    units : RowScaling
        The scaling from the user's units to those of the model.
    manifold : Manifold
        The latent space.
    coordinates : str
        Chart of the result.
    sample_shape : tuple of int or None
        Shape of one row, if it is not flat.
    """

    def __init__(
        self,
        model: VAE,
        units: RowScaling,
        manifold: Manifold,
        coordinates: str,
        sample_shape: tuple[int, ...] | None,
    ) -> None:
        super().__init__()
        self.row_shape = tuple(sample_shape or (model.likelihood.n_features,))
        if not model.missing:
            del model.decoder  # only rows with holes need it
        self.units, self.model = ModelUnits(units), model
        self.manifold, self.coordinates = manifold, coordinates
        self.allow_nan = type(model.likelihood).allow_nan or model.missing

    def forward(self, X: Tensor) -> Tensor:
        if tuple(X.shape[1:]) not in (self.row_shape, (math.prod(self.row_shape),)):
            wanted = ", ".join(map(str, self.row_shape))
            raise ValueError(
                f"Rows must have the shape (n, {wanted}), as in `fit`; got {tuple(X.shape)}."
            )
        rows = X.flatten(1)
        x = self._in_model_units(rows)
        points = self._location(x)
        if self.model.missing:
            points = self._location(self.model.filled_at(points, x))
        Z = self.manifold.to_chart(points, self.coordinates, check=False)
        if self.coordinates == "stereographic":
            Z = inside_the_ball(self.manifold, Z)
        # Not left to the networks: the largest of 0 and NaN is 0 in some runtimes.
        return torch.where(_readable(rows, self.allow_nan), Z, math.nan)

    def _in_model_units(self, rows: Tensor) -> Tensor:
        if not self.model.missing:
            return self.units(rows)
        # Thresholds and bounds do not keep NaN, or not in all runtimes.
        missing = rows.isnan()
        return torch.where(missing, math.nan, self.units(torch.where(missing, 0.0, rows)))

    def _location(self, x: Tensor) -> Tensor:
        # Float32 from here on: runtimes have few functions for float64.
        return self.model.latent.location(self.model.encode_in_double(x).float())


class LatentDecoder(nn.Module):
    """Latent coordinates to rows, the second module of `to_torch`.

    Parameters
    ----------
    model : VAE
        The fitted model, with a fixed curvature. The decoder takes ownership of it.
    units : RowScaling
        The scaling from the user's units to those of the model.
    manifold : Manifold
        The latent space.
    coordinates : str
        Chart of the latent points.
    sample_shape : tuple of int or None
        Shape of one sample, if samples are not rows.
    """

    def __init__(
        self,
        model: VAE,
        units: RowScaling,
        manifold: Manifold,
        coordinates: str,
        sample_shape: tuple[int, ...] | None,
    ) -> None:
        super().__init__()
        del model.encoder, model.head
        self.units, self.model = UserUnits(units), model
        self.manifold, self.coordinates = manifold, coordinates
        self.sample_shape = sample_shape

    def forward(self, Z: Tensor) -> Tensor:
        features = self.model.latent.features(self._points(Z))
        mean = self.model.likelihood.mean(self.model.decode(features))
        covered = _readable(features, False) & _readable(Z, False)
        X = torch.where(covered, self.units(mean), math.nan)
        return X if self.sample_shape is None else X.unflatten(1, self.sample_shape)

    def _points(self, Z: Tensor) -> Tensor:
        """Ambient points, float32."""
        parts = zip(self.manifold.factors, self.manifold.split(Z, self.coordinates), strict=True)
        points = []
        for factor, part in parts:
            # Near the rim of the ball or the cone digits cancel. The exponential map has functions
            # that runtimes know for float32 only, and cancels nothing.
            exact = resolve_chart(self.coordinates, factor.curvature) != "tangent"
            part = part.double() if exact else part.float()
            points.append(factor.from_chart(part, self.coordinates, check=False).float())
        return torch.cat(points, dim=-1)


def _readable(rows: Tensor, allow_nan: bool) -> Tensor:
    """Whether all numbers of each row are finite or allowed to be missing, shape (n, 1)."""
    size = torch.where(rows.isnan(), 0.0, rows) if allow_nan else rows
    return (size.abs() < math.inf).all(-1, keepdim=True)
