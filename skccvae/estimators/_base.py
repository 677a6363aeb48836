"""The base of all estimators: parameters, building the model, and fitting it."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skccvae._sklearn import InvalidParameterError, fit_context
from skccvae.estimators._blocks import mixed_units
from skccvae.estimators._budget import resolved
from skccvae.estimators._device import resolve_device
from skccvae.estimators._distances import row_distances
from skccvae.estimators._export import ExportMixin
from skccvae.estimators._imputation import ImputationMixin
from skccvae.estimators._inference import InferenceMixin, rows_at_once
from skccvae.estimators._molecules import describe_molecules, molecular_graph, same_setting
from skccvae.estimators._persistence import PersistenceMixin
from skccvae.estimators._scoring import ScoringMixin
from skccvae.estimators._start import read_rows, sparse_inputs, start_at_pca, start_rows
from skccvae.estimators._starts import StartsMixin
from skccvae.estimators._stream_training import check_stream_settings, opened, stream_batches
from skccvae.estimators._streams import is_stream
from skccvae.estimators._supervision import TargetEncoder, warn_of_lonely_labels
from skccvae.estimators._units import choose_likelihood, make_scaling
from skccvae.estimators._validation import check_objective, targets_for, validate_rows
from skccvae.estimators._weights import training_weights, weighted_rows
from skccvae.nn import MixedLikelihood, SkipEncoder
from skccvae.training import (
    Batches,
    DatasetRows,
    DivergenceError,
    RowSource,
    derive_seed,
    entropy_from,
    own_modes,
)

# Numbers of the streams of random numbers, by what they are for.
_INIT, _SPLIT, _TRAIN, _START = 0, 1, 2, 3
# Under a training, of what a loader draws: apart from the noise of that training.
_LOADER = 1
# A learned curvature keeps its first value for this fraction of the epochs: if it moves before the
# networks know anything, it goes astray.
CURVATURE_BURN_IN = 0.2


class BaseVAETransformer(
    StartsMixin,
    ImputationMixin,
    ScoringMixin,
    ExportMixin,
    PersistenceMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Common part of the estimators; a leaf adds its own parameters and `_make_latent`."""

    # scikit-learn's `set_output` wraps methods in the body of its own subclasses only.
    transform = InferenceMixin.transform
    # Diagrams of estimators in notebooks link to their documentation. Its address goes here once it
    # has one; scikit-learn's template leads to scikit-learn's site.
    _doc_link_module = "skccvae"
    _doc_link_template = ""

    # --- parameters -----------------------------------------------------------------------------

    def _validate_params(self):
        if isinstance(self.binarize, bool | np.bool_):
            # A bool is a number to Python; False would silently be the threshold 0.
            raise InvalidParameterError(
                f"The 'binarize' parameter of {type(self).__name__} must be None, 'dynamic' or a "
                f"float in the range [0.0, 1.0). Got {self.binarize!r} instead. Use None for no "
                "binarisation."
            )
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            name = str(error).partition("The '")[2].partition("'")[0]
            hint = next((f.metadata["hint"] for f in fields(self) if f.name == name), "")
            if not hint:
                raise
            raise InvalidParameterError(f"{error} {hint}") from None
        check_objective(self.objective, self.free_bits)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    # --- fitting --------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    @own_modes(grad=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows of n_features columns, or images with more than two dimensions, which are
            flattened. A torch tensor may have any dtype and be on any device. Bytes (uint8) with
            values above 1 are read as 8-bit intensities where the likelihood lives on [0, 1]. A
            map-style torch ``Dataset`` of samples or ``(sample, label)`` tuples, and a
            ``numpy.memmap``, are read batch by batch, after some passes: for the range of the data
            (bytes only up to the first above 1), for what ``likelihood="auto"`` asks, for the
            scales of a Gaussian likelihood, and for the rows that a start at PCA looks at. A stream
            is a torch ``DataLoader``, or an ``IterableDataset`` of batches (n_samples, ...) or of
            rows (n_features,), each a tensor, an array or a sparse matrix, alone or in a tuple
            ``(batch, labels)``; see the Notes.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Ignored, unless ``supervised_weight`` is positive; then NaN marks rows without label,
            and None takes the labels of a ``Dataset``.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, a finite number that is not negative. A row of weight 2
            counts as if it were there twice, and one of weight 0 as if it were not there at all.
            Only ratios matter. None gives all rows the same weight.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X holds infinity, or NaN that is no missing value (see ``missing``), is empty, or
            leaves the support of the likelihood. If ``sample_weight`` has another length than X, is
            negative or not finite anywhere, or is 0 everywhere.
            If a stream is empty, or holds batches that differ in width, type or kind. If it comes
            with ``sample_weight``, ``early_stopping``, or a y that supervision would read.
        TypeError
            If X is a generator, which can be read only once, or a stream yields what is no batch.
            If ``likelihood`` is a class that does not inherit from `skccvae.nn.Likelihood`.
        DivergenceError
            If a loss or weight becomes infinite or NaN; the last finite weights are kept.

        Notes
        -----
        The estimator takes over the new model when training ends; callbacks get the new net. If
        `fit` fails in another way or is interrupted, the estimator stays as it was. There is one
        exception: if Ctrl-C ends a first fit after an epoch or more, the whole epochs are kept.

        The loss of a batch is the mean of weight times loss over its rows, divided by the mean
        weight of all rows. Labels count likewise, with the mean weight of the rows that have one.
        Centres and scales, of columns and of targets, and the validation loss are weighted means. A
        start at PCA looks at rows drawn in proportion to their weights. With ``distance_weight``, a
        pair of rows in a batch counts with the product of their weights. Where ``"auto"`` goes by
        the number of rows, these are the rows whose weight is not 0.

        Weights of 0 and 1 give the same bits as a fit without the rows of weight 0. A row of weight
        2 and a row that is there twice give the same objective, but not the same model: shuffling
        and noise differ.

        An epoch is one pass over a stream, or ``max_batches`` batches of it, in the order and the
        batches of the stream; ``batch_size`` is for single rows alone. What is decided once is
        decided by its first rows: ``likelihood="auto"``, the centre and scale of columns and
        targets, classes, and the start at PCA. These are the batches at its start until they hold
        10 000 rows, or fewer where rows are wide (ten million numbers, and at least 256 rows). They
        are kept for this time, and are the first ones of the first epoch. All batches are checked
        as they come; an error names the batch. What a loader draws from torch's generators, such as
        its order, comes from ``random_state``. A stream that yields the rows in the batches that a
        fit on an array drew trains the same model, to the last bit if what is decided once is the
        same. Means of the same rows in another order differ by rounding. A start at PCA differs by
        more, because it draws noise for one row after the other.
        """
        go_on = self.warm_start and hasattr(self, "net_")
        return self._fit(X, y, sample_weight, go_on)

    @fit_context(prefer_skip_nested_validation=True)
    @own_modes(grad=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one epoch on X, which may be a stream, going on from the current weights.

        The first call decides the likelihood from its X, for real values the centre and scale of
        the columns, and with ``init="pca"`` the components. Set ``likelihood`` if the first rows
        are not typical, and let the first call have some hundred rows.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows as in `fit`. Of a stream this is one pass, or ``max_batches`` batches.
        y : array-like, default=None
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`: ratios to the mean of this call, so a call counts by the number of its
            rows, whatever their weights.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, hasattr(self, "net_"), one_pass=True)

    def _fit(self, X, y, sample_weight, go_on: bool, one_pass: bool = False):
        """Train copies of the estimator, and take over the attributes of the best in one step."""
        before = dict(vars(self))

        def train(number: int = 0, entropy: int = 0):
            return self._trained(X, y, sample_weight, go_on, one_pass, number, entropy)

        new, error = train()
        if not (go_on or one_pass or isinstance(error, KeyboardInterrupt)):
            new, error = new._best_of_starts(train, error)
        new._update_fitted()
        # What a callback has set on the estimator meanwhile stays.
        meanwhile = {n: v for n, v in vars(self).items() if n not in before or before[n] is not v}
        self.__dict__ = {**vars(new), **meanwhile}
        if error is not None:
            raise error
        return self

    def _trained(self, X, y, sample_weight, go_on: bool, one_pass: bool, number: int, entropy: int):
        """A trained copy of the estimator, and what ended its training early, or None.

        ``number`` counts the starts of one `fit`, and ``entropy`` is the seed of all after the
        first.
        """
        before = dict(vars(self))
        new = object.__new__(type(self))
        new.__dict__ = dict(before)
        error: BaseException | None = None
        try:
            if not go_on:
                new._entropy = entropy if number else entropy_from(new.random_state)
            stream = None
            where: AbstractContextManager = nullcontext()
            if is_stream(X):
                check_stream_settings(new, y, sample_weight, one_pass)
                seed = derive_seed(new._entropy, _TRAIN, new._n_fits + 1 if go_on else 0, _LOADER)
                stream, X, y, where = opened(new, X, seed, go_on)
            with where:
                rows, weights, numbers = validate_rows(new, X, reset=not go_on), None, None
            if sample_weight is not None:
                wants_y = new.supervised_weight > 0
                rows, y, weights, numbers = weighted_rows(rows, y, sample_weight, wants_y)
                if not go_on and numbers is not None and new._input.columns is not None:
                    rows, columns = new._input.columns.seen_in(rows)
                    new._input = replace(new._input, columns=columns)
            at_pca = False
            if go_on:
                new._check_structure()
                new._check_support(rows)
                new._n_fits += 1
                new.net_ = new.net_.twin()
            else:
                at_pca = new._start(rows, y, weights, not one_pass, number)
            n_rows = rows.shape[0] if stream is None else stream.n_rows
            new._budget = resolved(new, n_rows, one_pass, at_pca)
            if stream is None:
                new._train(rows, y, weights, numbers, use_validation=not one_pass)
            else:
                new._train_on_stream(stream, one_pass)
        except DivergenceError as diverged:
            error = diverged
        except KeyboardInterrupt as interrupt:
            net = vars(new).get("net_")
            if "net_" in before or net is None or not (net.history and net.whole_):
                raise
            error = interrupt
        new.net_.rest()
        del new._budget
        new.n_iter_ = max(min(new.net_.n_epochs_, len(new.net_.history)), 1)
        return new, error

    def _start(self, X, y, weights, use_validation: bool, number: int = 0) -> bool:
        """Decide what is decided once: likelihood, units, device, model and net.

        Returns whether the model starts at principal components.
        """
        at_pca = False
        device = resolve_device(self.device)
        columns = self._input.columns
        if columns is None:
            kind, divisor = choose_likelihood(X, self.likelihood, self.binarize)
            units = make_scaling(X, kind, divisor, self.binarize, weights)
        else:
            kind = MixedLikelihood
            columns, units = mixed_units(X, columns, self.likelihood, weights)
        self._input = replace(self._input, units=units, columns=columns)
        wants_y = self.supervised_weight > 0
        self._targets = None
        if wants_y:
            self._targets = TargetEncoder.fit(targets_for(X, y), X.shape[0], weights)
        self.likelihood_ = kind.name
        self.device_ = str(device)
        # The weights differ between starts. Rows that are held out, and draws, are the same.
        path = (_INIT, number) if number else (_INIT,)
        with self._stream(derive_seed(self._entropy, *path)).building():
            # Batches are float32, whatever torch's default dtype is at the moment.
            module = self._build_module(kind, X.shape[1]).float()
        module.latent.start_number = number
        if isinstance(module.encoder, SkipEncoder) and number < module.latent.n_starts:
            seed = derive_seed(self._entropy, _START)
            index = np.arange(X.shape[0])
            if self.early_stopping and use_validation:
                index, _ = self._split(X.shape[0])
            source = RowSource(X, units, resident=False)
            rows = read_rows(source, start_rows(index, X.shape[1], seed, weights))
            inputs = sparse_inputs(source, index, module.likelihood, seed, weights)
            at_pca = start_at_pca(module, rows, seed, inputs)
        self._new_net(module)
        self._n_fits = 0
        return at_pca

    def _train_on_stream(self, stream, one_pass: bool):
        self._follow_parameters()
        epochs = self._budget.epochs
        seed = derive_seed(self._entropy, _TRAIN, self._n_fits)
        train = stream_batches(self, stream, self._stream(seed, self.device_))
        train.quick_draws = self.net_.precision != "float32"
        self.net_.set_training_callbacks(self._callbacks(epochs, None))
        self.net_.train_epochs(train, None, epochs, 0.0 if one_pass else CURVATURE_BURN_IN * epochs)

    def _train(self, X, y, weights, numbers, use_validation: bool):
        self._follow_parameters()
        epochs = self._budget.epochs
        targets = None
        if self._targets is not None:
            targets = self._targets.transform(targets_for(X, y), X.shape[0])
        n_rows = X.shape[0]
        index, held_out = np.arange(n_rows), None
        if self.early_stopping and use_validation:
            index, held_out = self._split(n_rows)
            if targets is not None:
                warn_of_lonely_labels(targets, held_out)
        if weights is not None:
            weights = training_weights(weights, targets, index)
        source = RowSource(
            X, self._input.units, self.device_, targets, weights=weights, numbers=numbers
        )
        dynamic = self.binarize == "dynamic"
        seed = derive_seed(self._entropy, _TRAIN, self._n_fits)
        stream = self._stream(seed, self.device_, own_data=isinstance(X, DatasetRows))
        size, missing = self._budget.batch_size, self.missing == "mask"
        train = Batches(source, index, size, binarize=dynamic, stream=stream, missing=missing)
        train.quick_draws = self.net_.precision != "float32"
        valid = settled = None
        if held_out is not None:
            rows = min(1024, rows_at_once(X.shape[1] * self.n_latent_samples))
            valid = Batches(source, held_out, rows, shuffle=False, binarize=dynamic)
            settled = self.net_.settling_epochs(len(train), epochs)
            self._check_early_stopping(epochs, settled)
        from skccvae.training.meeting import Training  # and skorch with it
        from skccvae.training.meeting import train as train_net

        self.net_.set_training_callbacks(self._callbacks(epochs, settled))
        burn_in = CURVATURE_BURN_IN * epochs if use_validation else 0.0
        train_net(Training(self.net_, train, valid, epochs, burn_in))

    def _follow_parameters(self) -> None:
        """Tell the net about settings of the training that have changed since the last call."""
        if self._targets is None and self.supervised_weight > 0:
            raise ValueError(
                "supervised_weight > 0, but the model was started without targets; call fit with "
                "warm_start=False to start a new one."
            )
        self.net_.retune(**self._net_settings())
        if self.precision == "auto" and self.verbose:
            print(f"{type(self).__name__}: precision='auto' takes {self.net_.precision!r}")
        metric = row_distances(self.distance_metric, self._input.units)
        self.net_.module_.distance_metric = metric

    def _split(self, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        n_valid = max(1, round(self.validation_fraction * n_rows))
        if n_rows - n_valid < 1:
            raise ValueError(
                f"early_stopping=True holds out {n_valid} row(s) of X and leaves none to train on: "
                f"X has n_samples={n_rows}. Use early_stopping=False or more rows."
            )
        seed = derive_seed(self._entropy, _SPLIT)
        order = np.random.default_rng(seed).permutation(n_rows)
        return np.sort(order[n_valid:]), np.sort(order[:n_valid])

    def _callbacks(self, epochs: int, settled: int | None) -> list:
        from skccvae.training import EpochPrinter, KeepBest, ProgressBar  # and skorch with them

        name = type(self).__name__
        callbacks = list(self.callbacks or [])
        if settled is not None:
            callbacks.append(KeepBest(self.n_epochs_no_change, settled))
        if self.verbose == 1:
            callbacks.append(ProgressBar(epochs, name))
        elif self.verbose > 1:
            callbacks.append(EpochPrinter(name))
        return callbacks

    def _check_early_stopping(self, epochs: int, settled: int) -> None:
        total, warmup = len(self.net_.history) + epochs, self._budget.warmup_epochs
        if total <= settled:
            what = f"epochs of the KL warm-up do not count (kl_warmup_epochs={warmup})"
            if settled > warmup:
                what = "epochs in which the scale of the distance term is measured do not count"
            warnings.warn(
                f"early_stopping=True has no effect: {what}, and all {total} epochs are among "
                "them.",
                UserWarning,
                stacklevel=2,
            )

    def _check_structure(self) -> None:
        """Refuse parameters that differ from those the model was built from."""
        self._validate_params()  # scikit-learn skips this where there is a fitted model
        for name, value in self._structure.items():
            current = getattr(self, name)
            if not same_setting(current, value):
                raise ValueError(
                    f"{name} was {value!r} when the model was built and is {current!r} now, which "
                    "training on cannot change. Set it back, or fit a new estimator "
                    "(sklearn.base.clone)."
                )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        try:
            kind = self._likelihood_class(reset=True)
        except (TypeError, ValueError):  # `fit` says what is wrong with it
            return tags
        tags.input_tags.sparse = kind.accept_sparse
        tags.input_tags.allow_nan = kind.allow_nan or self.missing == "mask"
        # "auto" takes negative numbers, though not for its first choice, which a binarised X needs.
        first_choice = self.likelihood == "auto" and self.binarize is None
        tags.input_tags.positive_only = kind.support[0] >= 0 and not first_choice
        if isinstance(self.likelihood, list | tuple):
            tags.input_tags.three_d_array = False
            tags.input_tags.categorical = any(
                isinstance(entry, list | tuple) and entry and entry[0] == "categorical"
                for entry in self.likelihood
            )
        if molecular_graph(self.encoder) is not None:
            describe_molecules(tags.input_tags)
        names = [n for n in (self.encoder, self.decoder) if isinstance(n, str)]
        if "conv" in names and self.image_shape is None:
            tags.input_tags.two_d_array = False  # images only
        return tags
