"""Plots of the curves of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skccvae.plotting._model import find_model
from skccvae.plotting._style import make_axes, merge_style
from skccvae.plotting._theme import class_style, shade

_NAMES = {
    "elbo": "ELBO (nats per row)",
    "train_loss": "loss (nats per row)",
    "reconstruction": "reconstruction (nats per row)",
    "kl": "KL (nats per row)",
    "curvature": "curvature K",
    "beta": "weight of the KL",
}


class TrainingDisplay:
    """Curves over the epochs of a training run, with one panel for each quantity.

    Validation curves, if there are any, are dashed lines in the same panel. For a product, the
    panel of the KL also shows the KL of each factor.

    Use :meth:`from_estimator` to make a display from a fitted model.

    Parameters
    ----------
    history : dict of sequence
        The ``history_`` of a fitted transformer: for each name, a list with one number per epoch.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        One axes for each panel.
    figure_ : matplotlib Figure
        The figure of the axes.

    Raises
    ------
    ValueError
        If the history has no epochs, or its lists have different lengths.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skccvae.plotting import TrainingDisplay
    >>> history = {"epoch": [1, 2, 3], "elbo": [-40.0, -30.0, -28.0], "kl": [0.1, 2.0, 3.0]}
    >>> [panel.get_ylabel() for panel in TrainingDisplay(history).plot().ax_]
    ['ELBO (nats per row)', 'KL (nats per row)']
    """

    def __init__(self, history: Mapping[str, Sequence[float]]) -> None:
        lengths = {name: len(values) for name, values in history.items()}
        if lengths and not any(lengths.values()):
            raise ValueError("history holds no epoch, because the first one has not ended.")
        if not lengths or 0 in lengths.values() or len(set(lengths.values())) > 1:
            raise ValueError(
                "history must hold lists of the same length, with one number per epoch; got the "
                f"lengths {lengths}."
            )
        self.history = {name: list(values) for name, values in history.items()}

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        curves: str | Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> TrainingDisplay:
        """Draw the curves of a fitted transformer's ``history_``.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer of skccvae, a Pipeline with one as a step, or a fitted search over
            either.
        curves : str or sequence of str, default=None
            See :meth:`plot`.
        ax : matplotlib Axes or sequence of Axes, default=None
            One axes for each panel. The default is a new figure.
        **kwargs : dict
            Other arguments of :meth:`plot`.

        Returns
        -------
        TrainingDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.datasets import load_digits
        >>> from skccvae import GaussianVAETransformer
        >>> from skccvae.plotting import TrainingDisplay
        >>> X = load_digits().data[:200] / 16
        >>> vae = GaussianVAETransformer(2, max_epochs=3, random_state=0).fit(X)
        >>> len(TrainingDisplay.from_estimator(vae).ax_)
        3
        """
        return cls(find_model(estimator)[0].history_).plot(ax, curves=curves, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        curves: str | Sequence[str] | None = None,
        legend: bool = True,
        **kwargs: Any,
    ) -> TrainingDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            One axes for each panel. The default is a new figure.
        curves : str or sequence of str, default=None
            Names in the history, one for each panel. The default is the ELBO, the reconstruction,
            the KL (unless it is always 0) and, if it was learned, the curvature.
        legend : bool, default=True
            Whether panels with several curves have a legend.
        **kwargs : dict
            Passed to ``plot`` of the axes.

        Returns
        -------
        TrainingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a name is not in the history, or the number of axes differs from the number of
            panels.
        """
        wanted = self._default_curves() if curves is None else np.atleast_1d(curves).tolist()
        if not wanted:
            raise ValueError(f"curves is empty; history has {sorted(self.history)}.")
        for name in wanted:
            if not self._lines(name):
                raise ValueError(f"history has no {name!r}; it has {sorted(self.history)}.")
        self.figure_, axes = make_axes(ax, len(wanted), panel_size=(3.6, 3.2))
        from matplotlib.lines import Line2D

        n = len(next(iter(self.history.values())))
        epochs = self.history.get("epoch", list(range(1, n + 1)))
        for panel, name in zip(axes, wanted, strict=True):
            lines = self._lines(name)
            for index, (label, column, dashed) in enumerate(lines):
                # The validation curve is dashed as well as coloured, for prints in grey.
                style = {
                    "color": class_style(index)["color"],
                    "linestyle": "--" if dashed else "-",
                    "linewidth": 2,
                    "marker": "o" if n == 1 else "",
                    "label": label,
                }
                panel.plot(epochs, self.history[column], **merge_style(style, kwargs, Line2D))
            panel.set_xlabel("epoch", fontsize=12)
            panel.set_ylabel(_NAMES.get(name, name), fontsize=12)
            panel.grid(color=shade(0.9), linewidth=0.8)
            panel.spines[["right", "top"]].set_visible(False)
            if legend and len(lines) > 1:
                panel.legend(frameon=False, fontsize=11)
            panel.xaxis.get_major_locator().set_params(integer=True)
        self.ax_ = np.array(axes, dtype=object)
        return self

    def _default_curves(self) -> list[str]:
        found = [
            name for name in ("elbo", "reconstruction", "kl") if np.any(self.history.get(name))
        ]
        if any(name == "curvature" or name.startswith("curvature_") for name in self.history):
            found.append("curvature")
        return found or [name for name in self.history if name not in {"epoch", "dur"}][:3]

    def _lines(self, name: str) -> list[tuple[str, str, bool]]:
        """For each curve of a panel: label, name in the history, and whether it is dashed."""
        found = [("training", name, False)] if name in self.history else []
        if f"valid_{name}" in self.history:
            found.append(("validation", f"valid_{name}", True))
        parts = [column for column in self.history if column.startswith(f"{name}_")]
        if parts and found:
            found[0] = ("all", *found[0][1:]) if len(found) == 1 else found[0]
        return found + [(column.removeprefix(f"{name}_"), column, False) for column in parts]
