"""Latent spaces of any constant curvature with a normal posterior and prior.

The network outputs the location as a tangent vector at the origin, because any vector of R^d is a
valid one. Training computes draws in polar form, so no chart of the space can overflow or saturate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skccvae.distributions import RiemannianNormal, WrappedNormal
from skccvae.distributions.preimages import n_preimages_for
from skccvae.kernels import accelerator
from skccvae.manifolds import ConstantCurvature, constant_curvature
from skccvae.manifolds.functional import log_origin
from skccvae.manifolds.polar import PolarSpace
from skccvae.nn.gyroplane import Gyroplanes
from skccvae.nn.latent._base import Latent, LatentStep, wind_round
from skccvae.nn.latent._flat import axis_scales
from skccvae.nn.latent._posterior_scale import PosteriorScale
from skccvae.nn.limits import (
    learned_limits,
    limited_parameters,
    limits_on_device,
    posterior_limits,
    scale_limit,
)

# Squared radius of the default prior of a hyperbolic space in any dimension. It is the value for a
# standard normal in two dimensions. With scale 1 in many dimensions, draws would lie so far out
# that the geodesics between them would all pass near the origin.
_SQUARED_RADIUS = 2.0
# The parameter of a learned curvature is K divided by this gain. Adam changes a parameter by about
# the learning rate per step, and a curvature should be able to change by about 1 within a few
# hundred steps.
CURVATURE_GAIN = 3.0


class NormalLatent(Latent):
    """Normal posterior and prior on the space of constant curvature K.

    `WrappedLatent` and `RiemannianLatent` set the distribution.

    Parameters
    ----------
    dim : int
        Intrinsic dimension d.
    curvature : float
        K, of any sign; the initial value if it is learned.
    prior_scale : float or "auto", default=1.0
        Scale of the prior, which is the same distribution at the origin. ``"auto"`` is 1 for K >= 0
        and for a learned K. For K < 0 it is at most `sqrt(2/d)`, so that draws from the prior lie
        within about the same radius in any dimension. `start_at` then gives the axes of a wrapped
        normal scales in proportion to the standard deviations of the components, within that
        radius.
    decoder_input : {"tangent", "coordinates", "gyroplane"}, default="tangent"
        Inputs of the decoder. ``"tangent"`` is the log map at the origin: d numbers that are smooth
        in K. ``"coordinates"`` gives the d + 1 ambient coordinates on a sphere of fixed curvature,
        and otherwise twice the d stereographic coordinates, which tend to those of R^d for K -> 0.
        ``"gyroplane"`` gives the signed distances to learned hyperplanes (see `Gyroplanes`).
    n_planes : int, default=128
        Number of these hyperplanes.
    learn_curvature : bool, default=False
        Whether K is a parameter. It may change its sign.
    posterior_scale : {"free", "shared"} or float, default="free"
        As for `PosteriorScale`. A number is exact if K is fixed. If K is learned, the scale is at
        most the limit of a free scale: two radii on a sphere, about four radii in a hyperbolic
        plane.

    Raises
    ------
    ValueError
        If draws from the prior leave the range of float32, or ``posterior_scale`` is above the
        limit of a free scale.
    """

    row_tensors = ("axes",)
    manifold: ConstantCurvature
    law: type[WrappedNormal | RiemannianNormal]

    def __init__(
        self,
        dim: int,
        curvature: float,
        prior_scale: float | str = 1.0,
        decoder_input: str = "tangent",
        n_planes: int = 128,
        learn_curvature: bool = False,
        posterior_scale: float | str = "free",
    ) -> None:
        # A parameter grid may hold NumPy numbers.
        dim, curvature = int(dim), float(curvature)
        super().__init__(constant_curvature(dim, curvature))
        spreads = prior_scale == "auto" and curvature < 0 and not learn_curvature
        if isinstance(prior_scale, str):
            prior_scale = min(1.0, math.sqrt(_SQUARED_RADIUS / dim)) if spreads else 1.0
        # Scales of the prior's axes, which are the units of the networks. Then `prior_scale` is 1.
        self.axes: Tensor | None
        self.register_buffer("axes", None)
        if spreads and self.law._scale_dims:
            self.axes = torch.full((dim,), prior_scale)
            prior_scale = 1.0
        self.prior_scale = prior_scale = float(prior_scale)
        self.decoder_input = decoder_input
        self.posterior_scale = PosteriorScale(posterior_scale)
        # A distribution has one scale, or one for each direction.
        self._n_scales = dim if self.law._scale_dims else 1
        self.n_params = dim + self._n_scales if self.posterior_scale.free else dim
        self.noise_dim = dim if self.law._scale_dims else dim + 1
        self.K = curvature
        self.learned = (
            nn.Parameter(torch.tensor(self.K / CURVATURE_GAIN)) if learn_curvature else None
        )
        ambient = decoder_input == "coordinates" and not learn_curvature and curvature > 0
        self.ambient_features = ambient
        self.n_features = dim + 1 if ambient else dim
        if decoder_input == "gyroplane":
            self.gyroplanes = Gyroplanes(dim, n_planes)
            self.n_features = n_planes
        limits = posterior_limits(self.K, dim, prior_scale, self._riemannian)
        self.limits = None if learn_curvature else limits
        self._check_scale(scale_limit(self.K, dim, prior_scale, self._riemannian))
        # Number of turns in the density of a wrapped normal on a sphere, from the limit on the
        # scale. It is doubled because the drawn vector itself may wind round the sphere that often.
        self.n_preimages = None
        if self.K > 0 and not learn_curvature and not self._riemannian:
            largest = max(limits.scale**-0.5, prior_scale)
            self.n_preimages = 2 * n_preimages_for(largest, dim, self.K)

    @property
    def _riemannian(self) -> bool:
        return self.law is RiemannianNormal

    def _check_scale(self, largest: float) -> None:
        value = self.posterior_scale.value
        if isinstance(value, float) and value > largest:
            raise ValueError(
                f"posterior_scale={value:g} is too large for curvature {self.K:g} and "
                f"{self.dim} dimensions; it must be at most {largest:.4g}. Use a smaller scale or "
                "a curvature closer to 0."
            )

    # --- curvature ------------------------------------------------------------------------------

    def _curvature(self) -> float | Tensor:
        return self.K if self.learned is None else self.learned * CURVATURE_GAIN

    def curvature(self) -> float:
        return self.K if self.learned is None else float(self.learned.detach()) * CURVATURE_GAIN

    def fitted_manifold(self) -> ConstantCurvature:
        return constant_curvature(self.dim, self.curvature())

    def fix_curvature(self) -> None:
        if self.learned is not None:
            self.K, self.learned = self.curvature(), None
            self.limits = learned_limits(self.K, self.dim, self.prior_scale, self._riemannian)

    def train_curvature(self, active: bool) -> None:
        if self.learned is not None:
            self.learned.requires_grad_(active)

    @property
    def batch_key(self) -> tuple | None:
        plain = self.axes is None and self.gyroplanes is None
        return self.row_key if plain else None

    @property
    def row_key(self) -> tuple | None:
        if self.learned is not None or self.posterior_scale.key is None:
            return None
        settings = (self.prior_scale, self.decoder_input, self.posterior_scale.key)
        return (type(self), self.dim, self.K, self.axes is not None, *settings)

    def history(self) -> dict[str, float]:
        return {} if self.learned is None else {"curvature": self.curvature()}

    # --- a start at principal components: coordinates in the tangent space at the origin ---------

    @property
    def n_start(self) -> int:
        return self.dim

    def start_at(self, noise_ratio: Tensor, components: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.axes is not None:
            scales = axis_scales(components)
            radius = scales.square().sum().sqrt()
            self.axes.copy_(scales * min(1 / scales.max(), math.sqrt(_SQUARED_RADIUS) / radius))
        size = self.prior_scale
        if self.K > 0:  # within the hemisphere around the origin, where the map is one to one
            half = 0.5 * math.pi / (math.sqrt(self.K) * (math.sqrt(self.dim) + 1))
            # Rows that cover a whole sphere would start folded, with one half on top of the other.
            if half < size and wind_round(components):
                return None
            size = min(size, half)
        loc = size * torch.diag((1 - noise_ratio).sqrt())
        log_scale = math.log(size) + 0.5 * noise_ratio.log()
        if not self.posterior_scale.free:
            axes = 0.0 if self.axes is None else self.axes.log()
            self.posterior_scale.start_at(log_scale + axes)
            return loc, loc.new_zeros(self.dim)
        if not self.law._scale_dims:
            log_scale = log_scale.mean(0, keepdim=True)
        weight = torch.cat([loc, loc.new_zeros(len(log_scale), self.dim)])
        return weight, torch.cat([loc.new_zeros(self.dim), log_scale])

    # --- posterior and prior ----------------------------------------------------------------------

    def _split(self, params: Tensor, K: float | Tensor) -> tuple[Tensor, Tensor]:
        """Tangent location and log-scale of each row."""
        scale = self.posterior_scale
        if scale.free:
            # The gradient of one split is one concatenation; two slices would cost twice as much.
            raw, raw_scale = params.split([self.dim, self._n_scales], dim=-1)
        else:
            raw, raw_scale = params, scale.log
        tangent, log_scale = limited_parameters(
            raw, raw_scale, K, self.dim, self.prior_scale, self._riemannian, self.limits
        )
        if self.axes is not None:  # at most 1, so that the limits hold
            tangent = tangent * self.axes
            if scale.free:
                log_scale = log_scale + self.axes.log()
        if isinstance(scale.value, float):
            log_scale = scale.log
            if isinstance(K, Tensor):
                log_scale = log_scale.clamp(max=self._log_scale_limit(K))
        if not scale.free:
            log_scale = log_scale.expand(*tangent.shape[:-1], self._n_scales)
        return tangent, log_scale

    def _log_scale_limit(self, K: Tensor) -> float | Tensor:
        """Logarithm of the largest scale at a learned curvature."""
        law = (self.dim, self.prior_scale, self._riemannian)
        if K.device.type == "cpu":
            return math.log(scale_limit(self.curvature(), *law))
        return -0.5 * limits_on_device(K.detach(), *law)[1].log()

    def _posterior_at(
        self, tangent: Tensor, log_scale: Tensor, space: ConstantCurvature | PolarSpace
    ) -> WrappedNormal | RiemannianNormal:
        scale = log_scale.exp() if self.law._scale_dims else log_scale.squeeze(-1).exp()
        return self.law.from_tangent(tangent, scale, space, validate_args=False)

    def _prior_on(self, space: ConstantCurvature | PolarSpace) -> WrappedNormal | RiemannianNormal:
        tangent = self._like.new_zeros(self.dim)
        scale = self.prior_scale if self.axes is None else self.axes
        return self.law.from_tangent(tangent, scale, space, validate_args=False)

    def posterior(self, params: Tensor) -> Distribution:
        return self._posterior_at(*self._split(params, self._curvature()), self.fitted_manifold())

    def prior(self) -> Distribution:
        return self._prior_on(self.fitted_manifold())

    # --- draws ------------------------------------------------------------------------------------

    def _draw(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decoder inputs of draws, their log q - log p, and tangent locations and log-scales."""
        K = self._curvature()
        tangent, log_scale = self._split(params, K)
        log_map = self.decoder_input == "tangent"
        fused = accelerator(self.law, tangent, noise, K)
        if fused is not None:
            zc, zs, log_ratio = fused(
                tangent, log_scale, noise, K, self.prior_scale, log_map, self.n_preimages
            )
        else:
            # In polar form a learned curvature may cross 0.
            space = PolarSpace(self.dim, K)
            z, log_q = self._posterior_at(tangent, log_scale, space).rsample_with_log_prob(noise)
            log_ratio = log_q - self._prior_on(space).log_prob(z)
            zc, zs = space.to_polar(z)
            zs = log_origin(zc, zs, K) if log_map else zs
        if self.axes is not None:
            draw = zs if log_map else log_origin(zc, zs, K)
            if fused is not None:  # it knows the prior of scale 1
                precision = self.axes.square().reciprocal()
                square, excess = draw.square(), 0.5 * (precision - 1)
                one_for_all = excess.dim() == 1  # otherwise one set of axes for each row
                part = square @ excess if one_for_all else (square * excess).sum(-1)
                log_ratio = log_ratio + part
                log_ratio = log_ratio + self.axes.log().sum(-1)
            zs = draw / self.axes if log_map else zs
        features = zs if log_map else self._features_at(zc, zs, K)
        return features, log_ratio, tangent, log_scale

    def _features_at(self, zc: Tensor, zs: Tensor, K: float | Tensor) -> Tensor:
        """Inputs of the decoder at polar pairs, unless they are the log map."""
        if self.gyroplanes is not None:
            return self.gyroplanes(zc, zs, K)
        if self.ambient_features:
            return torch.cat([(zc * self.manifold.radius_).unsqueeze(-1), zs], dim=-1)
        return 2 * zs / (1 + zc).unsqueeze(-1)

    def step(self, params: Tensor, noise: Tensor) -> LatentStep:
        features, log_ratio, tangent, _ = self._draw(params, noise)
        tangent = tangent if self.axes is None else tangent / self.axes
        return LatentStep(features, log_ratio, tangent=tangent)

    def weighted(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        features, log_ratio, _, _ = self._draw(params, noise)
        return features, -log_ratio

    def location(self, params: Tensor) -> Tensor:
        # A learned curvature is passed as a tensor, so that the limits follow its current value.
        tangent, _ = self._split(params, self._curvature())
        return self.fitted_manifold().exp0(tangent)

    def placed(
        self, params: Tensor, tangent: Tensor | None = None
    ) -> list[tuple[Tensor | None, Tensor, float | Tensor]]:
        K = self._curvature()
        if tangent is None:
            tangent, _ = self._split(params, K)
        elif self.axes is not None:
            tangent = tangent * self.axes
        return [(None, tangent, K)]

    def features(self, points: Tensor) -> Tensor:
        manifold = self.fitted_manifold()
        zc, zs = manifold.to_polar(points)
        if self.decoder_input == "tangent":
            tangent = log_origin(zc, zs, manifold.curvature)
            return tangent if self.axes is None else tangent / self.axes
        # The planes are float32 parameters, but the points may be float64.
        like = self._like
        return self._features_at(zc.to(like), zs.to(like), manifold.curvature)
