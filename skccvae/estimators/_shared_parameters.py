"""The constructor parameters that all estimators share. Each is written here and nowhere else."""

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
_OWN_NETWORK = "A torch module, or a callable that builds one, is welcome too."


def _likelihood_names() -> str:
    """List of the likelihoods: the name of each and the first line of its docstring."""
    entries = [
        f'- ``"{name}"``: {inspect.cleandoc(kind.__doc__ or "").splitlines()[0]}'
        for name, kind in LIKELIHOODS.items()
    ]
    lines = [
        textwrap.fill(e, 100, initial_indent=" " * 8, subsequent_indent=" " * 10) for e in entries
    ]
    return "\n".join(lines).lstrip()


@with_parameters
class SharedParameters:
    """Parameters of every estimator; what each means stands beside it."""

    coordinates: str = parameter(
        default="ambient", allowed=[COORDINATES]
    )  # a leaf says of which space
    hidden_layer_sizes: int | Sequence[int] = parameter(
        default=(256, 128),
        allowed=["array-like", COUNT],
        shapes_model=True,
        kind="array-like of int",
        doc="""
        Widths of the encoder's hidden layers; the decoder has the same in reverse. ``()`` gives
        linear maps. A convolutional network takes the last width for its one dense layer, a graph
        encoder the first for its messages.
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
        for images of shape (H, W), (H, W, C) or (C, H, W), with as many levels as their size needs;
        a last or first axis of size 1, 3 or 4 holds the channels, the last where both could.
        ``"molecular_graph"`` passes messages along the bonds of molecules: X is a column of SMILES
        strings or RDKit molecules, and the decoder describes their Morgan fingerprints: bits, or
        counts where the likelihood says so. For settings pass a `skccvae.molecules.MolecularGraph`.
        A module of yours is copied, so that fitting does not change it; a callable is called with
        the number of features and returns a module. It sees float32 batches of shape
        (n, n_features), or of the shape of the images. For angles it sees all cosines and then all
        sines, twice as many numbers, and for counts their inverse hyperbolic sine. A linear layer
        to the parameters of the posterior is added behind it.
        """,
    )
    decoder: str | nn.Module | Callable[..., nn.Module] = parameter(
        default="mlp",
        allowed=[StrOptions(set(NETWORKS)), callable],
        shapes_model=True,
        hint=_OWN_NETWORK,
        kind='{"mlp", "conv"}, torch.nn.Module or callable',
        doc="""
        Network from latent features to the likelihood's parameters; ``"conv"`` mirrors the
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
        Where the networks start. ``"pca"`` adds a linear path beside encoder and decoder. It starts
        at the principal components of the rows (of 10 000, if there are more), three rows for each
        at the least, and training goes on from there. The decoder starts at the regression on them,
        so that with normal likelihoods the model starts as probabilistic PCA, and with others as
        its like; that of angles, or of a likelihood of yours that does not define
        ``start_outputs``, starts at random. Networks other than ``"mlp"``, and latent spaces of
        yours that do not define ``start_at``, start at random too. So does a normal posterior on a
        small sphere if the rows wind round it, as a ring does; von Mises-Fisher and its like start
        there.
        """,
    )
    n_init: int | str = parameter(
        default="auto",
        allowed=[COUNT, AUTO],
        kind='int or "auto"',
        doc="""
        Number of starts, of which the one with the best objective is kept: the smallest validation
        loss with ``early_stopping``, else the mean training loss of the last tenth of the epochs. A
        sphere with a uniform prior has two starts at principal components, on a hemisphere and all
        round, which decide whether a ring of rows closes or tears. The first is the one that the
        rows seem to ask for, the second the other one, and further ones are random. ``"auto"`` is 2
        for `SphericalVAETransformer` with ``n_components=1`` that starts at components, and 1
        otherwise. One that diverges is passed over; where all do, `fit` raises the error of the
        first. `partial_fit`, and `fit` with ``warm_start``, go on from one model. Callbacks see the
        training of every start.
        """,
    )
    image_shape: Sequence[int] | None = parameter(
        default=None,
        allowed=[None, "array-like"],
        shapes_model=True,
        kind="tuple of int",
        doc="""
        Shape of one sample when X holds flattened images, which ``"conv"`` needs to know. Images
        with more than two dimensions need none.
        """,
    )
    likelihood: str | type[Likelihood] | Sequence[tuple[Any, Any]] = parameter(
        default="auto",
        allowed=[StrOptions({"auto", *LIKELIHOODS}), type, list, tuple],
        shapes_model=True,
        hint="A subclass of skccvae.nn.Likelihood (the class, not an instance) will do. For "
        "categories pass a list, such as [('categorical', columns), ('gaussian', others)].",
        kind="str, subclass of `skccvae.nn.Likelihood`, or list of (likelihood, columns)",
        doc="""
        Distribution p(x | z). ``"auto"`` takes ``"bernoulli"`` for zeros and ones, and for
        ``binarize``; ``"count_gaussian"`` for counts up to 1000 of things that are mostly there
        once: columns start at 0, and half of the entries that are not 0 are 1 (among the first
        million numbers); ``"isotropic_gaussian"`` where columns share a unit: none has more than
        ten times the range that three quarters of the columns exceed, or all are counts that start
        at 0 and go up to at most 1000; else ``"gaussian"``. A class of yours says itself how it
        scales X and what it accepts. The names are

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
        ``"dynamic"`` draws each pixel from a Bernoulli distribution afresh in each epoch; a float
        is a threshold above which a pixel is 1.
        """,
    )
    missing: str = parameter(
        default="error",
        allowed=[StrOptions({"error", "mask"})],
        shapes_model=True,
        kind='{"error", "mask"}',
        doc="""
        What NaN in X is, and None and ``pandas.NA`` in frames: an error, but for likelihoods that
        take it, or with ``"mask"`` a value that was not observed, under any likelihood. Then the
        log-likelihood of a row is that of what was observed. Scales and the start at PCA come from
        that, too. The encoder reads 0, in units of the model, where a value is missing, and beside
        the row an indicator of the missing values, by weights that start at 0 (with
        ``init="pca"``, where a missing value reads as the mean of its column). An encoder of yours
        reads the zeros alone. `impute` and `sample_missing` fill in what is missing.
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
        Epochs over which that weight grows linearly from 0 to ``beta``. ``"auto"`` takes half of
        the epochs of a first `fit`, but none if encoder and decoder start at PCA.
        """,
    )
    free_bits: float = parameter(
        default=0.0,
        allowed=[NON_NEGATIVE],
        net="criterion__free_bits",
        kind="float",
        doc="""
        KL in nats per latent dimension that costs nothing in training, so that no posterior
        collapses onto the prior early on. The KL in the objective is the mean over a batch, and at
        least ``free_bits`` times the dimension: for each factor of a product, and for a single
        space as a whole. Bounds that are reported do not contain it; ``objective="iwae"`` refuses
        it.
        """,
    )
    objective: str = parameter(
        default="elbo",
        allowed=[StrOptions({"elbo", "iwae"})],
        net="criterion__objective",
        kind='{"elbo", "iwae"}',
        doc="""
        Bound that is maximised. ``"iwae"`` is the importance-weighted bound with
        ``n_latent_samples`` draws; ``beta`` and the warm-up do not apply to it.
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
        rows of a batch, however few they are, and with 0 in a batch that has none. The other terms
        grow with the columns of X, so a tenth of their number is a good first value: 1 for ten
        columns, 100 for a fingerprint of a thousand bits. NaN, None, ``pandas.NA`` and masked
        entries mark rows without label. The number -1, which
        scikit-learn's semi-supervised classifiers take for "no label", is a label like any other
        here: replace it by NaN. A target of fractions, or of whole numbers that take many values
        (over 20, and over a tenth of the labels), is a regression. Any other is a classification,
        text always.
        """,
    )
    posterior_scale: str | float = parameter(
        default="free",
        allowed=[StrOptions({"free", "shared"}), POSITIVE],
        shapes_model=True,
        kind='{"free", "shared"} or float',
        doc="""
        Who chooses the scales of the posteriors, in units of the space: ``"free"``, each row for
        itself; ``"shared"``, one learned scale for all rows and directions; or a number. With one
        scale for all, a unit of geodesic distance is a unit of distinguishability everywhere, and
        the likelihood is lower. On a sphere with a uniform prior a law of scale s is as wide as a
        von Mises-Fisher law of concentration 1/(K s^2). In a product each factor has a scale of its
        own.
        """,
    )
    distance_weight: float = parameter(
        default=0.0,
        allowed=[NON_NEGATIVE],
        net="module__distance_weight",
        kind="float",
        doc="""
        Weight of a term that keeps distances: the stress between the geodesic distances of the
        locations of two rows and the distances of the rows, over the pairs of up to 64 rows of a
        batch, up to a common factor. It is 0 where they are proportional and at most 1. 1.0 is
        strong on any data: about sixteen times the weight that the reconstruction gives to the
        share of the rows that it cannot explain. Curvature pays where the distances of the rows are
        those of a tree or a sphere; then let a curvature that is learned start at 1 or -1.
        ``history_["stress"]`` records the stress.
        """,
    )
    distance_metric: str | Callable[..., Any] = parameter(
        default="euclidean",
        allowed=[StrOptions(set(ROW_DISTANCES)), callable],
        kind="str or callable",
        doc="""
        Distance of the rows for ``distance_weight``. Between rows as the encoder reads them (scaled
        for a Gaussian likelihood): ``"euclidean"`` or ``"l2"``, and ``"cityblock"``,
        ``"manhattan"`` or ``"l1"``. Between rows in the units of X: ``"cosine"``, ``"jaccard"`` for
        fingerprints, bits or counts (Tanimoto's), or a callable. It takes an array of shape (n, p)
        and returns the distances, shape (n, n), as the functions of `sklearn.metrics.pairwise` do;
        missing values are NaN in it, and 0 in units of the model for a metric by name. With
        ``encoder="molecular_graph"`` the rows are fingerprints.
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
        Decoupled weight decay, as in AdamW: each step takes the fraction ``learning_rate *
        weight_decay`` off every weight matrix, and nothing off biases, scales and a curvature. At
        the default learning rate 1 is much. That can pay for a perceptron on some hundred rows with
        many sparse columns and labels in training, and did not for graph encoders.
        """,
    )
    batch_size: int | str = parameter(
        default="auto",
        allowed=[COUNT, AUTO],
        net="batch_size",
        kind='int or "auto"',
        doc="""
        Rows in a training step. ``"auto"`` takes 128. A DataLoader, and a stream of batches, say
        themselves how large their batches are.
        """,
    )
    max_batches: int | None = parameter(
        default=None,
        allowed=[None, COUNT],
        kind="int",
        doc="""
        Most batches of a stream (``DataLoader`` or ``IterableDataset``) that `fit` reads in an
        epoch, and `partial_fit` in a call; each pass begins at the start of the stream. None reads
        to its end. Of arrays and map-style Datasets all rows are read.
        """,
    )
    max_epochs: int | str = parameter(
        default="auto",
        allowed=[COUNT, AUTO],
        net="max_epochs",
        kind='int or "auto"',
        doc="""
        Passes over the data. ``"auto"`` takes as many as 5000 training steps need, but at least 10
        and at most 60; ``n_iter_`` says how many those were. For a stream of unknown length, unless
        it ends among the rows that are looked at first, it takes 10.
        """,
    )
    early_stopping: bool = parameter(
        default=False,
        allowed=["boolean"],
        kind="bool",
        doc="""
        Whether to hold rows out, stop when their objective no longer improves, and restore the
        weights of the best epoch. Labels count in it as in training; a warning says where none is
        held out. Epochs of the KL warm-up do not count, nor the first ones with
        ``distance_weight``, while its scale is measured.
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
        doc="Epochs without improvement after which ``early_stopping`` stops.",
    )
    warm_start: bool = parameter(
        default=False,
        allowed=["boolean"],
        kind="bool",
        doc="Whether `fit` goes on from the current weights.",
    )
    device: str | torch.device = parameter(
        default="auto",
        allowed=[str, torch.device],
        shapes_model=True,
        kind="str or torch.device",
        doc='``"auto"`` uses a CUDA GPU where there is one, else the CPU.',
    )
    precision: str = parameter(
        default="float32",
        allowed=[StrOptions({"float32", "bfloat16", "auto"})],
        net="precision",
        kind='{"float32", "bfloat16", "auto"}',
        doc="""
        Numbers that the matrix products of encoder and decoder multiply in training steps.
        ``"bfloat16"`` has three significant digits and the range of float32. Where the processor or
        GPU has instructions for it, large layers are several times as fast. Weights, latent space,
        likelihood, KL and optimiser stay float32, and so does all that follows the training:
        validation, codes, scores. The model differs from that of float32 about as much as that of
        another seed. ``"auto"`` takes it where there are such instructions and the layers are large
        enough to gain; with ``verbose`` a line says what it took.
        """,
    )
    random_state: int | RandomState | None = parameter(
        default=None,
        allowed=["random_state"],
        kind="int, RandomState instance or None",
        doc="""
        Seeds weights, batches and draws. The global states of torch and NumPy are never touched.
        """,
    )
    callbacks: Sequence[Any] | None = parameter(
        default=None,
        allowed=[None, list, tuple],
        hint="Pass a list of skorch callbacks.",
        kind="list",
        doc="""
        skorch callbacks, which do what its documentation says. Those that score get arrays of rows
        in model units, as ``net.module_`` reads them. A schedule of the learning rate goes on in
        the next call.
        """,
    )
    verbose: int = parameter(
        default=0,
        allowed=["verbose"],
        kind="int",
        doc="1 shows a progress bar, 2 prints a line for each epoch.",
    )
