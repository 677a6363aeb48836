"""Curves of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skccvae.plotting._style import COLOURS, make_axes

_NAMES = {
    "elbo": "ELBO (nats a row)",
    "train_loss": "loss (nats a row)",
    "reconstruction": "reconstruction (nats a row)",
    "kl": "KL (nats a row)",
    "curvature": "curvature K",
    "beta": "weight of the KL",
}


class TrainingDisplay:
    """Curves over the epochs of a training run, one panel a quantity.

    Validation curves, where there are any, are dashed in the same panel; the KL of each factor of a
    product stands beside the whole.

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    history : dict of sequence
        A fitted transformer's ``history_``: a list with one number an epoch for each name.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        One a panel.
    figure_ : matplotlib Figure
        Their figure.

    Raises
    ------
    ValueError
        For a history without epochs, or lists of different lengths.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skccvae.plotting import TrainingDisplay
    >>> history = {"epoch": [1, 2, 3], "elbo": [-40.0, -30.0, -28.0], "kl": [0.1, 2.0, 3.0]}
    >>> [panel.get_ylabel() for panel in TrainingDisplay(history).plot().ax_]
    ['ELBO (nats a row)', 'KL (nats a row)']
    """

    def __init__(self, history: Mapping[str, Sequence[float]]) -> None:
        lengths = {name: len(values) for name, values in history.items()}
        if not lengths or 0 in lengths.values() or len(set(lengths.values())) > 1:
            raise ValueError(
                f"history must hold lists of one length, one number an epoch; got {lengths}."
            )
        self.history = {name: list(values) for name, values in history.items()}

    @classmethod
    def from_estimator(
        cls, vae: Any, *, curves: str | Sequence[str] | None = None, ax: Any = None, **kwargs: Any
    ) -> TrainingDisplay:
        """Draw the curves of a fitted transformer's ``history_``.

        Parameters
        ----------
        vae : estimator
            A fitted transformer of skccvae.
        curves : str or sequence of str, default=None
            See :meth:`plot`.
        ax : matplotlib Axes or sequence of Axes, default=None
            One a panel; new ones by default.
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
        check_is_fitted(vae)
        return cls(vae.history_).plot(ax, curves=curves, **kwargs)

    def plot(
        self, ax: Any = None, *, curves: str | Sequence[str] | None = None, **kwargs: Any
    ) -> TrainingDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            One a panel; new ones by default.
        curves : str or sequence of str, default=None
            Names in the history, one a panel. By default the ELBO, the reconstruction, the KL and,
            where it was learned, the curvature.
        **kwargs : dict
            Passed on to ``plot`` of the axes.

        Returns
        -------
        TrainingDisplay
            The display itself.

        Raises
        ------
        ValueError
            For a name that is not in the history, or another number of axes than of panels.
        """
        wanted = self._default_curves() if curves is None else np.atleast_1d(curves).tolist()
        for name in wanted:
            if not self._lines(name):
                raise ValueError(f"history has no {name!r}; it has {sorted(self.history)}.")
        self.figure_, axes = make_axes(ax, len(wanted), panel_size=(3.6, 3.2))
        n = len(next(iter(self.history.values())))
        epochs = self.history.get("epoch", list(range(1, n + 1)))
        for panel, name in zip(axes, wanted, strict=True):
            lines = self._lines(name)
            for index, (label, column, dashed) in enumerate(lines):
                # The validation curve (second colour) has a dash of its own too, for grey prints.
                style = {
                    "color": COLOURS[index % len(COLOURS)],
                    "linestyle": "--" if dashed else "-",
                    "linewidth": 2,
                    "marker": "o" if n == 1 else "",
                }
                panel.plot(epochs, self.history[column], **style | {"label": label} | kwargs)
            panel.set_xlabel("epoch", fontsize=12)
            panel.set_ylabel(_NAMES.get(name, name), fontsize=12)
            panel.grid(color="0.9", linewidth=0.8)
            panel.spines[["right", "top"]].set_visible(False)
            if len(lines) > 1:
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
        """Label, column and dash of each curve of a panel."""
        found = [("training", name, False)] if name in self.history else []
        if f"valid_{name}" in self.history:
            found.append(("validation", f"valid_{name}", True))
        parts = [column for column in self.history if column.startswith(f"{name}_")]
        if parts and found:
            found[0] = ("all", *found[0][1:]) if len(found) == 1 else found[0]
        return found + [(column.removeprefix(f"{name}_"), column, False) for column in parts]
