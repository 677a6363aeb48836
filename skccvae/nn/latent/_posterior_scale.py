"""The scale of a posterior: free for each row, shared by all rows, or given by the user."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# The parameter of a shared scale is its logarithm divided by this gain. Adam changes a parameter by
# about the learning rate per step, and a few hundred steps should suffice to double a scale.
_GAIN = 10.0


class PosteriorScale(nn.Module):
    """Scale of the posteriors of a latent space.

    If each row has its own scales, the geodesic distance between two locations says little: the
    same distance may be many scales in one place and a fraction of one in another. With one scale
    for all rows and directions, rows at a given distance are equally distinguishable everywhere.

    Parameters
    ----------
    value : {"free", "shared"} or float
        ``"free"``: the network outputs the scales of each row. ``"shared"``: one parameter is the
        scale for all rows. A number is that scale itself. Both are in units of the space.

    Attributes
    ----------
    value : {"free", "shared"} or float
    log : Tensor of shape ()
        Logarithm of the scale of all rows; ``"free"`` has no such attribute.

    Examples
    --------
    >>> from skccvae.nn.latent._posterior_scale import PosteriorScale
    >>> scale = PosteriorScale(0.5)
    >>> scale.free, round(scale.log.exp().item(), 6)
    (False, 0.5)
    """

    raw: Tensor

    def __init__(self, value: str | float = "free") -> None:
        super().__init__()
        self.value = value if isinstance(value, str) else float(value)
        if self.value == "shared":
            self.raw = nn.Parameter(torch.zeros(()))
        elif isinstance(self.value, float):
            # The constructor of the latent space knows the number, so it is not among the weights.
            self.register_buffer("raw", torch.tensor(math.log(self.value)), persistent=False)

    @property
    def free(self) -> bool:
        """Whether each row has its own scales."""
        return self.value == "free"

    @property
    def key(self) -> str | float | None:
        """Key for comparison with another one; None if the scale is a parameter."""
        return None if self.value == "shared" else self.value

    @property
    def log(self) -> Tensor:
        return self.raw * _GAIN if self.value == "shared" else self.raw

    @torch.no_grad()
    def start_at(self, log_scales: Tensor) -> None:
        """Start a shared scale at the mean of these logarithms."""
        if self.value == "shared":
            self.raw.copy_(log_scales.mean() / _GAIN)
