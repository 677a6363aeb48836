"""Repeatable noise that belongs to a row and not to its place in a batch.

Scoring draws random numbers, yet a user expects the score of a row to be the same whichever rows
stand beside it. Sharing one set of draws among all rows would do that too, but it correlates the
errors of the rows, so that a mean over many rows stays noisy. Here each row's content is hashed
to a key, and a counter-based generator turns key, stream and counter into numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift_right(x: Tensor, bits: int) -> Tensor:
    # torch shifts signed integers arithmetically; the mask makes the shift a logical one.
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
    """Hash of each row's content.

    Parameters
    ----------
    x : Tensor of shape (n, p), float32
        Rows.
    seed : int, default=0
        Other seeds give unrelated keys.

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
    # Adding 0.0 maps -0.0 to 0.0, which compares equal and must hash the same.
    bits = (x.float() + 0.0).contiguous().view(torch.int32).to(torch.int64)
    columns = torch.arange(1, x.shape[1] + 1, device=x.device) * _GOLDEN
    return _mix(_mix(bits + columns).sum(-1) + _mix(torch.as_tensor(seed, device=x.device)))


def uniform_noise(keys: Tensor, n_numbers: int, stream: int = 0) -> Tensor:
    """Uniform numbers in (0, 1) for each key.

    Parameters
    ----------
    keys : Tensor of shape (n,), int64
        From `row_keys`.
    n_numbers : int
        Numbers a key.
    stream : int, default=0
        Other streams give unrelated numbers.

    Returns
    -------
    Tensor of shape (n, n_numbers), float64
        Never 0 or 1.
    """
    counters = torch.arange(1, n_numbers + 1, device=keys.device) * _GOLDEN
    offset = (stream * _MIX_1 + 2**63) % 2**64 - 2**63  # wrapped, as int64 arithmetic would
    start = _mix(keys + offset)
    bits = _shift_right(_mix(start[:, None] + counters), 11)
    return (bits.double() + 0.5) * 2.0**-53


def normal_noise(
    keys: Tensor, n_samples: int, dim: int, dtype: torch.dtype, stream: int = 1
) -> Tensor:
    """Standard normal numbers for each key.

    Parameters
    ----------
    keys : Tensor of shape (n,), int64
        From `row_keys`.
    n_samples, dim : int
        Draws a row, numbers a draw.
    dtype : torch.dtype
        Of the result.
    stream : int, default=1
        Other streams give unrelated numbers.

    Returns
    -------
    Tensor of shape (n_samples, n, dim)
        Noise as the latent spaces take it.
    """
    uniform = uniform_noise(keys, n_samples * dim, stream)
    normal = torch.special.ndtri(uniform).to(dtype)
    return normal.reshape(keys.shape[0], n_samples, dim).transpose(0, 1)
