"""The base of all estimators: parameters, building the model, and fitting it."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skccvae._sklearn import Interval, InvalidParameterError, StrOptions, fit_context
from skccvae.estimators._device import resolve_device
from skccvae.estimators._inference import InferenceMixin, rows_at_once
from skccvae.estimators._molecules import n_observed, observed, same_setting
from skccvae.estimators._networks import (
    ENCODERS,
    NETWORKS,
    decoder_network,
    encoder_network,
    hidden_sizes,
)
from skccvae.estimators._persistence import STRUCTURAL, PersistenceMixin
from skccvae.estimators._supervision import TargetEncoder
from skccvae.estimators._validation import (
    check_objective,
    choose_likelihood,
    make_scaling,
    targets_for,
    validate_rows,
)
from skccvae.nn import ACTIVATIONS, LIKELIHOODS, GaussianLikelihood, Likelihood
from skccvae.training import (
    Batches,
    EpochPrinter,
    KeepBest,
    NegativeELBO,
    ProgressBar,
    RowSource,
    VAENet,
    derive_seed,
    entropy_from,
    isolated_random_state,
)
from skccvae.vae import VAE

# What the streams of random numbers of an estimator are for.
_INIT, _SPLIT, _TRAIN = 0, 1, 2
# Fraction of the epochs for which a curvature that is learned stays at its start: one that moves
# while the networks still know nothing goes astray.
CURVATURE_BURN_IN = 0.2


class BaseVAETransformer(
    InferenceMixin,
    PersistenceMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Common part of the estimators; a leaf adds its own parameters and `_make_latent`."""

    _parameter_constraints: dict[str, list] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "coordinates": [StrOptions({"ambient", "stereographic", "tangent"})],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "encoder": ENCODERS,
        "decoder": [StrOptions(set(NETWORKS)), callable],
        "image_shape": [None, "array-like"],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS})],
        "binarize": [None, StrOptions({"dynamic"}), Interval(Real, 0, 1, closed="left")],
        "beta": [Interval(Real, 0, np.inf, closed="left")],
        "kl_warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, np.inf, closed="left")],
        "objective": [StrOptions({"elbo", "iwae"})],
        "n_latent_samples": [Interval(Integral, 1, None, closed="left")],
        "supervised_weight": [Interval(Real, 0, np.inf, closed="left")],
        "learning_rate": [Interval(Real, 0, np.inf, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_epochs_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "callbacks": [None, list, tuple],
        "verbose": ["verbose"],
    }

    def _make_latent(self):
        raise TypeError(f"{type(self).__name__} does not define a latent space.")

    # What to do about a parameter, said after scikit-learn's account of what is wrong with it.
    _parameter_hints: dict[str, str] = {
        "n_components": "It is the intrinsic dimension of the latent space.",
        "binarize": "Use 'dynamic' for fresh draws in each epoch, or a threshold such as 0.5.",
        "encoder": "A torch module, or a callable that builds one, is welcome too.",
        "decoder": "A torch module, or a callable that builds one, is welcome too.",
        "callbacks": "Pass a list of skorch callbacks.",
    }

    # scikit-learn's `set_output` wraps methods in the body of its own subclasses only.
    transform = InferenceMixin.transform

    # --- parameters -----------------------------------------------------------------------------

    def get_params(self, deep=True):
        """Parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include those of parameters that are estimators themselves.

        Returns
        -------
        params : dict
            Names mapped to values, as they were passed.
        """
        # As they are stored: reading `posterior` as an attribute gives a callable stand-in.
        stored = vars(self)
        return {
            name: stored.get(name, value) for name, value in super().get_params(deep=deep).items()
        }

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
            if name not in self._parameter_hints:
                raise
            raise InvalidParameterError(f"{error} {self._parameter_hints[name]}") from None
        check_objective(self.objective, self.free_bits)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __setstate__(self, state):
        super().__setstate__(state)
        if "net_" in vars(self):
            # The net has moved to the CPU where there is no GPU.
            self.device_ = str(self.net_.device)

    # --- fitting --------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse, Dataset} of shape (n_samples, n_features) or (n_samples, ...)
            Rows, or images with more than two dimensions, which are flattened. Bytes (uint8)
            with values above 1 are read as 8-bit intensities where the likelihood lives on
            [0, 1]. A map-style torch ``Dataset`` of samples or ``(sample, label)`` tuples, and a
            ``numpy.memmap``, are read batch by batch, after a pass for the range of the data (two
            for a Gaussian likelihood; bytes only up to the first above 1).
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Ignored, unless ``supervised_weight`` is positive; then NaN marks rows without label,
            and None takes the labels of a ``Dataset``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity (NaN is a missing angle under ``"von_mises"``), is empty,
            or leaves the support of the likelihood.
        TypeError
            If X is a stream (``IterableDataset``): use `partial_fit` on arrays of its rows.
        DivergenceError
            If a loss or weight becomes infinite or NaN; the last finite weights are kept.
        """
        X = validate_rows(self, X, reset=not (self.warm_start and hasattr(self, "net_")))
        if self.warm_start and hasattr(self, "net_"):
            self._check_structure()
            self._check_support(X)
            self._n_fits += 1
        else:
            self._start(X, y)
        return self._train(X, y, epochs=self.max_epochs)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Train for one epoch on X, going on from the current weights.

        The first call decides the likelihood, and for real values the centre and scale of the
        columns, from its X; name ``likelihood`` yourself where the first rows are not typical.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, ...)
            Rows as in `fit`.
        y : array-like, default=None
            As in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        first = not hasattr(self, "net_")
        X = validate_rows(self, X, reset=first)
        if first:
            self._start(X, y)
        else:
            self._check_structure()
            self._check_support(X)
            self._n_fits += 1
        return self._train(X, y, epochs=1, use_validation=False)

    def _start(self, X, y) -> None:
        """Everything that is decided once: likelihood, scaling, device, model, net."""
        device = resolve_device(self.device)
        seen = observed(X)
        likelihood, divisor = choose_likelihood(seen, self.likelihood, self.binarize)
        self._entropy = entropy_from(self.random_state)
        self._scaling = make_scaling(seen, likelihood, divisor, self.binarize)
        wants_y = self.supervised_weight > 0
        self._targets = TargetEncoder.fit(targets_for(X, y), X.shape[0]) if wants_y else None
        self.likelihood_ = likelihood
        self.device_ = str(device)
        with isolated_random_state(derive_seed(self._entropy, _INIT)):
            # Batches are float32, whatever torch's default dtype is at the moment.
            module = self._build_module(X.shape[1]).float()
        self._new_net(module)
        self._structure = {n: v for n, v in self.get_params(False).items() if n in STRUCTURAL}
        self._n_fits = 0
        self._update_fitted()

    def _build_module(self, n_features: int) -> VAE:
        """The untrained model, on the CPU."""
        latent = self._make_latent()
        n_features = n_observed(self.encoder, n_features)
        kind = LIKELIHOODS[self.likelihood_]
        likelihood: Likelihood
        if issubclass(kind, GaussianLikelihood):
            likelihood = kind(n_features, torch.from_numpy(np.asarray(self._scaling.scale)))
        else:
            likelihood = kind(n_features)
        sizes, shape = hidden_sizes(self.hidden_layer_sizes), self._image_shape
        encoder = encoder_network(self.encoder, likelihood, sizes, self.activation, shape)
        decoder = decoder_network(
            self.decoder, latent, likelihood.n_outputs, sizes, self.activation, shape
        )
        predictor = None if self._targets is None else self._targets.head(latent.n_features)
        return VAE(encoder, latent, decoder, likelihood, predictor, self.supervised_weight)

    def _first_decoder_width(self) -> int:
        """Width of the decoder's first hidden layer, which planes take the place of."""
        sizes = hidden_sizes(self.hidden_layer_sizes)
        return sizes[-1] if sizes and isinstance(self.decoder, str) else 128

    def _new_net(self, module: VAE) -> None:
        self.net_ = VAENet(
            module,
            NegativeELBO,
            criterion__beta=self.beta,
            criterion__warmup_epochs=self.kl_warmup_epochs,
            criterion__free_bits=self.free_bits,
            criterion__objective=self.objective,
            criterion__n_latent_samples=self.n_latent_samples,
            optimizer=torch.optim.Adam,
            lr=self.learning_rate,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            train_split=None,
            device=self.device_,
            verbose=0,
        )
        self.net_.initialize()

    def _train(self, X, y, epochs: int, use_validation: bool = True):
        self._follow_parameters()
        targets = None
        if self._targets is not None:
            targets = self._targets.transform(targets_for(X, y), X.shape[0])
        source = RowSource(X, self._scaling, self.device_, targets)
        n_rows = X.shape[0]
        index, held_out = np.arange(n_rows), None
        if self.early_stopping and use_validation:
            self._check_early_stopping(epochs)
            index, held_out = self._split(n_rows)
        dynamic = self.binarize == "dynamic"
        train = Batches(source, index, self.batch_size, shuffle=True, binarize=dynamic)
        valid = None
        if held_out is not None:
            rows = min(1024, rows_at_once(X.shape[1] * self.n_latent_samples))
            valid = Batches(source, held_out, rows, shuffle=False, binarize=dynamic)
        self.net_.set_training_callbacks(self._callbacks(epochs, valid is not None))
        epochs_before = len(self.net_.history)
        try:
            with isolated_random_state(
                derive_seed(self._entropy, _TRAIN, self._n_fits), self.device_
            ):
                burn_in = CURVATURE_BURN_IN * epochs if use_validation else 0.0
                self.net_.train_epochs(train, valid, epochs, burn_in)
        finally:
            self.net_.module_.eval()
            self.n_iter_ = max(len(self.net_.history) - epochs_before, 1)
            self._update_fitted()
        return self

    def _follow_parameters(self) -> None:
        """Settings of the training itself may change between calls, with warm_start for example."""
        if self._targets is None and self.supervised_weight > 0:
            raise ValueError(
                "supervised_weight > 0, but the model was started without targets; call fit with "
                "warm_start=False to start a new one."
            )
        self.net_.module_.supervised_weight = self.supervised_weight
        self.net_.retune(
            lr=self.learning_rate,
            beta=self.beta,
            warmup_epochs=self.kl_warmup_epochs,
            free_bits=self.free_bits,
            objective=self.objective,
            n_latent_samples=self.n_latent_samples,
        )

    def _split(self, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        n_valid = max(1, round(self.validation_fraction * n_rows))
        if n_rows - n_valid < 1:
            raise ValueError(
                f"early_stopping=True holds out {n_valid} of {n_rows} row(s) and leaves none to "
                "train on. Use early_stopping=False or more rows."
            )
        seed = derive_seed(self._entropy, _SPLIT)
        order = np.random.default_rng(seed).permutation(n_rows)
        return np.sort(order[n_valid:]), np.sort(order[:n_valid])

    def _callbacks(self, epochs: int, has_validation: bool) -> list:
        name = type(self).__name__
        callbacks = list(self.callbacks or [])
        if has_validation:
            callbacks.append(KeepBest(self.n_epochs_no_change, self.kl_warmup_epochs))
        if self.verbose == 1:
            callbacks.append(ProgressBar(epochs, name))
        elif self.verbose > 1:
            callbacks.append(EpochPrinter(name))
        return callbacks

    def _check_early_stopping(self, epochs: int) -> None:
        total = len(self.net_.history) + epochs
        if total <= self.kl_warmup_epochs:
            warnings.warn(
                "early_stopping=True has no effect: epochs of the KL warm-up do not count, and all "
                f"{total} epochs are part of it (kl_warmup_epochs={self.kl_warmup_epochs}).",
                UserWarning,
                stacklevel=2,
            )

    def _check_structure(self) -> None:
        """Refuse to train on with parameters that a model which is already built cannot follow."""
        self._validate_params()  # which scikit-learn leaves out where a model is there already
        for name, value in self._structure.items():
            current = getattr(self, name)
            if not same_setting(current, value):
                raise ValueError(
                    f"{name} was {value!r} when the model was built and is {current!r} now, which "
                    "training on cannot change. Set it back, or fit a new estimator "
                    "(sklearn.base.clone)."
                )

    def _update_fitted(self) -> None:
        """Attributes that are read off the net."""
        rows = [dict(row) for row in self.net_.history]
        names = {name: None for row in rows for name in row if name not in {"batches", "epoch"}}
        self.history_ = {"epoch": list(range(1, len(rows) + 1))}
        for name in names:
            # One entry an epoch, so that it stays a table: validation, say, may come and go.
            self.history_[name] = [row.get(name, math.nan) for row in rows]
        self.loss_curve_ = list(self.history_.get("train_loss", []))
        latent = self.net_.module_.latent
        self.manifold_ = latent.fitted_manifold()
        self.curvature_ = latent.curvature()

    @property
    def _n_features_out(self) -> int:
        return self.manifold_.chart_dim(self.coordinates)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.likelihood != "von_mises"
        tags.input_tags.allow_nan = self.likelihood == "von_mises"
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
