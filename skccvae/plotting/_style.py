"""Colours, axes and class labels for all displays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skccvae._labels import read_labels, warn_of_many_classes

#: y with more distinct numbers than this holds quantities, not classes.
_MOST_CLASSES = 20


def require_pyplot() -> Any:
    """Import ``matplotlib.pyplot``; the ImportError names the extra that installs it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "skccvae.plotting needs matplotlib, which is not installed. Install the extra 'plot': "
            "pip install 'skccvae[plot]'."
        ) from error
    return plt


def require_plotly() -> Any:
    """Import ``plotly.graph_objects``; the ImportError names the extra that installs it."""
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ImportError(
            "Interactive figures need plotly, which is not installed. Install the extra "
            "'interactive': pip install 'skccvae[interactive]'."
        ) from error
    return go


def make_axes(
    ax: Any,
    n: int,
    *,
    panel_size: tuple[float, float] = (4.0, 4.0),
    three_d: Sequence[bool] | None = None,
    widths: Sequence[float] | None = None,
) -> tuple[Any, list[Any]]:
    """Return a figure and n axes: the given axes, or new ones side by side.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        One axes for each panel.
    n : int
        Number of panels.
    panel_size : tuple of float
        Width and height in inches of one new panel.
    three_d : sequence of bool, optional
        Which panels need 3-D axes.
    widths : sequence of float, optional
        Relative widths of new panels.

    Raises
    ------
    ValueError
        If the number of axes differs from the number of panels, or a panel needs 3-D axes and has
        none, or the other way round.
    """
    plt = require_pyplot()
    three_d = [False] * n if three_d is None else list(three_d)
    if ax is None:
        ratios = [1.0] * n if widths is None else list(widths)
        figure = plt.figure(
            figsize=(panel_size[0] * sum(ratios), panel_size[1]), layout="constrained"
        )
        grid = figure.add_gridspec(1, n, width_ratios=ratios)
        return figure, [
            figure.add_subplot(grid[i], projection="3d" if three_d[i] else None) for i in range(n)
        ]
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != n:
        raise ValueError(f"The plot has {n} panels, but ax holds {len(axes)} axes.")
    for panel, wants in zip(axes, three_d, strict=True):
        if not wants and hasattr(panel, "get_zlim"):
            raise ValueError("The map is flat, but ax holds 3-D axes; pass kind='3d' or flat axes.")
        if wants and not hasattr(panel, "get_zlim"):
            raise ValueError(
                "kind='3d' needs 3-D axes; make them with plt.subplots(subplot_kw="
                "{'projection': '3d'}), or leave ax out."
            )
    return axes[0].figure, axes


def merge_style(defaults: dict[str, Any], given: dict[str, Any], artist: type) -> dict[str, Any]:
    """Defaults, replaced by the user's arguments, whichever alias these use.

    Parameters
    ----------
    defaults : dict
        Arguments under their full names, such as ``linewidth``.
    given : dict
        The user's arguments, such as ``lw``. A ``norm`` replaces the limits of the colours.
    artist : type
        Class of matplotlib that defines the aliases.
    """
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.colors import Normalize

    if isinstance(given.get("norm"), Normalize):
        defaults = {name: defaults[name] for name in defaults if name not in ("vmin", "vmax")}
    return defaults | normalize_kwargs(given, artist)


def as_labels(y: ArrayLike | None, n: int) -> NDArray[Any] | None:
    """Convert y to an array of length n with NaN or None for missing labels, or None.

    Raises
    ------
    ValueError
        If y does not have one label or number per row, or contains anything else.
    """
    if y is None:
        return None
    shape = np.shape(y)
    if shape not in ((n,), (n, 1)):
        raise ValueError(
            f"y must hold one label or number per row, shape ({n},); got shape {shape}."
        )
    ((values, known),) = read_labels(y, n)
    warn_of_many_classes(values, 0)
    if known.all():
        return values
    numbers = values.dtype.kind in "iuf"
    labels = np.full(n, np.nan) if numbers else np.full(n, None, dtype=object)
    labels[known] = values
    return labels


def order_of(y: Any) -> dict[Any, int]:
    """Place of each category of a pandas category dtype; empty if y has another dtype."""
    column = y.iloc[:, 0] if getattr(y, "ndim", 1) == 2 and hasattr(y, "iloc") else y
    dtype: Any = getattr(column, "dtype", None)
    if not (hasattr(dtype, "categories") and hasattr(dtype, "ordered")):
        return {}
    return {category: place for place, category in enumerate(dtype.categories.tolist())}


def colour_values(
    y: NDArray[Any], kind: str = "auto", order: dict[Any, int] | None = None
) -> tuple[NDArray[Any] | None, NDArray[np.float64]]:
    """Read the result of `as_labels` as classes or as numbers.

    Bools and text are classes. With kind "auto", so are whole numbers with up to 20 values.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    kind : {"auto", "classes", "numbers"}
        How to read them.
    order : dict, optional
        Places of classes, as `order_of` finds them.

    Returns
    -------
    names : ndarray or None
        Names of the classes, in their order or sorted, or None for numbers.
    values : ndarray of shape (n,)
        The position of each row's class in `names`, or its number. NaN for rows without a label and
        for infinite numbers, which have no place on a colour scale.

    Raises
    ------
    ValueError
        If kind is unknown, or is "numbers" and y holds text.
    """
    if kind not in ("auto", "classes", "numbers"):
        raise ValueError(f"y_kind must be 'auto', 'classes' or 'numbers'; got {kind!r}.")
    ((found, known),) = read_labels(y, len(y))
    values = np.full(len(y), np.nan)
    if found.dtype.kind not in "iufb" and kind == "numbers":
        raise ValueError("y_kind='numbers' needs numbers in y, but y holds text.")
    if found.dtype.kind in "iuf" or kind == "numbers":
        known[known] = np.isfinite(found)
        found = found[np.isfinite(found)]
        names = np.unique(found)
        whole = bool((names == np.round(names)).all())
        measured = not whole or len(names) > _MOST_CLASSES
        if kind == "numbers" or kind == "auto" and measured:
            values[known] = found
            return None, values
        found = found.astype(np.int64) if whole else found  # for names without decimals
    names, places = np.unique(found, return_inverse=True)
    if order:
        sort = np.array([order.get(name, len(order)) for name in names.tolist()])
        turn = np.argsort(sort, kind="stable")
        names, places = names[turn], np.argsort(turn)[places]
    values[known] = places
    return names, values
