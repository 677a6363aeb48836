"""Saving a fitted estimator to one file that holds only numbers and text, and loading it."""

from __future__ import annotations

import os
import reprlib
import sys
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skccvae.estimators._blocks import saved_blocks
from skccvae.estimators._device import resolve_device
from skccvae.estimators._fitted_state import AVERAGES, WEIGHTS, FittedStateMixin
from skccvae.estimators._model_card import card_path, card_text
from skccvae.estimators._model_file import (
    ModelFile,
    check_target,
    read_model,
    write_model,
    write_whole,
)
from skccvae.estimators._molecules import molecular_graph, n_observed
from skccvae.estimators._networks import hidden_sizes
from skccvae.estimators._saved_checks import (
    check_counts,
    check_history,
    check_input,
    check_state,
    check_targets,
)
from skccvae.estimators._saved_values import Unpacker, import_path, pack, trusted_paths, type_hints
from skccvae.nn import Likelihood
from skccvae.training import own_modes
from skccvae.training.optimizer_state import check_optimizer_tensors
from skccvae.vae import VAE

_SKIPPED = ("callbacks",)


class PersistenceMixin(FittedStateMixin):
    """`save`, and the rebuilding of an estimator from a saved file."""

    def save(
        self,
        path: str | PathLike,
        training_state: bool = False,
        model_card: bool | str | PathLike = False,
    ) -> None:
        """Write the fitted estimator to one file, without pickle.

        The file has the safetensors format. It holds weights and fitted arrays, and a JSON
        description of parameters, attributes and history, but no code. `skccvae.load` reads it on
        any device. A loaded model can be trained further. With ``training_state`` the training then
        continues as if it had never stopped. Without it, the optimiser's averages start anew.

        The model is written to a temporary file, which is renamed to ``path`` when it is complete.
        An older file of that name is therefore never lost if writing fails.

        Parameters
        ----------
        path : str or path-like
            File to write. ``.skccvae`` is a good ending.
        training_state : bool, default=False
            Whether to store the optimiser's averages, two numbers for each weight. `partial_fit`
            and `fit` with ``warm_start`` then give the same model, bit for bit, as an uninterrupted
            training. The seeds and the history are always stored.
        model_card : bool, str or path-like, default=False
            Whether to write a Markdown page too, with what the estimator knows about itself: class,
            parameters that differ from the defaults, shape of X, likelihood, curvature, scores of
            the training rows, versions, and how to load it. True puts it beside the model, with the
            ending ``.md``. A path says where to put it. An older file of that name is replaced.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If a parameter or class label is something that only pickle could store, such as a torch
            module. Your own class or function is stored as its import path, and `load` needs it in
            ``trusted``. ``callbacks`` are left out. If ``model_card`` is neither a boolean nor a
            path.
        ValueError
            If a weight is NaN or infinite, a parameter has been set to an invalid value, or the
            card would replace the model.
        OSError
            If the file cannot be written, for example because its folder does not exist.
        """
        check_is_fitted(self)
        self._validate_params()  # `load` does so too, and the file would be of no use
        card = card_path(path, model_card)
        for target in (path, card):
            check_target(target)
        hints = type_hints(PersistenceMixin)
        tensors = self._weights() | (self._averages() if training_state else {})
        # Copies, because a user's module may have two names for one tensor.
        tensors = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        # The parameters that shaped the model as they were then, should they have changed since.
        params = {**self.get_params(deep=False), **self._structure}
        if isinstance(params["likelihood"], list | tuple):
            # Slices, masks and functions become names or places of columns.
            params["likelihood"] = saved_blocks(self)
        params = {name: value for name, value in params.items() if name not in _SKIPPED}
        meta = {
            "version": _version(),
            "class": _class_name(type(self)),
            "params": {
                name: pack(value, hints.get(name), name, tensors) for name, value in params.items()
            },
            "attributes": self._attributes(tensors),
            "history": _plain_history(self.net_.history),
        }
        write_model(path, meta, tensors)
        if card is not None:
            text = card_text(self, os.path.basename(path), params, _version())
            write_whole(card, text.encode())

    @own_modes()
    def _restore(self, saved: ModelFile, unpacker: Unpacker, device: torch.device) -> None:
        """Set what `fit` sets. Nothing is allocated before the file is known to contain it."""
        self._validate_params()
        # The device need not exist on this machine.
        if self.device != "auto" and torch.device(self.device).type not in {"cpu", "cuda"}:
            raise ValueError(f"device must be 'auto', 'cpu' or 'cuda'; got {self.device!r}.")
        self._set_attributes(saved.meta["attributes"], unpacker)
        kind = self._likelihood_of_fit()
        check_counts(self)
        check_input(self._input, n_observed(self.encoder, self._input.n_columns), kind)
        check_targets(self._targets)
        history = saved.meta["history"]
        check_history(history, self.n_iter_)
        rest = {n: t for n, t in saved.tensors.items() if n not in unpacker.used}
        averages = {n: t for n, t in rest.items() if n.startswith(AVERAGES)}
        weights = {n: t for n, t in rest.items() if n not in averages}
        graph = molecular_graph(self.encoder)
        n_layers = len(hidden_sizes(self.hidden_layer_sizes)) + (graph.n_layers if graph else 0)
        if n_layers > len(weights):
            raise ValueError(f"its parameters describe {n_layers} layers, too many for the file.")
        self._check_size(kind, weights, averages, bool(unpacker.trusted))
        saved.check_content()
        module = self._module_of(weights)
        _check_tensors(module, weights, averages)
        self._put_together(module, device, history, averages)

    def _check_size(self, kind: type[Likelihood], weights: Any, averages: Any, own: bool) -> None:
        """Compare the file with the model that the parameters describe, without allocating it."""
        try:
            with torch.device("meta"):
                module = self._build_module(kind, self._input.n_columns).float()
        except Exception:
            if own:  # a user's module may compute with numbers when it is built
                return
            raise
        _check_tensors(module, weights, averages)


