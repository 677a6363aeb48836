"""Registry of distributions and layers with an accelerator, and the conditions for using it.

Before an operation that may have a fast form, a model calls `accelerator`. The result is a
function, or None for the plain path. Distributions do not import accelerators; only this file knows
both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skccvae.distributions import (
    PowerSpherical,
    ProjectedNormal,
    RiemannianNormal,
    VonMisesFisher,
    WrappedNormal,
)
from skccvae.kernels import (
    hyperplanes,
    limited_wrapped_normal,
    projected_normal,
    riemannian_normal,
    rotationally_symmetric,
    stress,
    wrapped_normal,
)
from skccvae.kernels.concentration_table import power_spherical_table, von_mises_fisher_table
from skccvae.kernels.projected_normal_table import radius_table
from skccvae.special.trigonometry import FLAT

__all__ = ["accelerator", "are_enabled", "disabled"]

_enabled: ContextVar[bool] = ContextVar("skccvae_kernels_enabled", default=True)

# The file with the step, and the table that it reads, by ambient dimension.
_TABLES: dict[type | str, tuple[Any, Callable[[int], Any]]] = {
    VonMisesFisher: (rotationally_symmetric, von_mises_fisher_table),
    PowerSpherical: (rotationally_symmetric, power_spherical_table),
    ProjectedNormal: (projected_normal, radius_table),
}
_STEPS: dict[type | str, Callable[..., Any]] = {
    WrappedNormal: wrapped_normal.step,
    RiemannianNormal: riemannian_normal.step,
    "hyperplanes": hyperplanes.step,
    "stress": stress.step,
}

# Steps that begin at the outputs of a network. For those that read a table, the outputs are a
# direction and one more number.
_FROM_OUTPUTS: dict[type | str, Callable[..., Any]] = {
    VonMisesFisher: rotationally_symmetric.limited_step,
    PowerSpherical: rotationally_symmetric.limited_step,
    WrappedNormal: limited_wrapped_normal.step,
}


def are_enabled() -> bool:
    """Whether accelerators are used here. They are not used inside `disabled`.

    Returns
    -------
    bool

    Examples
    --------
    >>> import skccvae
    >>> skccvae.kernels.are_enabled()
    True
    >>> with skccvae.kernels.disabled():
    ...     skccvae.kernels.are_enabled()
    False
    """
    return _enabled.get()


@contextmanager
def disabled() -> Iterator[None]:
    """Turn off all accelerators inside the block.

    Models then use only the plain path and give the same numbers up to rounding. This helps with
    reading and debugging, and allows second derivatives where the plain path relies on autograd.
    The switch affects the thread (or task) that enters the block. Threads and processes started
    inside the block, such as the workers of ``n_jobs=2``, keep their accelerators.

    Examples
    --------
    >>> import numpy as np
    >>> import skccvae
    >>> X = np.random.default_rng(0).random((60, 5))
    >>> vae = skccvae.HyperbolicVAETransformer(max_epochs=2, random_state=0)
    >>> fast = vae.fit_transform(X)
    >>> with skccvae.kernels.disabled():
    ...     plain = vae.fit_transform(X)
    >>> bool(np.allclose(fast, plain, atol=1e-4))
    True
    """
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def accelerator(
    of: type | str,
    x: Tensor,
    noise: Tensor | None = None,
    curvature: float | Tensor = 0.0,
    outputs: bool = False,
) -> Callable[..., Any] | None:
    """Return the fast form of a training step or of a layer, if one fits these tensors.

    Parameters
    ----------
    of : type or {"hyperplanes", "stress"}
        A class of `skccvae.distributions`, or the name of a layer or term.
    x : Tensor
        The location of the posterior as the network outputs it, or the input of the layer. With
        ``outputs``, all outputs of the network for the posterior.
    noise : Tensor, optional
        Standard normal noise for the draw.
    curvature : float or Tensor, default=0.0
        Curvature of the space; a tensor if it is learned.
    outputs : bool, default=False
        Whether the step begins at the outputs of the network.

    Returns
    -------
    callable or None
        The function in `skccvae.kernels` for this distribution or layer, or None if there is no
        such function, if the conditions below do not hold, or inside `disabled`.

    Notes
    -----
    =====================  ====================================================================
    distribution or layer  conditions
    =====================  ====================================================================
    von Mises-Fisher,      float32, at least three ambient coordinates, one draw per row
    power spherical
    projected normal       float32
    wrapped normal         the curvature is a number other than 0, or a tensor on the CPU
    Riemannian normal      the curvature is a number, or a tensor on the CPU
    hyperplanes            as for the wrapped normal
    stress                 as for the Riemannian normal
    =====================  ====================================================================

    The steps of the von Mises-Fisher and power spherical distributions may also begin at the
    outputs of the network. So may that of the wrapped normal if the curvature is a number below 0.

    A learned curvature on another device has no accelerator, because reading its value would wait
    for the device.

    Examples
    --------
    >>> import torch
    >>> from skccvae.distributions import VonMisesFisher
    >>> from skccvae.kernels import accelerator
    >>> direction, noise = torch.eye(3), torch.zeros(3, 4)
    >>> step = accelerator(VonMisesFisher, direction, noise)
    >>> z, kl = step(direction, torch.zeros(3), noise)
    >>> kl  # of concentration 2 on the sphere in R^3
    tensor([0.4794, 0.4794, 0.4794])
    >>> accelerator(VonMisesFisher, direction.double(), noise.double()) is None
    True
    """
    if isinstance(of, str) and of not in _STEPS:
        layers = [key for key in _STEPS if isinstance(key, str)]
        raise ValueError(f"of must be a distribution or one of the layers {layers}; got {of!r}.")
    # An exported graph consists of torch's own operations, and its values are not known.
    if torch.compiler.is_compiling() or not are_enabled():
        return None
    if outputs and of not in _FROM_OUTPUTS:
        return None
    if of in _TABLES:
        if noise is None:
            raise TypeError(f"the step of {of!r} makes a draw, so pass its noise as a tensor.")
        file, table = _TABLES[of]
        direction, begin = (x[..., :-1], _FROM_OUTPUTS[of]) if outputs else (x, file.step)
        if not file.applies(direction, noise):
            return None
        return partial(begin, table(direction.shape[-1]))
    if outputs and (isinstance(curvature, Tensor) or curvature >= 0):
        return None
    step = _FROM_OUTPUTS[of] if outputs else _STEPS.get(of)
    known = not isinstance(curvature, Tensor) or curvature.device.type == "cpu"
    if step is None or not known or x.dtype not in (torch.float32, torch.float64):
        return None
    flat = not isinstance(curvature, Tensor) and abs(curvature) < FLAT
    return None if flat and of in (WrappedNormal, "hyperplanes") else step
