"""The charts of a space: how numbers represent a point.

A chart is one entry of `INTRINSIC_CHARTS`. It maps the polar pair (c, s) of a point to d
coordinates and back; see :mod:`skccvae.manifolds.functional` for the pair. Two names have no entry:
the coordinates of "ambient" are the point itself, and "natural" is one of the other charts, which
`resolve_chart` picks by the sign of the curvature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from skccvae.manifolds import functional as polar

__all__ = ["CHARTS", "INTRINSIC_CHARTS", "Chart", "resolve_chart"]


class Chart(NamedTuple):
    """Coordinates of a space of curvature K, as functions of the polar pair.

    Attributes
    ----------
    to : callable
        ``to(c, s, K)`` returns the coordinates (..., d) of the points with polar pair (c, s).
    from_ : callable
        ``from_(coords, K)`` returns the polar pair (c, s) of finite coordinates (..., d).
    check_to, check_from : callable or None
        Called with the arguments of ``to`` and ``from_``, they raise a ValueError for points that
        the chart does not cover. For such points ``to`` and ``from_`` return NaN, without a branch
        on values, so that they can be part of an exported graph. None, the default, means that the
        chart covers all points.
    """

    to: Callable[[Tensor, Tensor, float], Tensor]
    from_: Callable[[Tensor, float], tuple[Tensor, Tensor]]
    check_to: Callable[[Tensor, Tensor, float], None] | None = None
    check_from: Callable[[Tensor, float], None] | None = None


def _is_antipode(c: Tensor, s: Tensor) -> Tensor:
    """Whether a point of a sphere is the antipode of the origin."""
    return (c <= -1) | ((c < 0) & (s == 0).all(-1))


def _to_stereographic(c: Tensor, s: Tensor, K: float) -> Tensor:
    if K <= 0:
        return s / (1 + c).unsqueeze(-1)
    factor = torch.where(_is_antipode(c, s), math.nan, polar._frame_factor(c, s, K, 1) / K)
    return s * factor.unsqueeze(-1)


def _check_to_stereographic(c: Tensor, s: Tensor, K: float) -> None:
    if K > 0 and bool(_is_antipode(c, s).any()):
        raise ValueError(
            "The antipode of the origin has no stereographic coordinates, because they would be "
            "infinite. Use chart='ambient' for data that cover the whole sphere."
        )


def _from_stereographic(coords: Tensor, K: float) -> tuple[Tensor, Tensor]:
    q = 1 + K * coords.square().sum(-1)
    if K < 0:
        q = torch.where(q > 0, q, math.nan)
    return (2 - q) / q, 2 * coords / q.unsqueeze(-1)


def _check_from_stereographic(coords: Tensor, K: float) -> None:
    if bool((1 + K * coords.square().sum(-1) <= 0).any()):
        raise ValueError(
            "Stereographic coordinates must lie inside the ball of radius 1/sqrt(-curvature) = "
            f"{1 / math.sqrt(-K):g}; the largest norm here is "
            f"{float(torch.linalg.vector_norm(coords, dim=-1).max()):g}."
        )


#: The charts with d coordinates, by name.
INTRINSIC_CHARTS: dict[str, Chart] = {
    "stereographic": Chart(
        _to_stereographic, _from_stereographic, _check_to_stereographic, _check_from_stereographic
    ),
    "tangent": Chart(polar.log_origin, polar.exp_origin),
}
#: Names of the charts that every space offers.
CHARTS = ("ambient", "natural", *INTRINSIC_CHARTS)


def resolve_chart(chart: str, curvature: float) -> str:
    """Return the chart that a name stands for on a space: "ambient" or one of `INTRINSIC_CHARTS`.

    Parameters
    ----------
    chart : str
        One of `CHARTS`. ``"natural"`` stands for ``"ambient"`` if the curvature is positive, and
        for ``"tangent"`` otherwise.
    curvature : float
        Curvature of the space, of any sign.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For an unknown name.
    """
    known = ("ambient", "natural", *INTRINSIC_CHARTS)
    if chart not in known:
        raise ValueError(f"chart must be one of {', '.join(map(repr, known))}; got {chart!r}.")
    if chart == "natural":
        return "ambient" if curvature > 0 else "tangent"
    return chart
