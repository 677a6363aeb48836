"""A first decoder layer in curved space: signed distances to geodesic hyperplanes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skccvae.kernels import accelerator
from skccvae.special import cos_k, sin_k
from skccvae.special.smooth_limit import limit_size
from skccvae.special.stumpff import arcsin_root

__all__ = ["Gyroplanes"]

#: Largest offset of a plane in curvature radii. float32 does not resolve larger ones.
LARGEST_OFFSET = 20.0
#: At a pole of a plane K x^2 = 1 and the arcsine has an infinite slope. The code treats K x^2
#: within this margin of 1 as the pole.
POLE_MARGIN = 2e-6
# Below this K x^2 the arcsine is a logarithm.
_FAR = -1e30
#: Lower bound of a gain. A gain of 0 has no direction; a plane with this gain contributes nothing.
SMALLEST_GAIN = 1e-6


class Gyroplanes(nn.Module):
    r"""Signed geodesic distances of points to learned hyperplanes, one formula for every K.

    The plane with unit direction w and offset b is the totally geodesic hyperplane orthogonal to
    the geodesic from the origin along w, at signed distance b. Its signed distance delta to a point
    with polar pair (c, s) satisfies

    .. math:: \sin_K \delta = \cos_K(b) \langle w, s \rangle - \sin_K(b)\, c.

    At K = 0 this is the affine map ``delta = <w, s> - b``. The layer returns delta times a learned
    gain, just as a linear layer returns the distance times the norm of its weights.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d.
    n_planes : int
        Number of hyperplanes, which is the width of the output.

    References
    ----------
    Ganea, Bécigneul and Hofmann, "Hyperbolic neural networks", NeurIPS 2018, theorem 5; Mathieu et
    al., "Continuous hierarchical representations with Poincaré variational auto-encoders", NeurIPS
    2019, section 3.2. They work in the Poincaré ball; the polar form used here does not saturate.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import Gyroplanes
    >>> layer = Gyroplanes(2, 3)
    >>> c, s = torch.ones(4), torch.randn(4, 2)
    >>> flat = s @ layer.weight.T + layer.bias
    >>> bool(torch.allclose(layer(c, s, 0.0), flat, atol=1e-6))
    True
    """

    def __init__(self, dim: int, n_planes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, n_planes)

    @property
    def weight(self) -> Tensor:
        """Unit directions times gains, shape (n_planes, d)."""
        return self.linear.weight

    @property
    def bias(self) -> Tensor:
        """Minus gain times offset of each plane, shape (n_planes,)."""
        return self.linear.bias

    def forward(self, c: Tensor, s: Tensor, K: float | Tensor) -> Tensor:
        """Compute gain times signed distance to each plane.

        Parameters
        ----------
        c : Tensor of shape (...)
        s : Tensor of shape (..., d)
            Polar pair of the points.
        K : float or Tensor of shape ()
            Curvature.

        Returns
        -------
        Tensor of shape (..., n_planes)
        """
        fused = accelerator("hyperplanes", s, curvature=K)
        if fused is not None:
            return fused(
                c, s, self.weight, self.bias, K, LARGEST_OFFSET, POLE_MARGIN, SMALLEST_GAIN
            )
        if not isinstance(K, Tensor) and K == 0:
            return self.linear(s)
        gain = torch.linalg.vector_norm(self.weight, dim=-1).clamp_min(SMALLEST_GAIN)
        negative = K.clamp(max=0.0) if isinstance(K, Tensor) else min(K, 0.0)
        offset = limit_size(-self.bias / gain, negative * -(LARGEST_OFFSET**-2))
        sine, cosine = sin_k(offset, K), cos_k(offset, K)
        x = (s @ self.weight.T) * (cosine / gain) - c.unsqueeze(-1) * sine
        return gain * _arcsine(x, K)


def _arcsine(x: Tensor, K: float | Tensor) -> Tensor:
    """Inverse of sin_K on its middle branch, smooth in K through 0.

    The distance to a plane is not smooth at a pole of the plane, where K x^2 = 1 and the slope of
    the arcsine is infinite. Close to a pole the ratio of angle to sine is held constant.
    """
    t = K * x * x
    near = t > _FAR
    # The square of a sinh may overflow. Unselected branches must be finite, for their gradients.
    middle = x * arcsin_root(torch.where(near, t, 0.0).clamp(max=1 - POLE_MARGIN))
    root = (-K).clamp(min=1e-12).sqrt() if isinstance(K, Tensor) else max(-K, 1e-12) ** 0.5
    return torch.where(near, middle, torch.asinh(torch.where(near, 0.0, x) * root) / root)
