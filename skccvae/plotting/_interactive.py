"""Interactive figures of a latent space, which can be rotated and show the label of a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skccvae._labels import is_missing
from skccvae.manifolds import ConstantCurvature, Manifold, constant_curvature
from skccvae.plotting import _maps as maps
from skccvae.plotting import _surfaces as surfaces
from skccvae.plotting._panels import title_of
from skccvae.plotting._style import colour_values, require_plotly
from skccvae.plotting._theme import COLOURS

Array = NDArray[np.float64]

KINDS = ("auto", "plane", "3d", "disk", "hyperboloid", "ball")
# Where the viewer is, in units of the width of the picture.
_EYES = {
    "3d": np.array([1.5, -1.5, 0.9]),
    "ball": np.array([0.9, -0.9, 0.5]),
    "hyperboloid": np.array([0.9, -0.9, 0.9]),
}
# Names of plotly's markers in two dimensions; it has fewer in three.
_MARKERS = ("circle", "triangle-up", "square", "diamond", "cross", "x")
_MARKERS_3D = ("circle", "diamond", "square", "cross", "circle-open", "square-open")


def interactive_map(
    parts: Sequence[tuple[ConstantCurvature, Array]],
    y: NDArray[Any] | None,
    order: dict[Any, int],
    *,
    kind: str,
    dims: Any,
    factor: int | None,
    hover: Sequence[Any] | None,
    y_kind: str,
) -> Any:
    """Make the figure. The arguments are those of `LatentDisplay.interactive`."""
    go = require_plotly()
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}; got {kind!r}.")
    if factor is None and len(parts) > 1 or factor is not None and factor not in range(len(parts)):
        raise ValueError(
            f"factor must be one of 0, ..., {len(parts) - 1}, the factors of the space; got "
            f"{factor!r}."
        )
    whole, points = parts[factor or 0]
    space, points = _section(whole, points, dims)
    name = _kind_of(space, kind)
    places = _places(space, points, name)
    texts = _hover_texts(space, points, y, hover)
    figure = go.Figure()
    for line in _grid(go, space, places, name):
        figure.add_trace(line)
    for trace in _point_traces(go, places, y, y_kind, texts, order):
        figure.add_trace(trace)
    title = _title(whole, name, dims)
    figure.update_layout(title=title, template="simple_white", width=720, height=640)
    figure.update_layout(margin={"l": 10, "r": 10, "t": 60, "b": 10}, legend_itemsizing="constant")
    if places.shape[1] == 2:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False, scaleanchor="x")
        return figure
    globe = name == "3d" and space.curvature > 0
    eye = 1.3 * maps.facing(places) if globe else _EYES[name]
    camera = {"eye": dict(zip("xyz", eye.tolist(), strict=True))}
    hidden = {"visible": False}
    axes = {"xaxis": hidden, "yaxis": hidden, "zaxis": hidden}
    if name == "3d" and not globe:
        axes = {}
    figure.update_layout(scene={"aspectmode": "data", "camera": camera, **axes})
    return figure


def _section(space: ConstantCurvature, points: Array, dims: Any) -> tuple[ConstantCurvature, Array]:
    """The space to show and the points in it, of two dimensions or, if wanted, of three."""
    if space.dim == 1:
        raise ValueError(
            f"{space!r} has one dimension, which plot() draws. An interactive picture needs a "
            "space, or a factor of one, with at least two dimensions."
        )
    three = dims is None and space.dim == 3 and space.curvature <= 0
    if three or space.dim > 2 and np.iterable(dims) and len(tuple(dims)) == 3:
        chosen = (0, 1, 2) if dims is None else tuple(dims)
        if len(set(chosen)) < 3 or not all(d in range(space.dim) for d in chosen):
            raise ValueError(
                f"dims must be two or three different directions from 0, ..., {space.dim - 1}; got "
                f"{dims!r}."
            )
        if space.curvature > 0:
            raise ValueError(
                f"A great sphere of {space!r} is shown in two directions, as a globe; got "
                f"dims={dims!r}."
            )
        section = constant_curvature(3, space.curvature)
        extra = space.ambient_dim - space.dim
        columns = [*range(extra), *(extra + int(d) for d in chosen)]
        return section, section.project(torch.from_numpy(points[:, columns])).numpy()
    return maps.two_dimensional(space, points, dims)


def _kind_of(space: ConstantCurvature, kind: str) -> str:
    """Name of the picture; ValueError if the requested kind does not fit the space."""
    K = space.curvature
    fitting: tuple[str, ...] = (
        ("plane",) if K == 0 else ("3d",) if K > 0 else ("disk", "hyperboloid")
    )
    if space.dim == 3:
        fitting = ("3d",) if K == 0 else ("ball",)
    if kind == "auto":
        return fitting[0]
    if kind not in fitting:
        raise ValueError(f"kind={kind!r} does not fit {space!r}; use 'auto' or one of {fitting}.")
    return kind


def _places(space: ConstantCurvature, points: Array, name: str) -> Array:
    """Positions of points in the picture."""
    if name == "3d":
        return points / space.radius_ if space.curvature else points
    if name == "hyperboloid":  # the first ambient coordinate points up
        return np.asarray(points[:, [1, 2, 0]] / space.radius_)
    return points if name == "plane" else maps.disk_places(space, points)


def _grid(go: Any, space: ConstantCurvature, places: Array, name: str) -> list[Any]:
    """Surfaces and lines behind the points."""
    if name == "plane":
        return surfaces.rings(go, float(np.linalg.norm(places, axis=1).max()) or 1.0)
    if name == "disk":
        return surfaces.disk(go)
    if name == "ball":
        return surfaces.ball(go)
    if name == "hyperboloid":
        return surfaces.hyperboloid(go, max(1.2, 1.05 * float(places[:, 2].max())))
    return surfaces.globe(go) if space.curvature else []


def _hover_texts(
    space: ConstantCurvature, points: Array, y: NDArray[Any] | None, hover: Sequence[Any] | None
) -> NDArray[Any]:
    """What the pointer shows at each point."""
    if hover is not None and len(hover) != len(points):
        raise ValueError(
            f"hover must hold one text for each of {len(points)} points; got {len(hover)}."
        )
    texts = None if hover is None else list(hover)  # a Series would be read by its labels
    p = torch.from_numpy(points)
    distances = space.dist(p, space.origin(dtype=p.dtype).expand_as(p)).numpy()
    lines = []
    for row, distance in enumerate(distances):
        parts = [] if texts is None else [str(texts[row])]
        if y is not None:
            parts.append("no label" if is_missing(y[row]) else f"y = {y[row]}")
        lines.append("<br>".join([*parts, f"row {row}", f"{distance:.3g} from the origin"]))
    return np.array(lines, dtype=object)


def _point_traces(
    go: Any,
    places: Array,
    y: NDArray[Any] | None,
    y_kind: str,
    texts: NDArray[Any],
    order: dict[Any, int],
) -> list[Any]:
    """One trace for each class, or one for all numbers."""
    three = places.shape[1] == 3
    size = float(np.clip(6000 / len(places), 2.5, 6)) * (0.55 if three else 1.3)

    def trace(rows: Any, label: str, **marker: Any) -> Any:
        x = dict(zip("xyz", places[rows].T, strict=False))
        scatter = go.Scatter3d if three else go.Scattergl if len(places) > 5000 else go.Scatter
        look = {"size": size, "opacity": 0.8, **marker}
        return scatter(
            **x, mode="markers", marker=look, name=label, text=texts[rows], hoverinfo="text"
        )

    if y is None:
        return [trace(np.arange(len(places)), "points", color=COLOURS[0])]
    names, values = colour_values(y, y_kind, order)
    found = []
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        found.append(trace(missing, "no label", color="silver"))
    if names is None:
        rows = np.flatnonzero(~np.isnan(values))
        bar = {"colorscale": "Cividis", "showscale": True}
        numbers = trace(rows, "numbers", color=values[rows], **bar)
        return [*found, numbers.update(showlegend=False)]
    symbols = _MARKERS_3D if three else _MARKERS
    for index, name in enumerate(names):
        colour = COLOURS[index % len(COLOURS)]
        symbol = symbols[(index // len(COLOURS)) % len(symbols)]
        rows = np.flatnonzero(values == index)
        found.append(trace(rows, str(name), color=colour, symbol=symbol))
    return found


def _title(whole: ConstantCurvature, name: str, dims: Any) -> str:
    kind = {"ball": "disk", "hyperboloid": "disk"}.get(name, name)
    title = title_of(whole, kind)
    if name == "ball":
        title = title.replace("disk", "ball")
    if name == "hyperboloid":
        title = title.replace("Poincaré disk", "Hyperboloid")
    if name == "3d" and whole.curvature == 0:
        title = "Space"
    if whole.dim > 2 and dims is not None:
        title += f"<br>directions {', '.join(map(str, dims))} of {whole.dim}"
    return title


class InteractiveMap:
    """The method `interactive` of a display that has points of a space."""

    manifold: Manifold
    y: NDArray[Any] | None
    points: Array
    _order: dict[Any, int]

    def _parts(self, points: Array) -> list[tuple[ConstantCurvature, Array]]:
        raise NotImplementedError

    def interactive(
        self,
        *,
        kind: str = "auto",
        dims: Sequence[int] | None = None,
        factor: int | None = None,
        hover: Sequence[Any] | None = None,
        y_kind: str = "auto",
    ) -> Any:
        """Make a plotly figure that can be rotated and zoomed, and shows the label of a point.

        Each class is an entry of the legend, and a click on it hides or shows the class. A notebook
        displays the figure by itself. ``figure.write_html("map.html")`` saves it.

        Parameters
        ----------
        kind : {"auto", "plane", "3d", "disk", "hyperboloid", "ball"}, default="auto"
            The picture. ``"3d"`` is a globe for a sphere, and ordinary space for three flat
            dimensions. ``"hyperboloid"`` shows a hyperbolic plane in its ambient space. ``"ball"``
            is the Poincaré ball of three dimensions. ``"auto"`` takes the picture that fits, and
            the disk for a hyperbolic plane.
        dims : sequence of two or three int, default=None
            For a space of more dimensions: the directions to show, as in :meth:`plot`. Three
            directions need a flat or hyperbolic space.
        factor : int, default=None
            For a product: index of the factor to show.
        hover : sequence of str of length n_points, default=None
            Texts shown at the points above their label, row and distance from the origin. They may
            contain plotly's HTML, such as ``<br>``.
        y_kind : {"auto", "classes", "numbers"}, default="auto"
            How to read y; see :meth:`plot`.

        Returns
        -------
        plotly.graph_objects.Figure

        Raises
        ------
        ImportError
            If plotly is not installed. The extra ``skccvae[interactive]`` installs it.
        ValueError
            If kind or dims do not fit the space, the space is a product and factor is None, or the
            length of hover is not the number of points.

        Examples
        --------
        >>> import torch
        >>> from skccvae.manifolds import Sphere
        >>> from skccvae.plotting import LatentDisplay
        >>> space = Sphere(2)
        >>> points = space.exp0(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]))
        >>> figure = LatentDisplay(points, space, y=["a", "b", "b"]).interactive()
        >>> figure.layout.title.text
        'Sphere, K = 1'
        >>> figure.data[-1].name, len(figure.data[-1].x)
        ('b', 2)
        """
        arguments: Any = {"kind": kind, "dims": dims, "factor": factor}
        return interactive_map(
            self._parts(self.points), self.y, self._order, hover=hover, y_kind=y_kind, **arguments
        )
