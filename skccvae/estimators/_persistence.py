"""Saving a fitted estimator to one file that holds numbers and text only, and loading it."""

from __future__ import annotations

import json
import os
import zipfile
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skccvae.estimators._device import resolve_device
from skccvae.molecules import MolecularGraph
from skccvae.training import RowScaling, isolated_random_state

FORMAT = 2
_SKIPPED = ("callbacks",)
_META = "meta.json"


class PersistenceMixin:
    """`save`, and rebuilding from what it wrote."""

    def save(self, path: str | PathLike) -> None:
        """Write the fitted estimator to one file, without pickle.

        The file is a zip archive of JSON and NumPy arrays: parameters, fitted attributes,
        history and weights. Reading it runs no code. `skccvae.load` reads it, on any device.
        Training does go on from a loaded model, with the optimiser's averages starting anew.

        Parameters
        ----------
        path : str or path-like
            File to write; ``.skccvae`` is a good ending.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If ``encoder`` or ``decoder`` is a module or callable of yours, which only pickle
            could store. ``callbacks`` are left out.
        """
        check_is_fitted(self)
        params = {}
        # The parameters that shaped the model as they were then, should they have changed since.
        for name, value in {**self.get_params(deep=False), **self._structure}.items():
            if name in _SKIPPED:
                continue
            if isinstance(value, np.random.RandomState):
                value = None
            if isinstance(value, torch.device):
                value = str(value)
            params[name] = _jsonable(name, value)
        scaling = self._scaling
        meta = {
            "format": FORMAT,
            "class": type(self).__name__,
            "params": params,
            "n_features_in": int(self.n_features_in_),
            "feature_names_in": [str(n) for n in getattr(self, "feature_names_in_", [])],
            "likelihood": self.likelihood_,
            "sample_shape": self._sample_shape,
            "image_shape": self._image_shape,
            "entropy": self._entropy,
            "n_fits": self._n_fits,
            "n_iter": self.n_iter_,
            "divisor": scaling.divisor,
            "threshold": scaling.threshold,
            "period": scaling.period,
            "history": _plain_history(self.net_.history),
            "targets": None if self._targets is None else self._targets.to_json(),
        }
        arrays = {
            f"weights/{name}": value.detach().cpu().numpy()
            for name, value in self.net_.module_.state_dict().items()
        }
        if scaling.center is not None:
            arrays["center"], arrays["scale"] = scaling.center, scaling.scale
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_META, json.dumps(meta))
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)

    def _restore(self, meta: dict[str, Any], arrays: dict[str, np.ndarray], device: Any) -> None:
        from skccvae.estimators._supervision import TargetEncoder

        self.n_features_in_ = meta["n_features_in"]
        if meta["feature_names_in"]:
            self.feature_names_in_ = np.array(meta["feature_names_in"], dtype=object)
        self.likelihood_ = meta["likelihood"]
        self._sample_shape = _tuple(meta["sample_shape"])
        self._image_shape = _tuple(meta["image_shape"])
        self._entropy, self._n_fits = meta["entropy"], meta["n_fits"]
        self.n_iter_ = meta["n_iter"]
        self._structure = self._shape_parameters()
        self._scaling = RowScaling(
            meta["divisor"],
            arrays.get("center"),
            arrays.get("scale"),
            meta["threshold"],
            meta["period"],
        )
        targets = meta["targets"]
        self._targets = None if targets is None else TargetEncoder.from_json(targets)
        self.device_ = str(resolve_device(device))
        with isolated_random_state(0):
            module = self._build_module(self.n_features_in_).float()
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
    params = meta["params"].items()
    estimator = kind(**{name: _from_json(value) for name, value in params})
    estimator._restore(meta, arrays, device)
    return estimator


def _jsonable(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, MolecularGraph):
        value = value.to_json()
    try:
        json.dumps(value)
    except TypeError as error:
        raise TypeError(
            f"save cannot store {name}={value!r} without pickle. Use pickle or joblib for this "
            "estimator, or a named encoder and decoder."
        ) from error
    return value


def _from_json(value: Any) -> Any:
    """Inverse of `_jsonable` for a parameter, but for arrays and lists, which become tuples."""
    if isinstance(value, dict):
        return MolecularGraph.from_json(value)
    return tuple(value) if isinstance(value, list) else value


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


def _tuple(value: list | None) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)
