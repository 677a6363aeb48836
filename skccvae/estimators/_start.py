"""The start of ``init="pca"``: components, posterior widths, first decoder and noise."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from skccvae.estimators._low_rank import fill_low_rank
from skccvae.nn import (
    CategoricalLikelihood,
    Likelihood,
    MixedLikelihood,
    SkipDecoder,
    SkipEncoder,
)
from skccvae.nn.networks import ZeroColumns
from skccvae.training import RowSource
from skccvae.vae import VAE

# Rows that the decomposition looks at, and numbers (not rows) where rows are wide.
_ROWS, _NUMBERS = 10_000, 10**7
# Numbers that are read at once.
_PART = 2**20
# Bounds of the share of noise in a component: below, a posterior is too narrow to be moved; above,
# a code would start with no gradient.
_SMALLEST_RATIO, _LARGEST_RATIO = 1e-3, 0.95
# Each component takes this many rows: fewer would fit it to their noise.
_ROWS_PER_COMPONENT = 3


def rows_looked_at(width: int) -> int:
    """How many rows of a given width the PCA start looks at, if there are that many."""
    return min(_ROWS, max(_NUMBERS // width, 256))


def start_rows(
    index: np.ndarray, p: int, seed: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """The rows that the PCA start looks at, in ascending order.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Indices of rows of X.
    p : int
        Number of columns.
    seed : int
        Seed of the choice.
    weights : ndarray, optional
        Weight of every row of X. A row is then repeated as often as its weight says, rounded up or
        down at random. The k rows are drawn by systematic sampling, where k is the number of rows
        without weights.

    Returns
    -------
    ndarray of int, shape (k,)

    References
    ----------
    Madow, "On the theory of systematic sampling, II", Annals of Mathematical Statistics 1949.
    """
    most = min(len(index), rows_looked_at(p))
    if weights is not None:
        # So nothing that reads these rows, such as a user's likelihood, needs to know about
        # weights.
        ends = weights[index].cumsum()
        places = (np.arange(most) + np.random.default_rng(seed).random()) / most
        return index[np.searchsorted(ends / ends[-1], places)]
    if most == len(index):
        return index
    return np.sort(np.random.default_rng(seed).choice(index, most, replace=False))


def read_rows(source: RowSource, index: np.ndarray) -> Tensor:
    """Rows in model units, read in parts so that pages of a memory map can be released."""
    p = source.X.shape[1]
    x = torch.empty(len(index), p, dtype=torch.float32)
    for part in np.array_split(np.arange(len(index)), math.ceil(len(index) * p / _PART)):
        x[part] = source.rows(index[part])
    return x


def sparse_inputs(
    source: RowSource,
    index: np.ndarray,
    likelihood: Likelihood,
    seed: int,
    weights: np.ndarray | None = None,
) -> sp.csr_array | None:
    """Encoder inputs as a sparse matrix, for more rows than memory holds in dense form.

    The decomposition then uses all rows. For 4000 rows of simulated texts with 20 000 words (78 in
    a row), all of them instead of 500 took logistic regression on the first codes from .41 to .47
    (Bernoulli) and from .62 to .63 (Poisson), and after four epochs from .48 to .50 and from .64 to
    .63.

    Parameters
    ----------
    source : RowSource
        Rows in model units.
    index : ndarray of int
        The rows that the PCA start may look at.
    likelihood : Likelihood
        The likelihood of the model.
    seed : int
        Seed of the choice.
    weights : ndarray, optional
        Weight of every row, as in `start_rows`.

    Returns
    -------
    csr_array or None
        None if the rows, or the encoder's inputs for them, are not sparse, or if a dense start
        looks at as many rows.
    """
    X = source.X
    if not sp.issparse(X) or source.scaling.center is not None:
        return None
    n, p = X.shape
    rows = start_rows(index, math.ceil(X.nnz / n) or 1, seed, weights)
    if len(rows) <= len(start_rows(index, p, seed)):
        return None
    if likelihood.encoder_inputs(torch.zeros(1, p)).any():
        return None
    parts = np.array_split(rows, math.ceil(len(rows) * p / _NUMBERS))
    return sp.csr_array(
        sp.vstack([sp.csr_array(likelihood.encoder_inputs(source.rows(i)).numpy()) for i in parts])
    )


def _skip(model: VAE) -> SkipDecoder | None:
    """The decoder that `decoder_network` has made, unless it is part of a user's own network."""
    decoder: object = model.decoder
    if isinstance(decoder, torch.nn.Sequential) and isinstance(decoder[-1], ZeroColumns):
        decoder = decoder[0]
    return decoder if isinstance(decoder, SkipDecoder) else None


