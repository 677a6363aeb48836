"""The modes of torch that the estimators need, regardless of the caller's modes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def own_modes(grad: bool = False) -> Iterator[None]:
    """Leave the caller's inference mode, autocast and default device for a block or a function.

    These settings belong to the thread, so other threads see no change. Torch's default dtype
    belongs to the process, but nothing in this package depends on it.

    Parameters
    ----------
    grad : bool, default=False
        Whether operations are recorded for gradients.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training import own_modes
    >>> @own_modes(grad=True)
    ... def recorded():
    ...     return torch.is_grad_enabled()
    >>> with torch.no_grad():
    ...     recorded()
    True
    """
    with ExitStack() as modes:
        if torch.is_inference_mode_enabled():
            modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.set_grad_enabled(grad))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            # Only if needed, because this mode slows down every call of torch.
            modes.enter_context(torch.device("cpu"))
        yield
