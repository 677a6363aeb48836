"""The model card: a description of a saved model, as a Markdown page beside its file."""

from __future__ import annotations

import inspect
import os
import platform
import reprlib
from datetime import UTC, datetime
from os import PathLike
from typing import Any

import numpy as np
import sklearn
import torch

from skccvae.estimators._molecules import molecular_graph, same_setting
from skccvae.estimators._saved_values import import_path

# The columns of the history that a card shows, and what they are.
_SCORES = {
    "elbo": "ELBO of the training rows",
    "reconstruction": "Reconstruction term",
    "kl": "KL, its second part",
    "valid_elbo": "ELBO of the validation rows",
}


def card_path(path: str | PathLike, model_card: Any) -> str | None:
    """Path of the model card for a model file, or None for no card.

    Parameters
    ----------
    path : str or path-like
        The path of the model file.
    model_card : bool, str or path-like
        True gives the card the name of the model file with the ending ``.md``.

    Raises
    ------
    TypeError
        If ``model_card`` is something else.
    ValueError
        If card and model would be the same file.
    """
    if isinstance(model_card, bool | np.bool_):
        if not model_card:
            return None
        card = os.path.splitext(os.fspath(path))[0] + ".md"
    elif isinstance(model_card, str | PathLike):
        card = os.fspath(model_card)
    else:
        raise TypeError(
            f"model_card must be True, False or the path of a file; got {model_card!r} of type "
            f"{type(model_card).__name__}."
        )
    if os.path.realpath(card) == os.path.realpath(path):
        raise ValueError(
            f"The model card would replace the model {os.fspath(path)!r}. Pass another path as "
            "model_card, or give the model file the ending .skccvae."
        )
    return card


def card_text(estimator: Any, file_name: str, params: dict[str, Any], version: str) -> str:
    """Text of the card of a fitted estimator, in Markdown.

    Parameters
    ----------
    estimator : BaseEstimator
        A fitted estimator.
    file_name : str
        Name of the model file, for the line that loads it.
    params : dict
        The parameters that the file holds.
    version : str
        Version of this package.

    Returns
    -------
    str
        The facts that the estimator knows, with front matter for model hubs. The text does not say
        what the data were or what the model is good for; that is left to its author.
    """
    kind = type(estimator)
    own = _own_code(kind, params)
    trusted = f", trusted=({', '.join(part.__name__ for part in own)},)" if own else ""
    stopped_early = "valid_elbo" in estimator.net_.history[-1]
    lines = [
        "---",
        "library_name: skccvae",
        "tags: [variational-autoencoder, scikit-learn]",
        "---",
        "",
        f"# {kind.__name__}",
        "",
        f"A variational autoencoder on {estimator.manifold_!r}, a scikit-learn transformer."
        if estimator.net_.module_.latent.noise_dim
        else "An autoencoder, a scikit-learn transformer.",
        "",
        *_table("Model", _facts(estimator)),
        *_table("Parameters that differ from the defaults", _changed(kind, params)),
        *_table("Last epoch of training, in nats per row", _scores(estimator)),
        "Scores of training rows say little about other rows; use `score` for those."
        + " The weights are those of the epoch with the best validation loss." * stopped_early,
        "",
        *_table("Made with", _versions(version)),
        "## Load",
        "",
        "```python",
        *(f"from {part.__module__} import {part.__name__}" for part in own),
        "import skccvae",
        "",
        f"vae = skccvae.load({file_name!r}{trusted})",
        "Z = vae.transform(X)",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, rows: dict[str, str]) -> list[str]:
    if not rows:
        return [f"## {title}", "", "None.", ""]
    body = [f"| {name} | {value} |" for name, value in rows.items()]
    return [f"## {title}", "", "| | |", "|---|---|", *body, ""]


def _facts(estimator: Any) -> dict[str, str]:
    spec = estimator._input
    shape = spec.sample_shape or (spec.n_columns,)
    molecules = molecular_graph(estimator._structure["encoder"]) is not None
    return {
        "X": "molecules" if molecules else f"(n_samples, {', '.join(map(str, shape))})",
        "Likelihood": _code(estimator.likelihood_),
        "Curvature": _numbers(estimator.curvature_),
        "Columns of `transform`": str(estimator._n_features_out),
        "Weights": str(sum(p.numel() for p in estimator.net_.module_.parameters())),
    }


def _changed(kind: type, params: dict[str, Any]) -> dict[str, str]:
    defaults = inspect.signature(kind).parameters
    return {
        _code(name): _code(_text(value))
        for name, value in params.items()
        if not same_setting(value, defaults[name].default)
    }


def _scores(estimator: Any) -> dict[str, str]:
    history = estimator.net_.history
    known = {text: history[-1].get(name) for name, text in _SCORES.items()}
    found = {text: f"{value:.4f}" for text, value in known.items() if value is not None}
    return {"Epochs of the last call (`n_iter_`)": str(estimator.n_iter_)} | found


def _versions(version: str) -> dict[str, str]:
    return {
        "skccvae": version,
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "Python": platform.python_version(),
        "Date": datetime.now(UTC).date().isoformat(),
    }


def _own_code(kind: type, params: dict[str, Any]) -> list[Any]:
    """The user's classes and functions, which a file stores only by name."""
    values = [kind, *params.values()]
    if isinstance(params.get("likelihood"), list | tuple):
        values += [entry for entry, _ in params["likelihood"]]
    parts = dict.fromkeys(v for v in values if _is_code(v))
    return [part for part in parts if not part.__module__.startswith("skccvae.")]


def _is_code(value: Any) -> bool:
    return isinstance(value, type) or inspect.isroutine(value)


def _text(value: Any) -> str:
    path = import_path(value) if _is_code(value) else None
    return reprlib.repr(value) if path is None else path


def _numbers(value: Any) -> str:
    return ", ".join(f"{number:g}" for number in np.atleast_1d(value))


def _code(text: str) -> str:
    """Text that Markdown shows as it is, in one cell of a table."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