@torch.no_grad()
def start_at_pca(
    model: VAE, x: Tensor, seed: int, inputs: np.ndarray | sp.csr_array | None = None
) -> bool:
    """Start the linear paths of a model at the principal components of rows.

    Parameters
    ----------
    model : VAE
        A model whose encoder is a `SkipEncoder`, and whose decoder may hold a `SkipDecoder`.
    x : Tensor of shape (n, p)
        Rows in model units.
    seed : int
        Seed of a randomised decomposition and of draws.
    inputs : {ndarray, sparse} of shape (m, n_inputs), optional
        What the encoder reads of the rows to decompose. By default these are the rows of x.

    Returns
    -------
    bool
        Whether encoder and decoder both start there.
    """
    encoder = model.encoder
    assert isinstance(encoder, SkipEncoder)
    wanted_of, known = x, 1.0
    if model.missing:
        filled, wanted_of, known = _filled(model, encoder, x, seed)
        inputs = filled.numpy()
    elif inputs is None:
        inputs = model.likelihood.encoder_inputs(x).numpy()
    reads = inputs
    if not sp.issparse(inputs):
        reads = model.likelihood.noise_units(torch.from_numpy(inputs)).numpy()
    axes, offset, ratio, components = _decompose(reads, encoder.n_components, seed, known)
    axes = model.likelihood.noise_units(axes)
    start = model.latent.start_at(ratio, components)
    if start is None:
        return False
    weight, bias = start
    encoder.set_components(axes, offset)
    if encoder.n_mask:
        columns = model.likelihood.input_columns()
        encoder.read_missing_as(torch.from_numpy(inputs.mean(0)), columns)
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
    solution = _regression(features[:, : skip.n_linear].double(), wanted.double())
    skip.set_affine(solution[:-1].T, solution[-1])
    # Few rows leave small residuals because the regression has adapted to them.
    share = min((encoder.n_components + 1) / (known * len(x)), 1.0)
    model.likelihood.start_noise(model.decode(features), x, share)
    return True


def _filled(model: VAE, encoder: SkipEncoder, x: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
    """Rows with holes filled in, as encoder inputs and in model units, and the observed share.

    This is the share of the values that were observed.
    """
    missing = x.isnan()
    inputs = model.likelihood.encoder_inputs(x).double()
    inputs = inputs.masked_fill(missing[:, model.likelihood.input_columns()], math.nan)
    k = _n_axes(inputs.shape[0], inputs.shape[1], encoder.n_components)
    inputs = torch.from_numpy(fill_low_rank(inputs.numpy(), k, seed)).float()
    rows = torch.where(missing, _rows_of(model.likelihood, x, inputs, k, seed), x)
    return inputs, rows, max(1.0 - float(missing.double().mean()), 1e-3)


def _rows_of(likelihood: Likelihood, x: Tensor, inputs: Tensor, k: int, seed: int) -> Tensor:
    """Rows with holes filled in, in model units, given inputs that are filled in already."""
    if isinstance(likelihood, MixedLikelihood):
        given = zip(likelihood.blocks(x), likelihood.inputs_of_parts(inputs), strict=True)
        parts = zip(likelihood.likelihoods(), given, strict=True)
        return likelihood.joined([_rows_of(part, *both, k, seed) for part, both in parts])
    if isinstance(likelihood, CategoricalLikelihood):
        return likelihood.levels_of_inputs(inputs)
    k = min(k, x.shape[1]) if likelihood.n_inputs == x.shape[1] else 0
    plain = fill_low_rank(x.double().numpy(), k, seed)
    return torch.from_numpy(plain).float().clamp(*likelihood.support)


def _n_axes(n: int, p: int, m: int) -> int:
    """How many of m components can be estimated from n rows of p numbers."""
    return min(m, n // _ROWS_PER_COMPONENT, p)


def _decompose(
    inputs: np.ndarray | sp.csr_array, m: int, seed: int, known: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Axes and offset of standardised components, and m of them for `Latent.start_at`.

    There may be fewer axes than m, because each needs several rows and data may lack directions.
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
    components[:, : len(axes)] = torch.from_numpy(inputs @ axes.T - axes @ pca.mean_)
    # Values that are filled in lie on the axes: the noise around them was left out.
    ratio[: len(axes)] = torch.from_numpy(pca.noise_variance_ / variance / known)
    ratio.clamp_(_SMALLEST_RATIO, _LARGEST_RATIO)
    axes = axes / np.sqrt(variance)[:, None]
    return torch.from_numpy(axes), torch.from_numpy(-axes @ pca.mean_), ratio, components


def _regression(features: Tensor, wanted: Tensor) -> Tensor:
    """Ridge regression with intercept, shape (f + 1, o).

    The ridge is for features of deficient rank, such as distances to many hyperplanes. float32
    rounds them to 1e-7, and along directions of that size a solution would be noise.
    """
    A = torch.cat([features, torch.ones_like(features[:, :1])], dim=-1)
    gram = A.T @ A
    gram.diagonal()[:-1].add_(1e-4 * gram.diagonal().mean())
    return torch.linalg.solve(gram, A.T @ wanted)
