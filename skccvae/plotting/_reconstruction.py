"""Images and their reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skccvae._array_api import as_numpy
from skccvae._tables import as_frame
from skccvae.plotting._images import as_images, find_image_shape, mosaic, to_unit, value_range
from skccvae.plotting._model import decode, find_model
from skccvae.plotting._style import make_axes, merge_style, require_pyplot
from skccvae.plotting._theme import shade


class ReconstructionDisplay:
    """Pairs of images: each original above its reconstruction.

    Use :meth:`from_estimator` to make a display from a fitted model.

    Parameters
    ----------
    originals, reconstructions : array-like of shape (n_images, n_features) or (n_images, ...)
        Images in the same order.
    image_shape : tuple of int, default=None
        Shape ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)`` of one image. It is needed for flat rows
        that are not square images.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    Raises
    ------
    ValueError
        If the arrays have different shapes, or rows cannot be reshaped to images.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from skccvae.plotting import ReconstructionDisplay
    >>> originals = np.random.default_rng(0).random((5, 64))
    >>> display = ReconstructionDisplay(originals, originals**2).plot()
    >>> display.originals.shape
    (5, 8, 8)
    """

    def __init__(
        self,
        originals: ArrayLike,
        reconstructions: ArrayLike,
        *,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        first, second = (np.asarray(as_numpy(a)) for a in (originals, reconstructions))
        if first.shape != second.shape or first.ndim < 2 or len(first) == 0:
            raise ValueError(
                "originals and reconstructions must have the same shape (n_images, ...); got "
                f"{first.shape} and {second.shape}."
            )
        n_features = first[0].size
        shape = find_image_shape(n_features, first.shape[1:], image_shape)
        self.originals = as_images(first, shape)
        self.reconstructions = as_images(second, shape)
        # The shape of the images in the attributes, whose last axis holds the channels.
        self.image_shape = self.originals.shape[1:]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_images: int = 10,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> ReconstructionDisplay:
        """Encode and decode the first rows of X, and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer with ``transform`` and ``inverse_transform``, or a fitted search
            over one. The steps of a Pipeline after a transformer of skccvae are not used.
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Images as in ``fit``.
        n_images : int, default=10
            Number of rows of X to show, or all if there are fewer.
        image_shape : tuple of int, default=None
            Shape of one image. The default is the shape of a sample of X. If that is unknown, it is
            the ``image_shape`` of the estimator, and otherwise a square.
        ax : matplotlib Axes, default=None
            Axes to draw on. The default is a new figure.
        **kwargs : dict
            Other arguments of :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay

        Raises
        ------
        ValueError
            If n_images is not positive or rows cannot be reshaped to images.
        TypeError
            If the transformer has no ``inverse_transform``.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.datasets import load_digits
        >>> from skccvae import GaussianVAETransformer
        >>> from skccvae.plotting import ReconstructionDisplay
        >>> X = load_digits().images[:200] / 16
        >>> vae = GaussianVAETransformer(2, max_epochs=1, random_state=0).fit(X)
        >>> ReconstructionDisplay.from_estimator(vae, X, n_images=6).reconstructions.shape
        (6, 8, 8)
        """
        model, transformer = find_model(estimator, required=False)
        if n_images < 1:
            raise ValueError(f"n_images must be at least 1; got {n_images!r}.")
        X = as_frame(X)
        if hasattr(X, "iloc"):
            rows = X.iloc[:n_images]
        else:
            rows = X[:n_images] if hasattr(X, "shape") else _first(X, n_images)
        decoded = decode(transformer, transformer.transform(rows))
        originals = np.asarray(rows.toarray() if hasattr(rows, "toarray") else as_numpy(rows))
        if image_shape is None and originals.ndim == 2:
            image_shape = getattr(model, "image_shape", None)
        decoded = decoded.reshape(originals.shape)
        return cls(originals, decoded, image_shape=image_shape).plot(ax, **kwargs)

    def plot(
        self, ax: Any = None, *, n_columns: int = 10, cmap: str = "gray", **kwargs: Any
    ) -> ReconstructionDisplay:
        """Draw the pairs.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. The default is a new figure.
        n_columns : int, default=10
            Number of pairs side by side. Further pairs start a new line.
        cmap : str, default="gray"
            Colour map for grey-scale images.
        **kwargs : dict
            Passed to ``imshow``.

        Returns
        -------
        ReconstructionDisplay
            The display itself.

        Raises
        ------
        ValueError
            If n_columns is not positive.
        """
        if n_columns < 1:
            raise ValueError(f"n_columns must be at least 1; got {n_columns!r}.")
        require_pyplot()
        from matplotlib.image import AxesImage

        n, height, width = self.originals.shape[:3]
        columns = min(n, n_columns)
        low, high = value_range(self.originals)
        gap = max(1, height // 16)
        # The gaps show the background. NaN makes them transparent, but colour images need its
        # colour.
        paper: Any = np.nan if self.originals.ndim == 3 else shade(1)
        bands: list[NDArray[np.float64]] = []
        ticks: list[float] = []
        top = 0
        for start in range(0, n, columns):
            part = slice(start, start + columns)
            if bands:  # a wider gap between lines of pairs
                bands.append(np.broadcast_to(paper, (2 * gap, *bands[0].shape[1:])))
                top += 2 * gap
            for images in (self.originals, self.reconstructions):
                band = mosaic(to_unit(images[part], low, high), columns, gap, paper)
                below = np.broadcast_to(paper, (gap, *band.shape[1:]))
                bands += [band, below]
                ticks.append(top + height / 2 - 0.5)
                top += height + gap
        canvas = np.concatenate(bands[:-1])
        size = (1.4 + 0.75 * columns * width / height, 0.3 + 0.75 * canvas.shape[0] / height)
        self.figure_, (self.ax_,) = make_axes(ax, 1, panel_size=size)
        style = {"interpolation": "nearest", "cmap": cmap, "vmin": 0, "vmax": 1}
        self.ax_.imshow(canvas, **merge_style(style, kwargs, AxesImage))
        names = ["original", "decoded"] * (len(ticks) // 2)
        self.ax_.set_yticks(ticks, names, fontsize=12)
        self.ax_.set_xticks([])
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)
        return self


def _first(X: Any, n: int) -> NDArray[Any]:
    """The first n samples of nested lists or of a torch Dataset, without labels, as an array."""
    if isinstance(X, list | tuple):
        return np.asarray(X)[:n]
    samples = [X[number] for number in range(min(n, len(X)))]
    return np.stack([np.asarray(as_numpy(s[0] if isinstance(s, tuple) else s)) for s in samples])
