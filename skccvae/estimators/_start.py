"""A start at PCA: components, posterior widths, a first decoder and its noise, from some rows."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from skccvae.estimators._low_rank import fill_low_rank
from skccvae.nn import SkipDecoder, SkipEncoder
from skccvae.nn.networks import ZeroColumns
from skccvae.vae import VAE

# Rows that the decomposition looks at, and numbers (not rows) where rows are wide.
_ROWS, _NUMBERS = 10_000, 10**7
# Bounds of the share of noise in a component: below, a posterior is too narrow to be moved; above,
# a code would start with no gradient.
_SMALLEST_RATIO, _LARGEST_RATIO = 1e-3, 0.95
# Each component takes this many rows: fewer would fit it to their noise.
_ROWS_PER_COMPONENT = 3


def start_rows(index: np.ndarray, p: int, seed: int) -> np.ndarray:
    """Those of some rows that a start looks at, in ascending order."""
    most = min(len(index), _ROWS, max(_NUMBERS // p, 256))
    if most == len(index):
        return index
    return np.sort(np.random.default_rng(seed).choice(index, most, replace=False))


def _skip(model: VAE) -> SkipDecoder | None:
    """The decoder that `decoder_network` has made, and no part of a user's own."""
    decoder: object = model.decoder
    if isinstance(decoder, torch.nn.Sequential) and isinstance(decoder[-1], ZeroColumns):
        decoder = decoder[0]
    return decoder if isinstance(decoder, SkipDecoder) else None


@torch.no_grad()
def start_at_pca(model: VAE, x: Tensor, seed: int) -> bool:
    """Start the linear paths of a model at the principal components of rows.

    Parameters
    ----------
    model : VAE
        With `SkipEncoder` as encoder, and a decoder that may hold a `SkipDecoder`.
    x : Tensor of shape (n, p)
        Rows in model units.
    seed : int
        Seed of a randomised decomposition and of draws.

    Returns
    -------
    bool
        Whether encoder and decoder both start there.
    """
    encoder = model.encoder
    assert isinstance(encoder, SkipEncoder)
    inputs, wanted_of, known = model.likelihood.encoder_inputs(x), x, 1.0
    if model.missing:
        inputs, wanted_of, known = _filled(model, encoder, x, seed)
    axes, offset, ratio, components = _decompose(inputs.numpy(), encoder.n_components, seed, known)
    start = model.latent.start_at(ratio, components)
    if start is None:
        return False
    weight, bias = start
    encoder.set_components(axes, offset)
    if encoder.n_mask:
        encoder.read_missing_as(inputs.mean(0))
    model.head.weight.zero_()
    first = model.head.in_features - encoder.n_linear
    model.head.weight[:, first : first + encoder.n_components] = weight
    model.head.bias.copy_(bias)
    skip = _skip(model)
    wanted = model.likelihood.start_outputs(wanted_of)
    if skip is None or wanted is None:
        return False
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(x), model.latent.noise_dim, generator=generator, dtype=torch.float32)
    features = model.latent.step(model.encode(x), noise).features
    solution = _regression(features.double(), wanted.double())
    skip.set_affine(solution[:-1].T, solution[-1])
    # Few rows leave small residuals because the regression has adapted to them.
    share = min((encoder.n_components + 1) / (known * len(x)), 1.0)
    model.likelihood.start_noise(model.decode(features), x, share)
    return True


def _filled(model: VAE, encoder: SkipEncoder, x: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
    """Rows with holes filled in, as the encoder reads them and in model units, and what was known.

    The last is the share of the values that were observed.
    """
    missing, n_inputs = x.isnan(), model.likelihood.n_inputs
    inputs = model.likelihood.encoder_inputs(x).double()
    inputs = inputs.masked_fill(missing.repeat(1, n_inputs // x.shape[1]), math.nan)
    k = _n_axes(inputs.shape[0], inputs.shape[1], encoder.n_components)
    inputs = torch.from_numpy(fill_low_rank(inputs.numpy(), k, seed)).float()
    plain = fill_low_rank(x.double().numpy(), 0 if n_inputs > x.shape[1] else k, seed)
    rows = torch.where(missing, torch.from_numpy(plain).float().clamp(*model.likelihood.support), x)
    return inputs, rows, max(1.0 - float(missing.double().mean()), 1e-3)


def _n_axes(n: int, p: int, m: int) -> int:
    """How many of m components n rows of p numbers have."""
    return min(m, n // _ROWS_PER_COMPONENT, p)


def _decompose(
    inputs: np.ndarray, m: int, seed: int, known: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Axes and offset of standardised components, and what `Latent.start_at` reads of m of them.

    There may be fewer axes than m: each takes some rows, and data may lack directions.
    """
    n, p = inputs.shape
    ratio = torch.full((m,), _LARGEST_RATIO, dtype=torch.float32)
    components = ratio.new_zeros(n, m)
    k = _n_axes(n, p, m)
    if k < 1:
        return ratio.new_zeros(0, p), ratio.new_zeros(0), ratio, components
    with np.errstate(invalid="ignore"):  # shares of a variance of 0
        pca = PCA(k, random_state=seed % 2**32).fit(inputs.astype(np.float64))
    variance = pca.explained_variance_
    kept = variance > 1e-10 * max(variance[0], 1e-300)
    axes, variance = pca.components_[kept], variance[kept]
    # Not `pca.transform`, which makes frames where scikit-learn is configured to.
    components[:, : len(axes)] = torch.from_numpy((inputs - pca.mean_) @ axes.T)
    # Values that are filled in lie on the axes: the noise around them was left out.
    ratio[: len(axes)] = torch.from_numpy(pca.noise_variance_ / variance / known)
    ratio.clamp_(_SMALLEST_RATIO, _LARGEST_RATIO)
    axes = axes / np.sqrt(variance)[:, None]
    return torch.from_numpy(axes), torch.from_numpy(-axes @ pca.mean_), ratio, components


def _regression(features: Tensor, wanted: Tensor) -> Tensor:
    """Ridge regression with intercept, shape (f + 1, o).

    The ridge is for features without rank, such as distances to many hyperplanes. float32 rounds
    them to 1e-7, and along directions as small as that a solution would be noise.
    """
    A = torch.cat([features, torch.ones_like(features[:, :1])], dim=-1)
    gram = A.T @ A
    gram.diagonal()[:-1].add_(1e-4 * gram.diagonal().mean())
    return torch.linalg.solve(gram, A.T @ wanted)
