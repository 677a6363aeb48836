"""Decoded images on a grid in a two-dimensional latent space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from skccvae.manifolds import ConstantCurvature, Manifold, Product, constant_curvature
from skccvae.plotting import _maps as maps
from skccvae.plotting._grid_layout import check_n_tiles, layout
from skccvae.plotting._images import as_images, find_image_shape, to_unit, value_range
from skccvae.plotting._model import ambient_points, decode, find_model
from skccvae.plotting._panels import natural_map, title_of
from skccvae.plotting._style import make_axes, merge_style, require_pyplot

Array = NDArray[np.float64]


class ManifoldGridDisplay:
    """Decoded images ("tiles"), placed according to the geometry of the latent space.

    In the plane, tiles are at equal steps of probability under the prior. On the sphere, they tile
    Hammer's equal-area map, so that each represents the same area. In the Poincaré disk, they lie
    on circles around the origin at equal geodesic steps, with as many on each circle as fit. All of
    these have the same size in the hyperbolic metric, so they look smaller near the edge.

    Use :meth:`from_estimator` to make a display from a fitted model.

    Parameters
    ----------
    tiles : array-like of shape (n_tiles, H, W) or (n_tiles, H, W, 3)
        Decoded images.
    places : array-like of shape (n_tiles, 2)
        Centres of the tiles on the map.
    sizes : array-like of shape (n_tiles,)
        Heights of the tiles on the map.
    space : ConstantCurvature
        Two-dimensional space that the map shows.
    scales : tuple of float, default=(1.0, 1.0)
        Scales of the prior along the two axes of a plane, for the labels of the axes.
    title : str, default=None
        Title of the plot. The default names the map and the curvature.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    Raises
    ------
    ValueError
        If the arrays have different lengths or the space is not two-dimensional.

    See Also
    --------
    LatentDisplay : Embedded rows on the same maps.

    Notes
    -----
    The plane's grid is that of Kingma and Welling (2014), "Auto-encoding variational Bayes",
    figure 4.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from skccvae.manifolds import Hyperbolic
    >>> from skccvae.plotting import ManifoldGridDisplay
    >>> tiles = np.random.default_rng(0).random((2, 8, 8))
    >>> grid = ManifoldGridDisplay(tiles, [[0, 0], [0.5, 0]], [0.3, 0.2], Hyperbolic(2)).plot()
    >>> len(grid.ax_.images)
    2
    """

    def __init__(
        self,
        tiles: ArrayLike,
        places: ArrayLike,
        sizes: ArrayLike,
        space: ConstantCurvature,
        scales: tuple[float, float] = (1.0, 1.0),
        title: str | None = None,
    ) -> None:
        self.tiles = np.asarray(tiles, dtype=np.float64)
        self.places = np.asarray(places, dtype=np.float64)
        self.sizes = np.asarray(sizes, dtype=np.float64)
        n = len(self.tiles)
        if self.tiles.ndim not in (3, 4) or self.places.shape != (n, 2) or self.sizes.shape != (n,):
            raise ValueError(
                "Expected n tiles (n, H, W) or (n, H, W, 3), places (n, 2) and sizes (n,); got "
                f"shapes {self.tiles.shape}, {self.places.shape} and {self.sizes.shape}."
            )
        if not isinstance(space, ConstantCurvature) or space.dim != 2:
            raise ValueError(f"space must be two-dimensional; got {space!r}.")
        self.space, self.scales = space, scales
        self.title = _title(space) if title is None else title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n_tiles: int | None = None,
        radius: float | None = None,
        dims: tuple[int, int] | None = None,
        factor: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> ManifoldGridDisplay:
        """Decode a grid of latent points and draw the images.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer of skccvae, a Pipeline with one as a step, or a fitted search over
            either. Steps before the transformer need an ``inverse_transform``, and later steps are
            not used.
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), default=None
            Rows as in ``fit``. For a sphere, the map is rotated as :class:`LatentDisplay` rotates
            it for these rows, so that positions on both plots agree. Other maps ignore X.
        n_tiles : int, default=None
            Number of tiles across the map of a plane (default 15) or sphere (default 24), or number
            of circles of tiles in the disk (default 5).
        radius : float, default=None
            Largest distance of a tile from the origin of the disk. The default is 2.45 times the
            scale of the prior, the radius that contains 95 % of a normal in the tangent plane, but
            at most 3.5 radii of curvature, because tiles farther out would be too small to see.
        dims : tuple of two int, default=None
            For a space of more than two dimensions: the two directions that span the plane (great
            sphere, hyperbolic plane) through the origin to show.
        factor : int, default=None
            For a product: index of the factor to show. The other factors stay at their origin.
        image_shape : tuple of int, default=None
            Shape of one image. The default is the shape of the samples in ``fit``. If that is
            unknown, it is the ``image_shape`` of the estimator, and otherwise a square.
        ax : matplotlib Axes, default=None
            Axes to draw on. The default is a new figure.
        **kwargs : dict
            Other arguments of :meth:`plot`.

        Returns
        -------
        ManifoldGridDisplay

        Raises
        ------
        ValueError
            If the space is a product and factor is None, or has more than two dimensions and dims
            is None, or has only one dimension; if rows cannot be reshaped to images; if radius is
            given for a space without a disk or is not positive.
        TypeError
            If there is no transformer of skccvae in the estimator, or a step before it has no
            ``inverse_transform``.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.datasets import load_digits
        >>> from skccvae import GaussianVAETransformer
        >>> from skccvae.plotting import ManifoldGridDisplay
        >>> X = load_digits().images[:200] / 16
        >>> vae = GaussianVAETransformer(2, max_epochs=1, random_state=0).fit(X)
        >>> ManifoldGridDisplay.from_estimator(vae, n_tiles=4).tiles.shape
        (16, 8, 8)
        """
        vae, transformer = find_model(estimator)
        manifold = vae.manifold_
        whole, index = _chosen_factor(manifold, factor)
        directions = _directions(whole, dims)
        plane = constant_curvature(2, whole.curvature)
        n = check_n_tiles(plane, n_tiles)
        shown_map = natural_map(plane)
        if radius is not None and (shown_map != "disk" or not 0 < radius < math.inf):
            raise ValueError(
                f"radius must be a positive distance in a hyperbolic plane; got {radius!r} for "
                f"{plane!r}."
            )
        scales = _prior_scales(vae, index, directions)
        points, places, sizes = layout(plane, n, radius, scales)
        if X is not None and shown_map == "hammer":
            points = points @ torch.from_numpy(_map_rotation(estimator, X, whole, index, dims))

        # Embed the plane in the whole space; other directions and factors are at the origin.
        ambient = manifold.origin(dtype=torch.float64).repeat(len(points), 1)
        start = _first_column(manifold, index)
        extra = plane.ambient_dim - plane.dim  # 1 if the first ambient coordinate is no direction
        if extra:
            ambient[:, start] = points[:, 0]
        for column, direction in enumerate(directions):
            ambient[:, start + extra + direction] = points[:, extra + column]
        Z = manifold.to_chart(ambient, vae.coordinates).numpy()
        decoded = decode(transformer, Z)
        if image_shape is None and decoded.ndim == 2:
            image_shape = getattr(vae, "image_shape", None)
        shape = find_image_shape(decoded[0].size, decoded.shape[1:], image_shape)
        title = _title(whole, directions)
        if len(manifold.factors) > 1:
            title += f"\nfactor {index} of {len(manifold.factors)}"
        display = cls(as_images(decoded, shape), places, sizes, plane, scales, title)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, cmap: str = "gray", **kwargs: Any) -> ManifoldGridDisplay:
        """Draw the tiles.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. The default is a new figure.
        cmap : str, default="gray"
            Colour map for grey-scale images.
        **kwargs : dict
            Passed to ``imshow``.

        Returns
        -------
        ManifoldGridDisplay
            The display itself.
        """
        require_pyplot()
        from matplotlib.image import AxesImage

        name = natural_map(self.space)
        size = (8.0, 4.2) if name == "hammer" else (6.4, 6.6)
        self.figure_, (self.ax_,) = make_axes(ax, 1, panel_size=size)
        ax = self.ax_
        low, high = value_range(self.tiles)
        shown = to_unit(self.tiles, low, high)
        height, width = self.tiles.shape[1:3]
        style = {"cmap": cmap, "vmin": 0, "vmax": 1, "interpolation": "antialiased", "zorder": 2}
        style = merge_style(style, kwargs, AxesImage)
        halves = np.column_stack([self.sizes * min(1, width / height), self.sizes])
        halves = halves / 2 * min(1, height / width) ** np.array([0, 1])
        edges = (self.places - halves, self.places + halves)
        outline = self._map_outline()
        for tile, (left, bottom), (right, top) in zip(shown, *edges, strict=True):
            image = ax.imshow(tile, extent=(left, right, bottom, top), **style)
            if outline is not None:
                image.set_clip_path(outline)
        if name == "plane":
            self._quantile_axes(edges)
        elif name == "hammer":
            maps.draw_hammer_outline(ax)
        else:
            reach = float(np.abs(np.concatenate(edges)).max())
            maps.draw_disk_grid(ax, 1.0 if reach > 0.5 else 1.05 * reach, self.space, labels=False)
        ax.set_title(self.title, fontsize=13)
        return self

    def _map_outline(self) -> Any:
        """Ellipse that clips the tiles of a sphere, or None."""
        from matplotlib.patches import Ellipse

        if natural_map(self.space) != "hammer":
            return None
        wide, high = maps.HAMMER_AXES
        return Ellipse((0, 0), 2 * wide, 2 * high, transform=self.ax_.transData)

    def _quantile_axes(self, edges: tuple[Array, Array]) -> None:
        """Put ticks at round latent coordinates, which are unevenly spaced on the axes."""
        low, high = edges[0].min(axis=0), edges[1].max(axis=0)
        self.ax_.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        ticks = np.array([-2, -1, -0.5, 0, 0.5, 1, 2])
        for axis, scale in zip((self.ax_.xaxis, self.ax_.yaxis), self.scales, strict=True):
            names = [f"{tick * scale:.2g}".replace("-", "\N{MINUS SIGN}") for tick in ticks]
            axis.set_ticks(norm.cdf(ticks), names, fontsize=11)
        self.ax_.set_xlabel("first latent coordinate", fontsize=12)
        self.ax_.set_ylabel("second latent coordinate", fontsize=12)
        self.ax_.spines[:].set_visible(False)


def _title(space: ConstantCurvature, dims: tuple[int, int] | None = None) -> str:
    title = title_of(
        space, {0: "plane", 1: "hammer", -1: "disk"}[int(np.sign(space.curvature))], dims
    )
    return title.replace("Plane", "Plane (equal steps of probability)")


def _chosen_factor(manifold: Manifold, factor: int | None) -> tuple[ConstantCurvature, int]:
    """The factor to show and its index. A space that is not a product is its own only factor."""
    if not isinstance(manifold, Product):
        if factor is not None:
            raise ValueError(f"factor is for products; {manifold!r} is not one.")
        return manifold.factors[0], 0
    n = len(manifold.factors)
    if factor is None or factor not in range(n):
        raise ValueError(
            f"{manifold!r} is a product, so factor must say which factor to show: factor=0, ..., "
            f"{n - 1}. Got {factor!r}."
        )
    return manifold.factors[factor], factor


def _first_column(manifold: Manifold, index: int) -> int:
    """First ambient column of a factor."""
    return sum(factor.ambient_dim for factor in manifold.factors[:index])


def _map_rotation(
    estimator: Any, X: Any, whole: ConstantCurvature, index: int, dims: tuple[int, int] | None
) -> Array:
    """The rotation (3, 3) of a sphere that `LatentDisplay` uses for the same rows."""
    start = _first_column(find_model(estimator)[0].manifold_, index)
    rows = ambient_points(estimator, X)[:, start : start + whole.ambient_dim]
    plane, points = maps.two_dimensional(whole, rows, dims)
    return maps.centring_rotation(points / plane.radius_)


def _directions(space: ConstantCurvature, dims: tuple[int, int] | None) -> tuple[int, int]:
    if dims is not None:
        return maps.check_dims(dims, space.dim)
    if space.dim != 2:
        raise ValueError(
            f"A grid of tiles shows two dimensions, but {space!r} has {space.dim}. "
            + (
                "Pass dims=(i, j) for a plane through its origin along two directions."
                if space.dim > 2
                else "Fit a model with n_components=2."
            )
        )
    return 0, 1


def _prior_scales(vae: Any, index: int, directions: tuple[int, int]) -> tuple[float, float]:
    """Scales of a normal prior along two directions of a factor, or 1 if the prior has none."""
    latent = vae.net_.module_.latent
    latent = latent.factors[index] if isinstance(vae.manifold_, Product) else latent
    try:
        scale = getattr(latent.prior(), "scale", None)
    except TypeError:  # an autoencoder has no prior
        scale = None
    if scale is None or torch.as_tensor(scale).numel() not in (1, latent.dim):
        return 1.0, 1.0  # no normal in the tangent space
    scale = torch.as_tensor(scale).detach().cpu().double().expand(latent.dim)
    return float(scale[directions[0]]), float(scale[directions[1]])
