"""What ``precision="auto"`` means: bfloat16 for large products if the hardware supports it."""

from __future__ import annotations

from typing import Any

from torch import nn

from skccvae.nn.precision import knows_bfloat16, matrix_layers
from skccvae.vae import VAE

# Number of multiplications in a step's forward pass from which bfloat16 was clearly faster in dense
# layers. Below it, the cost of rounding and of smaller products outweighs the gain. A GPU needs
# more, because it finishes a float32 product before the next one is launched.
_LARGE = {"cpu": 2**25, "cuda": 2**32}


def resolve_precision(precision: str, module: VAE, device: Any, batch_size: int) -> str:
    """Turn the parameter ``precision`` into a type of numbers.

    The choice depends only on hardware and sizes, so that fits are repeatable on one machine.

    Parameters
    ----------
    precision : {"float32", "bfloat16", "auto"}
        The parameter.
    module : VAE
        The model.
    device : str or torch.device
        Where it is trained.
    batch_size : int
        Rows in a training step.

    Returns
    -------
    {"float32", "bfloat16"}
        For ``"auto"``, float32 with convolutions, which spend most time in other operations.

    Examples
    --------
    >>> from skccvae.estimators._precision import resolve_precision
    >>> from skccvae.nn import BernoulliLikelihood, EuclideanLatent, mlp
    >>> from skccvae.vae import VAE
    >>> small = VAE(mlp(6, (8,), "relu"), EuclideanLatent(2), mlp(2, (8,), "relu", 6),
    ...             BernoulliLikelihood(6))
    >>> resolve_precision("auto", small, "cpu", 128), resolve_precision("bfloat16", small, "cpu", 1)
    ('float32', 'bfloat16')
    """
    if precision != "auto":
        return precision
    if not knows_bfloat16(device):
        return "float32"
    layers = [*matrix_layers(module.encoder), *matrix_layers(module.decoder)]
    if not all(isinstance(layer, nn.Linear) for layer in layers):
        return "float32"
    weights = sum(p.numel() for layer in layers for p in layer.parameters() if p.dim() > 1)
    large = _LARGE["cuda" if "cuda" in str(device) else "cpu"]
    return "bfloat16" if weights * batch_size >= large else "float32"
