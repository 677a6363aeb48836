"""Saving a fitted estimator to one file that holds numbers and text only, and loading it."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import fields, is_dataclass
from os import PathLike
from typing import Any, get_args, get_type_hints

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skccvae.estimators._attributes import SavedAttributes
from skccvae.estimators._device import resolve_device
from skccvae.estimators._model import ModelMixin
from skccvae.nn import LIKELIHOODS, Likelihood, likelihood_class
from skccvae.training import RandomStream, own_modes

FORMAT = 3
_SKIPPED = ("callbacks",)
_META = "meta.json"


class PersistenceMixin(ModelMixin, BaseEstimator):
    """`save`, and rebuilding from what it wrote."""

    def save(self, path: str | PathLike) -> None:
        """Write the fitted estimator to one file, without pickle.

        The file is a zip archive of JSON and NumPy arrays: parameters, fitted attributes,
        history and weights. Reading it runs no code. `skccvae.load` reads it, on any device.
        Training can go on from a loaded model; the optimiser's averages then start anew.

        Parameters
        ----------
        path : str or path-like
            File to write; ``.skccvae`` is a good ending.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If ``encoder``, ``decoder``, ``likelihood`` or ``posterior`` is a module, class or
            callable of yours, which only pickle could store. ``callbacks`` are left out.
        """
        check_is_fitted(self)
        hints = get_type_hints(type(self))
        arrays = {
            f"weights/{name}": value.detach().cpu().numpy()
            for name, value in self.net_.module_.state_dict().items()
        }
        # The parameters that shaped the model as they were then, should they have changed since.
        params = {**self.get_params(deep=False), **self._structure}
        meta = {
            "format": FORMAT,
            "class": type(self).__name__,
            "params": {
                name: _packed(value, hints.get(name), name, arrays)
                for name, value in params.items()
                if name not in _SKIPPED
            },
            "attributes": {
                name: _packed(getattr(self, name), hints[name], name, arrays)
                for name in SavedAttributes.__annotations__
            },
            "history": _plain_history(self.net_.history),
        }
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_META, json.dumps(meta))
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)

    @own_modes()
    def _restore(self, meta: dict[str, Any], arrays: dict[str, np.ndarray], device: Any) -> None:
        hints = get_type_hints(type(self))
        for name in SavedAttributes.__annotations__:
            setattr(self, name, _unpacked(meta["attributes"][name], hints[name], arrays))
        self._input.give_back_to(self)
        self.device_ = str(resolve_device(device))
        with RandomStream(0).building():
            kind = likelihood_class(self.likelihood_)
            module = self._build_module(kind, self.n_features_in_).float()
        weights = {
            name.removeprefix("weights/"): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith("weights/")
        }
        module.load_state_dict(weights)
        self._new_net(module)
        self.net_.module_.eval()
        self.net_.history.extend(meta["history"])
        self._update_fitted()


def load(path: str | PathLike, device: Any = "auto"):
    """Read an estimator written by its ``save`` method.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str or torch.device, default="auto"
        Where the model goes, wherever it was trained.

    Returns
    -------
    estimator : object
        The fitted estimator, of the class that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a saved model, or of a format newer than this version reads.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import skccvae
    >>> X = np.random.default_rng(0).random((20, 3))
    >>> vae = skccvae.GaussianVAETransformer(max_epochs=1, random_state=0).fit(X)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.skccvae")
    >>> vae.save(path)
    >>> bool((skccvae.load(path).transform(X) == vae.transform(X)).all())
    True
    """
    from skccvae.estimators import ESTIMATORS

    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {os.fspath(path)!r}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a model saved by skccvae (not a zip archive).")
    with zipfile.ZipFile(path) as archive:
        if _META not in archive.namelist():
            raise ValueError(f"{path} is not a model saved by skccvae (it has no {_META}).")
        meta = json.loads(archive.read(_META))
        if meta.get("format") != FORMAT:
            raise ValueError(
                f"{path} has format {meta.get('format')!r}; this version of skccvae reads format "
                f"{FORMAT}. Update skccvae, or save the model again with this version."
            )
        arrays = {}
        for name in archive.namelist():
            if name != _META:
                with archive.open(name) as file:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(
                        file, allow_pickle=False
                    )
    kind = ESTIMATORS.get(meta["class"])
    if kind is None:
        raise ValueError(f"{path} holds a {meta['class']}, which this version does not have.")
    hints = get_type_hints(kind)
    params = {n: _unpacked(v, hints[n], arrays) for n, v in meta["params"].items()}
    estimator = kind(**params)
    estimator._restore(meta, arrays, device)
    return estimator


def _record(hint: Any) -> Any:
    """The dataclass that a type hint, or one of its alternatives, names."""
    return next((kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)), None)


def _packed(value: Any, hint: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Value as JSON holds it; numbers in arrays go to `arrays`.

    Parameters
    ----------
    value : object
        Numbers, text, arrays, sequences of those, or a dataclass of those which ``hint`` names.
    hint : type
        What the estimator declares about it.
    name : str
        Name for messages and arrays.
    arrays : dict
        Filled in place.

    Raises
    ------
    TypeError
        If the value is of another kind.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.ndarray):
        return {"text": value.tolist()}
    record = _record(hint)
    if record is not None and isinstance(value, record):
        parts = get_type_hints(record)
        return {
            f.name: _packed(getattr(value, f.name), parts[f.name], f"{name}/{f.name}", arrays)
            for f in fields(record)
        }
    if isinstance(value, list | tuple):
        return [_packed(v, None, f"{name}/{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, np.random.RandomState):
        return None  # the seed drawn from it is an attribute
    if isinstance(value, type) and issubclass(value, Likelihood) and value.name in LIKELIHOODS:
        return value.name
    try:
        json.dumps(value)
    except TypeError as error:
        raise TypeError(
            f"save cannot store {name}={value!r} without pickle. Use pickle or joblib for this "
            "estimator, or a named encoder, decoder, likelihood and posterior."
        ) from error
    return value


def _unpacked(value: Any, hint: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Inverse of `_packed`, except that lists become tuples."""
    if isinstance(value, list):
        return tuple(_unpacked(v, None, arrays) for v in value)
    if not isinstance(value, dict):
        return value
    if set(value) == {"array"}:
        return arrays[value["array"]]
    if set(value) == {"text"}:
        return np.asarray(value["text"])
    record = _record(hint)
    if record is None:
        return value
    parts = get_type_hints(record)
    return record(**{n: _unpacked(v, parts[n], arrays) for n, v in value.items()})


def _plain_history(history: Any) -> list[dict[str, Any]]:
    """Numbers and text of each epoch, without single batches and objects that callbacks left."""
    return [
        {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
            if isinstance(value, bool | int | float | str | np.generic)
        }
        for row in history
    ]
