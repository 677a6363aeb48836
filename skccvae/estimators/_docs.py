"""Documentation that all estimators share, written once."""

from __future__ import annotations

import inspect
import textwrap
from typing import TypeVar

from skccvae.nn import LIKELIHOODS, Likelihood

T = TypeVar("T", bound=type)

_PARAMETERS = """
hidden_layer_sizes : array-like of int, default=(256, 128)
    Widths of the encoder's hidden layers; the decoder has the same in reverse. ``()`` gives
    linear maps. A convolutional network takes the last width for its one dense layer, a graph
    encoder the first for its messages.
activation : {"relu", "elu", "gelu", "silu", "tanh", "softplus", "leaky_relu"}, default="relu"
    Activation after each hidden layer.
encoder : {"mlp", "conv", "molecular_graph"}, MolecularGraph, torch.nn.Module or callable, \
        default="mlp"
    Network from rows to hidden features. ``"conv"`` is a compact residual convolutional network
    for images of shape (H, W), (H, W, C) or (C, H, W), with as many levels as their size needs;
    a last or first axis of size 1, 3 or 4 holds the channels, the last where both could.
    ``"molecular_graph"`` passes messages along the bonds of molecules: X is a column of SMILES
    strings or RDKit molecules, and the decoder describes their Morgan fingerprints: bits, or counts
    where ``likelihood`` is one of
    {count_likelihoods}.
    For settings pass a `skccvae.molecules.MolecularGraph`. A module of yours is copied, so that
    fitting does not change it; a callable is called with the number of features and returns a
    module. It sees float32 batches of shape (n, n_features), or of the shape of the images. For
    angles it sees all cosines and then all sines, twice as many numbers, and for counts their
    inverse hyperbolic sine. A linear layer to the posterior's parameters is added behind it.
decoder : {"mlp", "conv"}, torch.nn.Module or callable, default="mlp"
    Network from latent features to the likelihood's parameters; ``"conv"`` mirrors the
    convolutional encoder. A callable is called with the number of latent features and the
    number of outputs.
image_shape : tuple of int, default=None
    Shape of one sample when X holds flattened images, which ``"conv"`` needs to know. Images
    with more than two dimensions need none.
likelihood : str or subclass of `skccvae.nn.Likelihood`, default="auto"
    Distribution p(x | z). ``"auto"`` takes ``"bernoulli"`` when all of X lies in [0, 1] (or is
    8-bit images), else ``"gaussian"``. A class of yours says itself how it scales X and what it
    accepts. The names are

{likelihoods}
binarize : {None, "dynamic"} or float, default=None
    ``"dynamic"`` draws each pixel from a Bernoulli distribution afresh in each epoch; a float
    is a threshold above which a pixel is 1.
beta : float, default=1.0
    Weight of the KL divergence in the objective.
kl_warmup_epochs : int, default=0
    Epochs over which that weight grows linearly from 0 to ``beta``.
free_bits : float, default=0.0
    Nats a latent dimension up to which the KL costs nothing in training, so that no posterior
    collapses onto the prior early on: the KL that enters the objective is at least ``free_bits``
    times the dimension, on the mean over a batch, for each factor of a product and for a single
    space as a whole. Bounds that are reported do not contain it; ``objective="iwae"`` refuses it.
objective : {"elbo", "iwae"}, default="elbo"
    Bound that is maximised. ``"iwae"`` is the importance-weighted bound with
    ``n_latent_samples`` draws; ``beta`` and the warm-up do not apply to it.
n_latent_samples : int, default=1
    Draws from the posterior for each row in a training step.
supervised_weight : float, default=0.0
    Weight of the log-likelihood of y in the objective. Above 0, `fit` needs y, in which NaN (or
    None) marks rows without label, and a small network predicts y from the latent point. A target
    of fractions, or of whole numbers that take many values (over 20, and over a tenth of the
    labels), is a regression; any other is a classification.
learning_rate : float, default=1e-3
    Step size of Adam.
batch_size : int, default=128
    Rows in a training step.
max_epochs : int, default=50
    Passes over the data.
early_stopping : bool, default=False
    Whether to hold rows out, stop when their objective no longer improves, and restore the
    weights of the best epoch. Epochs of the KL warm-up do not count.
validation_fraction : float, default=0.1
    Fraction of rows held out by ``early_stopping``.
n_epochs_no_change : int, default=10
    Epochs without improvement after which ``early_stopping`` stops.
warm_start : bool, default=False
    Whether `fit` goes on from the current weights.
device : str or torch.device, default="auto"
    ``"auto"`` uses a CUDA GPU where there is one, else the CPU.
random_state : int, RandomState instance or None, default=None
    Seeds weights, batches and draws. The global states of torch and NumPy are never touched.
callbacks : list, default=None
    skorch callbacks.
verbose : int, default=0
    1 shows a progress bar, 2 prints a line for each epoch.
""".strip()

_ATTRIBUTES = """
n_features_in_ : int
    Number of columns of X; for images the numbers in one, 1 for molecules.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns, where X had names that are all strings.
n_iter_ : int
    Epochs run by the last call of `fit` or `partial_fit`.
loss_curve_ : list of float
    Training loss of each epoch: minus the objective (with ``beta`` and ``free_bits``), in nats a
    row.
history_ : dict of list
    For each epoch ``"epoch"``, ``"train_loss"``, ``"elbo"``, ``"reconstruction"``, ``"kl"``,
    ``"beta"``, seconds ``"dur"``, and ``"valid_..."`` with early stopping;
    ``pandas.DataFrame(history_)`` makes a table of it.
net_ : skorch.NeuralNet
    The trained net; ``net_.module_`` is the torch module.
manifold_ : Manifold
    The latent space.
curvature_ : float
    Its curvature.
likelihood_ : str
    The likelihood in use: its name, or the import path of a class of yours.
device_ : str
    The device in use.
""".strip()


def _counts() -> str:
    """Names of the likelihoods that describe the counts of a fingerprint."""
    kinds = (kind for kind in LIKELIHOODS.values() if kind.fingerprint == "counts")
    return ", ".join(f'``"{kind.name}"``' for kind in kinds)


def _summary(kind: type[Likelihood]) -> str:
    """Entry of a list: the name of a likelihood and the first line of its docstring."""
    entry = f'- ``"{kind.name}"``: {inspect.cleandoc(kind.__doc__ or "").splitlines()[0]}'
    return textwrap.fill(entry, 100, initial_indent=" " * 4, subsequent_indent=" " * 6)


_MARKS = {
    "{shared_parameters}": _PARAMETERS,
    "{shared_attributes}": _ATTRIBUTES,
    "{likelihoods}": "\n".join(map(_summary, LIKELIHOODS.values())),
    "{count_likelihoods}": _counts(),
}


def with_shared_docs(cls: T) -> T:
    """Fill the marks in a class's docstring with the documentation that all estimators share."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    for mark, text in _MARKS.items():
        doc = doc.replace(mark, text)
    cls.__doc__ = doc
    return cls
