"""The base of all estimators: parameters, building the model, and fitting it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skccvae._sklearn import fit_context
from skccvae.estimators._blocks import mixed_units
from skccvae.estimators._budget import resolved
from skccvae.estimators._contract import ContractMixin
from skccvae.estimators._device import resolve_device
from skccvae.estimators._distances import check_pairs, row_distances
from skccvae.estimators._early_stopping import EarlyStoppingMixin
from skccvae.estimators._export import ExportMixin
from skccvae.estimators._imputation import ImputationMixin
from skccvae.estimators._inference import InferenceMixin, rows_at_once
from skccvae.estimators._persistence import PersistenceMixin
from skccvae.estimators._scoring import ScoringMixin
from skccvae.estimators._start import read_rows, sparse_inputs, start_at_pca, start_rows
from skccvae.estimators._starts import StartsMixin
from skccvae.estimators._stream_training import check_stream_settings, opened, stream_batches
from skccvae.estimators._streams import is_stream
from skccvae.estimators._supervision import TargetEncoder, warn_of_lonely_labels
from skccvae.estimators._units import choose_likelihood, make_scaling
from skccvae.estimators._validation import targets_for, validate_rows
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
_INIT, _TRAIN, _START = 0, 2, 3  # 1 chooses rows to hold out
# In the path of a seed, below a training: the draws of its loader, apart from its noise.
_LOADER = 1
# A learned curvature keeps its first value for this fraction of the epochs: if it moves before the
# networks know anything, it goes astray.
CURVATURE_BURN_IN = 0.2


class BaseVAETransformer(
    ContractMixin,
    EarlyStoppingMixin,
    StartsMixin,
    ImputationMixin,
    ScoringMixin,
    ExportMixin,
    PersistenceMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Common part of the estimators. A subclass adds its own parameters and `_make_latent`."""

    # scikit-learn's `set_output` wraps methods in the body of its own subclasses only.
    transform = InferenceMixin.transform
    # Diagrams of estimators in notebooks link to their documentation. Its address goes here once it
    # has one; scikit-learn's template leads to scikit-learn's site.
    _doc_link_module = "skccvae"
    _doc_link_template = ""

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
            flattened. A torch tensor may have any dtype and be on any device. An Arrow or polars
            table is read as a pandas frame. Bytes (uint8) with values above 1 are read as 8-bit
            intensities if the support of the likelihood is [0, 1]. A map-style torch ``Dataset`` of
            samples or ``(sample, label)`` tuples, and a ``numpy.memmap``, are read batch by batch.
            Before training, `fit` passes over them to find the range of the data (bytes only up to
            the first value above 1), the facts that ``likelihood="auto"`` needs, the scales of a
            Gaussian likelihood, and the rows for ``init="pca"``. A stream is a torch
            ``DataLoader``, or an ``IterableDataset`` of batches (n_samples, ...) or of rows
            (n_features,). Each batch or row is a tensor, an array or a sparse matrix, alone or in a
            tuple ``(batch, labels)``; see the Notes.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Ignored unless ``supervised_weight`` is positive. In that case NaN marks rows without a
            label, and None takes the labels of a ``Dataset``.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: a finite number that is not negative. A row of weight 2
            counts as if it appeared twice, and a row of weight 0 as if it were absent. Only the
            ratios matter, and none may exceed 1e30. None gives all rows the same weight.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X contains infinity, or NaN that does not stand for a missing value (see
            ``missing``), if X is empty, or if it leaves the support of the likelihood. If
            ``sample_weight`` differs from X in length, has an entry that is negative or not finite,
            is 0 everywhere, or has positive entries whose ratio is above 1e30. If a stream is
            empty, or its batches differ in width, type or kind. If a stream comes with
            ``sample_weight``, ``early_stopping``, or a y that supervision would read.
        TypeError
            If X is a generator, which can be read only once, or a stream yields something that is
            not a batch. If ``likelihood`` is a class that does not inherit from
            `skccvae.nn.Likelihood`.
        DivergenceError
            If a loss or weight becomes infinite or NaN. The last finite weights are kept.

        Notes
        -----
        The estimator takes over the new model when training ends; callbacks see the new net before
        that. If `fit` fails or is interrupted, the estimator stays as it was, with two exceptions:
        after a `DivergenceError` the last finite weights are kept, and if Ctrl-C ends a first fit
        after at least one epoch, the completed epochs are kept.

        The loss of a batch is the mean of weight times loss over its rows, divided by the mean
        weight of all rows. Labels count in the same way, with the mean weight of the labelled rows.
        The centres and scales of columns and targets, and the validation loss, are weighted means.
        ``init="pca"`` looks at rows drawn in proportion to their weights. With ``distance_weight``,
        a pair of rows in a batch counts with the product of their weights. Where ``"auto"`` depends
        on the number of rows, only rows whose weight is not 0 count.

        Weights of 0 and 1 give the same model, bit for bit, as a fit without the rows of weight 0.
        A row of weight 2 and a row that appears twice give the same objective, but not the same
        model, because shuffling and noise differ.

        On a stream, an epoch is one pass, or ``max_batches`` batches, in the order and the batches
        of the stream. ``batch_size`` applies only to a stream of single rows. The first rows of the
        stream settle everything that is decided once: ``likelihood="auto"``, the centre and scale
        of columns and targets, the classes, and the principal components of ``init="pca"``. These
        rows are the batches at its start up to 10 000 rows, or fewer if rows are wide (ten million
        numbers, but at least 256 rows). They are kept in memory until they are used, and are the
        first batches of the first epoch. All batches are checked as they come, and an error names
        the batch. Random numbers that a loader draws from torch's generators, such as those for its
        order, come from ``random_state``. A stream that yields the rows in the same batches as a
        fit on an array trains the same model, to the last bit, if everything that is decided once
        is the same. Means of the same rows in another order differ by rounding. With ``init="pca"``
        the difference is larger, because noise is drawn for one row after the other.
        """
        go_on = self.warm_start and hasattr(self, "net_")
        return self._fit(X, y, sample_weight, go_on)

    @fit_context(prefer_skip_nested_validation=True)
    @own_modes(grad=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one more epoch on X, which may be a stream, from the current weights.

        The first call chooses the likelihood from its X. For real values it also sets the centre
        and scale of the columns, and with ``init="pca"`` the principal components. Set
        ``likelihood`` yourself if the first rows are not typical, and give the first call a few
        hundred rows.

        Parameters
        ----------
        X : {array-like, sparse, Dataset, stream} of shape (n_samples, ...)
            Rows as in `fit`. A stream is read once, or for ``max_batches`` batches.
        y : array-like, default=None
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`. The weights are relative to the mean of this call, so a call counts by the
            number of its rows, whatever their weights.

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
        # What a callback has set on the estimator in the meantime stays.
        meanwhile = {n: v for n, v in vars(self).items() if n not in before or before[n] is not v}
        self.__dict__ = {**vars(new), **meanwhile}
        if error is not None:
            raise error
        return self

    def _trained(self, X, y, sample_weight, go_on: bool, one_pass: bool, number: int, entropy: int):
        """A trained copy of the estimator, and the error that ended its training early, or None.

        ``number`` counts the starts of one `fit`. ``entropy`` is the seed of every start after the
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
        """Settle everything that is decided once: likelihood, units, device, model and net.

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
        from_pca = isinstance(module.encoder, SkipEncoder) and number < module.latent.n_starts
        if from_pca or module.likelihood.has_units:
            seed = derive_seed(self._entropy, _START)
            index = np.arange(X.shape[0])
            if self.early_stopping and use_validation:
                index, _ = self._split(X.shape[0])
            source = RowSource(X, units, resident=False)
            rows = read_rows(source, start_rows(index, X.shape[1], seed, weights))
            module.likelihood.learn_units(rows)
        if from_pca:
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
        if self.distance_weight > 0:
            check_pairs(len(index), n_rows)
        if held_out is not None:
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
        from skccvae.training.meeting import Training  # imports skorch too
        from skccvae.training.meeting import train as train_net

        self.net_.set_training_callbacks(self._callbacks(epochs, settled))
        burn_in = CURVATURE_BURN_IN * epochs if use_validation else 0.0
        train_net(Training(self.net_, train, valid, epochs, burn_in))

    def _follow_parameters(self) -> None:
        """Tell the net which training settings have changed since the last call."""
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
