"""What the hand-written gradients share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

__all__ = ["first_order_only"]


def first_order_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a backward pass whose own graph is wanted.

    torch's ``once_differentiable`` complains only where the incoming gradient requires one itself;
    with a constant one a second derivative would silently be missing a term.
    """

    @wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this function has a first derivative only; call backward or grad without "
                "create_graph=True."
            )
        return backward(ctx, *grads)

    return wrapper
