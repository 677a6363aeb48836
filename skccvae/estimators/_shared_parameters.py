"""The constructor parameters that all estimators share. Each is defined only here."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from numpy.random import RandomState
from torch import nn

from skccvae._sklearn import Interval, StrOptions
from skccvae.estimators._networks import ENCODERS, NETWORKS
from skccvae.estimators._parameters import (
    AUTO,
    COORDINATES,
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    parameter,
    with_parameters,
)
from skccvae.molecules import MolecularGraph
from skccvae.nn import ACTIVATIONS, LIKELIHOODS, ROW_DISTANCES, Likelihood

_FRACTION = Interval(Real, 0, 1, closed="neither")
_OWN_NETWORK = "A torch module, or a callable that builds one, is accepted too."


def _likelihood_names() -> str:
    """List of the likelihoods, with the name of each and the first line of its docstring."""
    entries = [
        f'- ``"{name}"``: {inspect.cleandoc(kind.__doc__ or "").splitlines()[0]}'
        for name, kind in LIKELIHOODS.items()
    ]
    lines = [
        textwrap.fill(
            e, 100, initial_indent=" " * 8, subsequent_indent=" " * 10, break_on_hyphens=False
        )
        for e in entries
    ]
    return "\n".join(lines).lstrip()


@with_parameters
class SharedParameters:
    """Parameters of every estimator, each with its documentation."""

    coordinates: str = parameter(
        default="ambient", allowed=[COORDINATES]
    )  # the subclass says of which space
    hidden_layer_sizes: int | Sequence[int] = parameter(
        default=(256, 128),
        allowed=["array-like", COUNT],
        shapes_model=True,
        kind="array-like of int",
        doc="""
        Widths of the encoder's hidden layers. The decoder has the same widths in reverse. ``()``
        gives linear maps. A convolutional network uses the last width for its one dense layer, and
        a graph encoder uses the first for its messages.
        """,
    )
    activation: str = parameter(
        default="relu",
        allowed=[StrOptions(set(ACTIVATIONS))],
        shapes_model=True,
        kind='{"relu", "elu", "gelu", "silu", "tanh", "softplus", "leaky_relu"}',
        doc="Activation after each hidden layer.",
    )
    encoder: str | MolecularGraph | nn.Module | Callable[..., nn.Module] = parameter(
        default="mlp",
        allowed=ENCODERS,
        shapes_model=True,
        hint=_OWN_NETWORK,
        kind='{"mlp", "conv", "molecular_graph"}, MolecularGraph, torch.nn.Module or callable',
        doc="""
        Network from rows to hidden features. ``"conv"`` is a compact residual convolutional network
        for images of shape (H, W), (H, W, C) or (C, H, W), with as many levels as the image size
        needs. A last or first axis of size 1, 3 or 4 holds the channels; if both qualify, the last
        does. ``"molecular_graph"`` passes messages along the bonds of molecules. X is then a column
        of SMILES strings or RDKit molecules, and the decoder describes their Morgan fingerprints,
        as bits, or as counts if the likelihood is one for counts. To change its settings, pass a
        `skccvae.molecules.MolecularGraph`. Your own module is copied, so that fitting does not
        change it. A callable is called with the number of features and returns a module. The module
        sees float32 batches of shape (n, n_features), or of the shape of the images. For angles it
        sees all cosines and then all sines, twice as many numbers, and for counts their inverse
        hyperbolic sine. A linear layer from its output to the parameters of the posterior is added.
        """,
    )
    decoder: str | nn.Module | Callable[..., nn.Module] = parameter(
        default="mlp",
        allowed=[StrOptions(set(NETWORKS)), callable],
        shapes_model=True,
        hint=_OWN_NETWORK,
        kind='{"mlp", "conv"}, torch.nn.Module or callable',
        doc="""
        Network from latent features to the likelihood's parameters. ``"conv"`` mirrors the
        convolutional encoder. A callable is called with the number of latent features and the
        number of outputs.
        """,
    )
    init: str = parameter(
        default="pca",
        allowed=[StrOptions({"pca", "random"})],
        shapes_model=True,
        kind='{"pca", "random"}',
        doc="""
        How the networks are initialised. ``"pca"`` adds a linear path beside encoder and decoder.
        The path starts at the principal components of the rows (of 10 000, if there are more), with
        at least three rows for each component, and is then trained like the rest. The decoder
        starts at the regression on the components. With normal likelihoods the model therefore
        starts as probabilistic PCA, and with other likelihoods as its analogue. Some parts still
        start at random: the decoder for angles, or for your own likelihood if it does not define
        ``start_outputs``; networks other than ``"mlp"``; your own latent space if it does not
        define ``start_at``; and a normal posterior on a small sphere if the rows wind round it, as
        a ring does. Von Mises-Fisher and similar posteriors can start at such a ring.
        """,
    )
    n_init: int | str = parameter(
        default="auto",
        allowed=[COUNT, AUTO],
        kind='int or "auto"',
        doc="""
        Number of starts, of which the one with the best objective is kept. The objective is the
        smallest validation loss with ``early_stopping``, and otherwise the mean training loss of
        the last tenth of the epochs. A sphere with a uniform prior can start at principal
        components in two ways: on a hemisphere, or all round the sphere. The choice decides whether
        a ring of rows closes or tears. The first start is the one that suits the rows better, the
        second is the other one, and further starts are random. ``"auto"`` is 2 for
        `SphericalVAETransformer` with ``n_components=1`` that starts at components, and 1
        otherwise. A start that diverges is skipped; if all diverge, `fit` raises the error of the
        first. `partial_fit`, and `fit` with ``warm_start``, continue from one model. Callbacks see
        the training of every start.
        """,
    )
    image_shape: Sequence[int] | None = parameter(
        default=None,
        allowed=[None, "array-like"],
        shapes_model=True,
        kind="tuple of int",
        doc="""
        Shape of one sample if X holds flattened images. ``"conv"`` needs it. Images with more than
        two dimensions do not.
        """,
    )
    likelihood: str | type[Likelihood] | Sequence[tuple[Any, Any]] = parameter(
        default="auto",
        allowed=[StrOptions({"auto", *LIKELIHOODS}), type, list, tuple],
        shapes_model=True,
        hint="A subclass of skccvae.nn.Likelihood (the class, not an instance) is accepted too. "
        "For categories pass a list, such as [('categorical', columns), ('gaussian', others)].",
        kind="str, subclass of `skccvae.nn.Likelihood`, or list of (likelihood, columns)",
        doc="""
        Distribution p(x | z). ``"auto"`` takes ``"bernoulli"`` for zeros and ones, and if
        ``binarize`` is set. It takes ``"count_gaussian"`` for counts of things that mostly occur
        once: two or more columns of whole numbers up to 1000, most of them 0, and at least half of
        the others 1. It takes ``"isotropic_gaussian"`` if the columns share a unit. They do
        if no column's range is more than ten times the range that three quarters of the columns
        exceed, or if all columns are counts that start at 0 and go up to at most 1000. Otherwise it
        takes ``"gaussian"``. Your own class defines how it scales X and what it accepts. The names
        are

        """
        + _likelihood_names(),
    )
    binarize: str | float | None = parameter(
        default=None,
        allowed=[None, StrOptions({"dynamic"}), Interval(Real, 0, 1, closed="left")],
        shapes_model=True,
        hint="Use 'dynamic' for fresh draws in each epoch, or a threshold such as 0.5.",
        kind='{None, "dynamic"} or float',
        doc="""
        ``"dynamic"`` draws each pixel from a Bernoulli distribution anew in each epoch. A float is
        the threshold above which a pixel is 1.
        """,
    )
    missing: str = parameter(
        default="error",
        allowed=[StrOptions({"error", "mask"})],
        shapes_model=True,
        kind='{"error", "mask"}',
        doc="""
        How to treat NaN in X, and None and ``pandas.NA`` in frames. ``"error"`` raises an error,
        except with likelihoods that accept NaN. ``"mask"`` treats it as a value that was not
        observed, with any likelihood. The log-likelihood of a row is then that of its observed
        values. Scales and the principal components of ``init="pca"`` come from observed values too.
        Where a value is missing, the encoder reads 0 (after scaling), and it reads an indicator of
        the missing values beside the row. With ``init="pca"`` the weights of the indicator start at
        0, and a missing value reads as the mean of its column. Your own encoder reads only the
        zeros. `impute` and `sample_missing` fill in the missing values.
        """,
    )
    beta: float = parameter(
        default=1.0,
        allowed=[NON_NEGATIVE],
        net="criterion__beta",
        kind="float",
        doc="Weight of the KL divergence in the objective.",
    )
    kl_warmup_epochs: int | str = parameter(
        default="auto",
        allowed=[Interval(Integral, 0, None, closed="left"), AUTO],
        net="criterion__warmup_epochs",
        kind='int or "auto"',
        doc="""
        Epochs over which the weight of the KL grows linearly from 0 to ``beta``. ``"auto"`` takes
        half of the epochs of a first `fit`, but none if encoder and decoder start at PCA.
        """,
    )
    free_bits: float = parameter(
        default=0.0,
        allowed=[NON_NEGATIVE],
        net="criterion__free_bits",
        kind="float",
        doc="""
        KL in nats per latent dimension that costs nothing in training, so that no posterior
        collapses onto the prior early on. The KL in the objective is the mean over a batch, but at
        least ``free_bits`` times the dimension. In a product this holds for each factor. Reported
        bounds do not include this floor. ``objective="iwae"`` does not accept it.
        """,
    )
    objective: str = parameter(
        default="elbo",
        allowed=[StrOptions({"elbo", "iwae"})],
        net="criterion__objective",
        kind='{"elbo", "iwae"}',
        doc="""
        Bound that is maximised. ``"iwae"`` is the importance-weighted bound with
        ``n_latent_samples`` draws. ``beta`` and the warm-up do not apply to it.
        """,
    )
    n_latent_samples: int = parameter(
        default=1,
        allowed=[COUNT],
        net="criterion__n_latent_samples",
        kind="int",
        doc="Draws from the posterior for each row in a training step.",
    )
    supervised_weight: float = parameter(
        default=0.0,
        allowed=[NON_NEGATIVE],
        net="module__supervised_weight",
        kind="float",
        doc="""
        Weight of the log-likelihood of y in the objective. Above 0, `fit` needs y, and a small
        network predicts y from the latent point. Each target counts with its mean over the labelled
        rows of a batch, however few they are, and with 0 if the batch has none. The other terms
        grow with the number of columns of X, so a tenth of that number is a good first value: 1 for
        ten columns, 100 for a fingerprint of a thousand bits. NaN, None, ``pandas.NA`` and masked
        entries mark rows without a label. The number -1, which means "no label" to scikit-learn's
        semi-supervised classifiers, is an ordinary label here; replace it by NaN. A target of
        fractions, or of whole numbers that take many values (over 20, and over a tenth of the
        number of labels), is a regression. Any other target, and text always, is a classification.
        """,
    )
    posterior_scale: str | float = parameter(
        default="free",
        allowed=[StrOptions({"free", "shared"}), POSITIVE],
        shapes_model=True,
        kind='{"free", "shared"} or float',
        doc="""
        How the scales of the posteriors are chosen, in units of the space. With ``"free"`` each row
        has its own scales. ``"shared"`` is one learned scale for all rows and directions. A number
        fixes the scale. With one scale for all rows, a unit of geodesic distance means the same
        degree of distinguishability everywhere, but the likelihood is lower. On a sphere with a
        uniform prior, a posterior of scale s is as wide as a von Mises-Fisher distribution of
        concentration 1/(K s^2). In a product each factor has its own scale.
        """,
    )
    distance_weight: float = parameter(
        default=0.0,
        allowed=[NON_NEGATIVE],
        net="module__distance_weight",
        kind="float",
        doc="""
        Weight of a term that preserves distances. The term is the stress between the geodesic
        distances of the locations of two rows and the distances of the rows, up to a common factor,
        over the pairs of up to 64 rows of a batch. The stress is 0 where the two are proportional,
        and at most 1. A weight of 1.0 is strong on any data: it is about sixteen times the weight
        that the reconstruction gives to the share of the rows that it cannot explain. Curvature
        pays off where the distances of the rows are those of a tree or a sphere. In that case let a
        learned curvature start at 1 or -1. ``history_["stress"]`` records the stress.
        """,
    )
    distance_metric: str | Callable[..., Any] = parameter(
        default="euclidean",
        allowed=[StrOptions(set(ROW_DISTANCES)), callable],
        kind="str or callable",
        doc="""
        Distance between rows for ``distance_weight``. ``"euclidean"`` or ``"l2"``, and
        ``"cityblock"``, ``"manhattan"`` or ``"l1"``, compare rows as the encoder reads them (scaled
        for a Gaussian likelihood). ``"cosine"``, ``"jaccard"`` (Tanimoto's distance, for
        fingerprints of bits or counts) and a callable compare rows in the units of X. A callable
        takes an array of shape (n, p) and returns the distances, shape (n, n), as the functions of
        `sklearn.metrics.pairwise` do. A missing value is NaN for a callable, and 0 in model units
        for a metric by name. With ``encoder="molecular_graph"`` the rows are fingerprints.
        """,
    )
    learning_rate: float = parameter(
        default=1e-3, allowed=[POSITIVE], net="lr", kind="float", doc="Step size of Adam."
    )
    weight_decay: float = parameter(
        default=0.0,
        allowed=[NON_NEGATIVE],
        net="weight_decay",
        kind="float",
        doc="""
        Decoupled weight decay, as in AdamW. Each step takes the fraction ``learning_rate *
        weight_decay`` off every weight matrix, and leaves biases, scales and a curvature alone. At
        the default learning rate, 1 is a large value. Such a value can help a perceptron that is
        trained with labels on a few hundred rows with many sparse columns. It did not help graph
        encoders.
        """,
    )
    batch_size: int | str = parameter(
        default="auto",
        allowed=[COUNT, AUTO],
        net="batch_size",
        kind='int or "auto"',
        doc="""
        Rows in a training step. ``"auto"`` takes 128. A DataLoader, and a stream of batches,
        determine their own batch sizes.
        """,
    )
    max_batches: int | None = parameter(
        default=None,
        allowed=[None, COUNT],
        kind="int",
        doc="""
        The largest number of batches of a stream (``DataLoader`` or ``IterableDataset``) that `fit`
        reads in an epoch, and `partial_fit` in a call. Each pass begins at the start of the stream.
        None reads to its end. Arrays and map-style Datasets are always read completely.
        """,
    )
    max_epochs: int | str = parameter(
        default="auto",
        allowed=[COUNT, AUTO],
        net="max_epochs",
        kind='int or "auto"',
        doc="""
        Passes over the data. ``"auto"`` takes as many as 5000 training steps need, but at least 10
        and at most 60; ``n_iter_`` is the number that was run. For a stream of unknown length it
        takes 10, unless the stream ends within the rows that are looked at first.
        """,
    )
    early_stopping: bool = parameter(
        default=False,
        allowed=["boolean"],
        kind="bool",
        doc="""
        Whether to hold rows out, stop when their objective no longer improves, and restore the
        weights of the best epoch. Labels count in this objective as in training, and a warning is
        given if no label is held out. Epochs of the KL warm-up do not count, nor do the first
        epochs with ``distance_weight``, while its scale is measured.
        """,
    )
    validation_fraction: float = parameter(
        default=0.1,
        allowed=[_FRACTION],
        kind="float",
        doc="Fraction of rows held out by ``early_stopping``.",
    )
    n_epochs_no_change: int = parameter(
        default=10,
        allowed=[COUNT],
        kind="int",
        doc="Number of epochs without improvement after which ``early_stopping`` stops.",
    )
    warm_start: bool = parameter(
        default=False,
        allowed=["boolean"],
        kind="bool",
        doc="Whether `fit` continues from the current weights.",
    )
    device: str | torch.device = parameter(
        default="auto",
        allowed=[str, torch.device],
        shapes_model=True,
        kind="str or torch.device",
        doc='``"auto"`` uses a CUDA GPU if there is one, and the CPU otherwise.',
    )
    precision: str = parameter(
        default="float32",
        allowed=[StrOptions({"float32", "bfloat16", "auto"})],
        net="precision",
        kind='{"float32", "bfloat16", "auto"}',
        doc="""
        Number format for the matrix products of encoder and decoder in training steps.
        ``"bfloat16"`` has three significant digits and the range of float32. If the processor or
        GPU has instructions for it, large layers are several times as fast. Weights, latent space,
        likelihood, KL and optimiser stay in float32, and so does everything after training:
        validation, codes, scores. The model differs from the float32 model about as much as a model
        with another seed does. ``"auto"`` takes bfloat16 if there are such instructions and the
        layers are large enough to gain. With ``verbose`` a line reports the choice.
        """,
    )
    random_state: int | RandomState | None = parameter(
        default=None,
        allowed=["random_state"],
        kind="int, RandomState instance or None",
        doc="""
        Seeds weights, batches and draws. The global states of torch and NumPy are never changed.
        """,
    )
    callbacks: Sequence[Any] | None = parameter(
        default=None,
        allowed=[None, list, tuple],
        hint="Pass a list of skorch callbacks.",
        kind="list",
        doc="""
        skorch callbacks, which behave as skorch's documentation says. Callbacks that score get
        arrays of rows in model units, as ``net.module_`` reads them. A schedule of the learning
        rate continues in the next call.
        """,
    )
    verbose: int = parameter(
        default=0,
        allowed=["verbose"],
        kind="int",
        doc="1 shows a progress bar, 2 prints a line for each epoch.",
    )
