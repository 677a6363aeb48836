"""Products of spaces of constant curvature, described by one string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from skccvae._sklearn import StrOptions
from skccvae.estimators._base import BaseVAETransformer
from skccvae.estimators._parameters import COORDINATES, POSITIVE, parameter, with_parameters
from skccvae.manifolds import FactorSpec, Product, parse_signature
from skccvae.nn import NORMAL_LATENTS, UNIFORM_LATENTS, EuclideanLatent, Latent, ProductLatent

_UNIT = {"e": 0.0, "s": 1.0, "h": -1.0}
_SPACE = {"e": "Euclidean (0)", "s": "spherical (positive)", "h": "hyperbolic (negative)"}
# Families that a factor of each kind may have, the default first.
_FAMILIES = {
    "e": ("normal",),
    "s": (*UNIFORM_LATENTS, *NORMAL_LATENTS),
    "h": tuple(NORMAL_LATENTS),
}
_LEARNED_FAMILIES = tuple(NORMAL_LATENTS)


@with_parameters
class MixedCurvatureVAETransformer(BaseVAETransformer):
    """Variational autoencoder whose latent space is a product of spaces of constant curvature.

    Posteriors and priors of the factors are independent. Their KL divergences add up, and
    ``history_`` and `evaluate` also report each one. A large sphere has a single concentration for
    all its directions. A product of small spheres has one for each sphere [2]_.

    Parameters
    ----------
    signature : str, default="h2,s2,e2"
        Factors separated by commas: ``e``, ``s`` or ``h`` for Euclidean, spherical or hyperbolic,
        followed by the intrinsic dimension. A number before the letter repeats the factor, as in
        ``"3s5,e2"``.
    curvature : "unit", float or array-like of shape (n_factors,), default="unit"
        Curvature of each factor. ``"unit"`` takes 1 on spheres, 0 on Euclidean factors and -1 on
        hyperbolic ones. A number is the absolute value ``|K|`` for all curved factors. A list has
        one signed number for each factor, with repeated factors written out. A learned curvature
        starts from this value.
    learn_curvature : bool, default=False
        Whether the curvature of each factor is trained by gradient. A factor, even a Euclidean one,
        may then change the sign of its curvature. Spheres then have normal posteriors, because with
        a uniform prior the curvature has no gradient of its own.
    posterior : {"auto", "wrapped_normal"} or dict, default="auto"
        Family of each factor. ``"auto"`` is von Mises-Fisher with the uniform prior on spheres of
        fixed curvature, the normal on Euclidean factors, and the wrapped normal elsewhere.
        ``"wrapped_normal"`` takes the wrapped normal for the spheres too. A dict names families by
        the letter of the factors, as in ``{"s": "projected_normal"}``. For ``s`` the names are
        those of `SphericalVAETransformer`, for ``h`` those of `HyperbolicVAETransformer`, and for
        ``e`` there is only ``"normal"``. If the curvature is learned, every letter may have
        ``"wrapped_normal"`` or ``"riemannian_normal"``. A letter without an entry keeps its
        default. An entry for a letter that the signature lacks has no effect.
    prior_scale : float, default=1.0
        Scale of the normal priors.
    coordinates : {"ambient", "natural", "stereographic", "tangent"}, default="natural"
        Chart of the latent points. The coordinates of the factors stand side by side. ``"natural"``
        suits linear models best: where the curvature is positive it gives ambient coordinates, d +
        1 numbers without a cut, and elsewhere the d numbers of the log map at the origin. With a
        learned curvature the fitted sign decides, so the number of columns may depend on the data.
        The tangent chart always has d columns for each factor.
    {shared_parameters}

    Attributes
    ----------
    posterior_ : list of str
        Family of each factor, such as ``"normal"`` or ``"von_mises_fisher"``.
    {shared_attributes}

    See Also
    --------
    ConstantCurvatureVAETransformer : One space of any curvature.

    References
    ----------
    .. [1] O. Skopek, O.-E. Ganea and G. Bécigneul, "Mixed-curvature variational autoencoders",
       ICLR 2020.
    .. [2] T. R. Davidson, J. M. Tomczak and E. Gavves, "Increasing expressivity of a hyperspherical
       VAE", NeurIPS workshop on Bayesian deep learning, 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skccvae import MixedCurvatureVAETransformer
    >>> X = load_digits().data / 16
    >>> vae = MixedCurvatureVAETransformer("2s2,h2,e1", max_epochs=2, random_state=0).fit(X)
    >>> vae.get_feature_names_out().tolist()  # three numbers on a sphere, d on other factors
    ['s0_0', 's0_1', 's0_2', 's1_0', 's1_1', 's1_2', 'h0_0', 'h0_1', 'e0_0']
    >>> vae.curvature_
    [1.0, 1.0, -1.0, 0.0]
    """

    signature: str = parameter(default="h2,s2,e2", allowed=[str], shapes_model=True, kw_only=False)
    curvature: str | float | Sequence[float] = parameter(
        default="unit", allowed=[StrOptions({"unit"}), POSITIVE, "array-like"], shapes_model=True
    )
    learn_curvature: bool = parameter(default=False, allowed=["boolean"], shapes_model=True)
    posterior: str | dict[str, str] = parameter(
        default="auto",
        allowed=[StrOptions({"auto", "wrapped_normal"}), dict],
        hint="A dict names a family for the factors of a letter, as in {'s': 'projected_normal'}.",
        shapes_model=True,
    )
    prior_scale: float = parameter(default=1.0, allowed=[POSITIVE], shapes_model=True)
    coordinates: str = parameter(default="natural", allowed=[COORDINATES])

    def _make_latent(self):
        specs = parse_signature(self.signature)
        curvatures = self._factor_curvatures(specs)
        families = self._families()
        self.posterior_ = [families[spec.kind] for spec in specs]
        factors = [
            self._factor(spec, K, families[spec.kind])
            for spec, K in zip(specs, curvatures, strict=True)
        ]
        return ProductLatent(factors, [spec.name for spec in specs])

    def _families(self) -> dict[str, str]:
        """Family of the factors of each letter."""
        allowed = _FAMILIES
        if self.learn_curvature:
            allowed = dict.fromkeys(_FAMILIES, _LEARNED_FAMILIES)
        families = {letter: names[0] for letter, names in allowed.items()}
        if not isinstance(self.posterior, Mapping):
            return families if self.posterior == "auto" else {**families, "s": str(self.posterior)}
        for letter, family in self.posterior.items():
            if letter not in allowed:
                raise ValueError(
                    f"posterior names a family for {letter!r}; a factor has the letter 'e', 's' "
                    "or 'h', as in posterior={'s': 'projected_normal'}."
                )
            if family not in allowed[letter]:
                learned = " with a learned curvature" if self.learn_curvature else ""
                raise ValueError(
                    f"posterior={{{letter!r}: {family!r}}} is not one of the families of the "
                    f"factors {letter!r}{learned}; choose from {list(allowed[letter])}."
                )
            families[letter] = str(family)
        return families

    def _factor(self, spec: FactorSpec, curvature: float, family: str) -> Latent:
        scale = self.posterior_scale
        if family in UNIFORM_LATENTS:
            return UNIFORM_LATENTS[family](spec.dim, curvature, posterior_scale=scale)
        if family == "normal":
            return EuclideanLatent(spec.dim, self.prior_scale, posterior_scale=scale)
        # A fixed sphere's ambient coordinates have no cut at the antipode.
        ambient = spec.kind == "s" and not self.learn_curvature
        return NORMAL_LATENTS[family](
            spec.dim,
            curvature,
            self.prior_scale,
            decoder_input="coordinates" if ambient else "tangent",
            learn_curvature=self.learn_curvature,
            posterior_scale=scale,
        )

    def _factor_curvatures(self, specs: Sequence[FactorSpec]) -> list[float]:
        value = self.curvature
        if isinstance(value, str):
            return [_UNIT[spec.kind] for spec in specs]
        if isinstance(value, Real):
            return [float(value) * spec.sign for spec in specs]
        unit = ", ".join(f"{_UNIT[spec.kind]:g}" for spec in specs)
        values = np.asarray(value, dtype=np.float64).ravel()
        if len(values) != len(specs):
            raise ValueError(
                f"curvature has {len(values)} entries for the {len(specs)} factors of signature="
                f"{self.signature!r}. Give one for each factor, repeats included, such as [{unit}]."
            )
        for number, (spec, K) in enumerate(zip(specs, values, strict=True)):
            if not np.isfinite(K) or np.sign(K) != spec.sign:
                raise ValueError(
                    f"curvature[{number}]={K:g} does not suit factor {spec.name}, which is "
                    f"{_SPACE[spec.kind]}; a valid example is [{unit}]."
                )
        return [float(K) for K in values]

    def get_feature_names_out(self, input_features=None):
        """Names of the latent coordinates: factor and coordinate, such as ``s0_1``.

        Each factor has as many names as coordinates in the chart ``coordinates``. In the default
        chart these are d + 1 on a sphere of d dimensions, and d on other factors.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against the names of X. The result does not depend on it.

        Returns
        -------
        ndarray of str objects
            One name for each column of the output of `transform`.
        """
        super().get_feature_names_out(input_features)  # checks them, and that self is fitted
        assert isinstance(self.manifold_, Product)
        names = [
            f"{name}_{number}"
            for name, factor in zip(
                self.net_.module_.latent.factor_names, self.manifold_.factors, strict=True
            )
            for number in range(factor.chart_dim(self.coordinates))
        ]
        return np.asarray(names, dtype=object)