def _check_tensors(module: VAE, weights: dict[str, Tensor], averages: dict[str, Tensor]) -> None:
    check_state(module, weights, WEIGHTS)
    check_optimizer_tensors({n.removeprefix(AVERAGES): t for n, t in averages.items()}, module)


def load(path: str | PathLike, device: Any = "auto", trusted: Any = ()) -> Any:
    """Load an estimator that its ``save`` method has written.

    Loading runs no code that the file names. Before memory is allocated for the model, the names,
    shapes and dtypes of all weights are compared with those of the model that the parameters
    describe. The numbers are then checked against the SHA-256 in the file.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str or torch.device, default="auto"
        The device for the model, whatever device it was trained on.
    trusted : tuple of classes and functions, default=()
        Your own code that the file may use by import path: a subclass of an estimator, a
        likelihood, a latent space, or the class or function of an encoder or decoder.

    Returns
    -------
    estimator : object
        The fitted estimator, of the class that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a saved model, is damaged or incomplete, contradicts itself, has a format
        that this version does not read, or names a class that is not in ``trusted``. If ``device``
        does not exist.
    TypeError
        If ``trusted`` contains something other than classes and functions that can be imported.
    ImportError
        If the model needs an optional package that is not installed.

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
    resolved, paths = resolve_device(device), trusted_paths(trusted)
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {os.fspath(path)!r}.")
    try:
        return _load(read_model(path), paths, resolved)
    except (ImportError, OSError):
        raise
    except Exception as error:
        # Damage shows in many ways. The sentences of this package say what is wrong; others, such
        # as torch's, follow from it.
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error


def _load(saved: ModelFile, trusted: dict[str, Any], device: torch.device) -> Any:
    unpacker = Unpacker(saved.tensors, trusted)
    kind = _class_of(saved.meta["class"], unpacker)
    params, known = saved.meta["params"], set(kind._get_param_names()) - set(_SKIPPED)
    if not isinstance(params, dict):
        raise ValueError(f"its parameters are {reprlib.repr(params)}.")
    if unknown := sorted(params.keys() - known):
        raise ValueError(f"{kind.__name__} has no parameter {unknown[:1]}; update skccvae.")
    lacking = sorted(known - params.keys())
    # A parameter that a later version has added keeps its default.
    if lacking and saved.meta["version"] == _version():
        raise ValueError(f"it lacks the parameters {lacking} of {kind.__name__}.")
    hints = type_hints(PersistenceMixin)
    estimator = kind(**{n: unpacker.unpack(v, hints.get(n), n) for n, v in params.items()})
    estimator._restore(saved, unpacker, device)
    return estimator


def _estimators() -> dict[str, type[PersistenceMixin]]:
    from skccvae.estimators import ESTIMATORS  # which are built on this file

    return dict(ESTIMATORS)


def _version() -> str:
    # The root of the package stands above this floor.
    return sys.modules["skccvae"].__version__


def _class_name(kind: type[PersistenceMixin]) -> str:
    """Name of an estimator of the package, or the import path of a user's."""
    if _estimators().get(kind.__name__) is kind:
        return kind.__name__
    path = import_path(kind)
    if path is None:
        raise TypeError(f"save cannot store {kind!r}, which cannot be imported. Use pickle.")
    return path


def _class_of(name: Any, unpacker: Unpacker) -> type[PersistenceMixin]:
    known = _estimators()
    kind = known[name] if isinstance(name, str) and name in known else unpacker.class_of(name)
    if not (isinstance(kind, type) and issubclass(kind, PersistenceMixin)):
        raise ValueError(f"{name!r} is not an estimator.")
    return kind


def _plain_history(history: Any) -> list[dict[str, Any]]:
    """Numbers and text of each epoch, without batches and the objects that callbacks left."""
    return [
        {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
            if isinstance(value, bool | int | float | str | np.generic)
        }
        for row in history
    ]
