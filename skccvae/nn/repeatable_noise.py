"""Repeatable noise that depends on the content of a row, not on its position in a batch.

Scoring draws random numbers, but a user expects the same score for a row whatever other rows are in
the batch. All rows could share one set of draws, but that would correlate their errors, and a mean
over many rows would stay noisy. Instead, the content of each row is hashed to a key, and a
counter-based generator maps key, stream and counter to numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The constants of SplitMix64, as signed 64-bit integers.
_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift_right(x: Tensor, bits: int) -> Tensor:
    # torch shifts signed integers arithmetically; the mask turns that into a logical shift.
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """Finaliser of SplitMix64 on int64 with wrap-around.

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def row_keys(x: Tensor, seed: int = 0) -> Tensor:
    """Hash the content of each row.

    Parameters
    ----------
    x : Tensor of shape (n, p), float32
        Rows.
    seed : int, default=0
        Different seeds give unrelated keys.

    Returns
    -------
    Tensor of shape (n,), int64
        Equal rows have equal keys.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import row_keys
    >>> keys = row_keys(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    # Adding 0.0 maps -0.0 to 0.0: they compare equal, so they must have the same hash.
    bits = (x.float() + 0.0).contiguous().view(torch.int32).to(torch.int64)
    columns = torch.arange(1, x.shape[1] + 1, device=x.device) * _GOLDEN
    return _mix(_mix(bits + columns).sum(-1) + _mix(torch.as_tensor(seed, device=x.device)))


def uniform_noise(keys: Tensor, n_numbers: int, stream: int = 0, first: int = 0) -> Tensor:
    """Uniform numbers in (0, 1) for each key.

    Parameters
    ----------
    keys : Tensor of shape (n,), int64
        From `row_keys`.
    n_numbers : int
        Number of values per key.
    stream : int, default=0
        Different streams give unrelated numbers.
    first : int, default=0
        Position in the stream at which to begin. The result consists of the last ``n_numbers`` of
        ``first + n_numbers`` numbers.

    Returns
    -------
    Tensor of shape (n, n_numbers), float64
        Never 0 or 1.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import row_keys, uniform_noise
    >>> keys = row_keys(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> noise = uniform_noise(keys, 5)
    >>> noise.shape, bool((noise[0] == noise[2]).all())
    (torch.Size([3, 5]), True)
    """
    counters = torch.arange(first + 1, first + n_numbers + 1, device=keys.device) * _GOLDEN
    offset = (stream * _MIX_1 + 2**63) % 2**64 - 2**63  # wrapped, as int64 arithmetic would
    start = _mix(keys + offset)
    bits = _shift_right(_mix(start[:, None] + counters), 11)
    return (bits.double() + 0.5) * 2.0**-53


def normal_noise(
    keys: Tensor, n_samples: int, dim: int, dtype: torch.dtype, stream: int = 1, first: int = 0
) -> Tensor:
    """Standard normal numbers for each key.

    Parameters
    ----------
    keys : Tensor of shape (n,), int64
        From `row_keys`.
    n_samples, dim : int
        Number of draws per row, and of values per draw.
    dtype : torch.dtype
        Dtype of the result.
    stream : int, default=1
        Different streams give unrelated numbers.
    first : int, default=0
        Number of the first draw.

    Returns
    -------
    Tensor of shape (n_samples, n, dim)
        Noise in the shape that `Latent.step` expects.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import normal_noise, row_keys
    >>> keys = row_keys(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> normal_noise(keys, n_samples=4, dim=3, dtype=torch.float32).shape
    torch.Size([4, 2, 3])
    """
    uniform = uniform_noise(keys, n_samples * dim, stream, first * dim)
    normal = torch.special.ndtri(uniform).to(dtype)
    return normal.reshape(keys.shape[0], n_samples, dim).transpose(0, 1)
