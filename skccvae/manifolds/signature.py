"""Signatures, which describe a product of spaces in one short string."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["FactorSpec", "parse_signature"]

_FACTOR = re.compile(r"([0-9]*)([esh])([0-9]+)")
_MOST_FACTORS = 1000
_EXAMPLE = "write factors with commas between them, such as 'h2,s2,e2' or '3s5,e2'"


class FactorSpec(NamedTuple):
    """One factor of a product.

    Attributes
    ----------
    kind : {"e", "s", "h"}
        Euclidean, spherical or hyperbolic.
    dim : int
        Intrinsic dimension.
    name : str
        Kind and number among the factors of its kind, such as ``"s0"``.

    Examples
    --------
    >>> from skccvae.manifolds import parse_signature
    >>> parse_signature("2s3,e2")[1]
    FactorSpec(kind='s', dim=3, name='s1')
    """

    kind: str
    dim: int
    name: str

    @property
    def sign(self) -> int:
        """Sign of the curvature."""
        return {"e": 0, "s": 1, "h": -1}[self.kind]


def parse_signature(signature: str) -> list[FactorSpec]:
    """Read a signature.

    Parameters
    ----------
    signature : str
        Factors separated by commas. Each is a letter ``e``, ``s`` or ``h`` followed by the
        intrinsic dimension, with an optional count in front.

    Returns
    -------
    list of FactorSpec
        The factors in the order of the string, with repeated factors written out.

    Raises
    ------
    TypeError, ValueError
        If it is not a string, or is malformed. The message shows a valid signature.

    Examples
    --------
    >>> from skccvae.manifolds import parse_signature
    >>> [(f.name, f.dim) for f in parse_signature("2s5,e2")]
    [('s0', 5), ('s1', 5), ('e0', 2)]
    """
    if not isinstance(signature, str):
        raise TypeError(f"signature must be a string; got {signature!r}: {_EXAMPLE}.")
    factors: list[FactorSpec] = []
    counts = {"e": 0, "s": 0, "h": 0}
    for part in signature.lower().split(","):
        part = part.strip()
        match = _FACTOR.fullmatch(part)
        if match is None:
            raise ValueError(f"Malformed signature {signature!r} at {part!r}: {_EXAMPLE}.")
        count, kind, dim = int(match[1] or 1), match[2], int(match[3])
        if count < 1 or dim < 1:
            raise ValueError(
                f"Counts and dimensions in a signature must be at least 1; got {part!r} in "
                f"{signature!r}: {_EXAMPLE}."
            )
        if len(factors) + count > _MOST_FACTORS:
            raise ValueError(
                f"signature {signature!r} asks for more than {_MOST_FACTORS} factors: {_EXAMPLE}."
            )
        for _ in range(count):
            factors.append(FactorSpec(kind, dim, f"{kind}{counts[kind]}"))
            counts[kind] += 1
    return factors
