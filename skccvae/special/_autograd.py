"""What the hand-written gradients share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

__all__ = ["first_order_only", "with_derivative"]


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


class _WithDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, evaluate: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        value, slope = evaluate(x)
        ctx.save_for_backward(slope.to(x.dtype))
        ctx.shape = x.shape
        return value.to(x.dtype)

    @staticmethod
    @first_order_only
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0] * ctx.saved_tensors[0]
        return (grad if grad.shape == ctx.shape else grad.sum_to_size(ctx.shape)), None


def with_derivative(x: Tensor, evaluate: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Value of an elementwise function whose derivative is known in closed form.

    Parameters
    ----------
    x : Tensor
        Argument; gradients flow to it, once.
    evaluate : callable
        ``evaluate(x) -> (value, derivative)``, called outside of autograd, of shapes that x
        broadcasts to, in any floating-point dtype.

    Returns
    -------
    Tensor
        The value, in the dtype of x.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = with_derivative(x, lambda x: (x**3, 3 * x**2))
    >>> y.backward()
    >>> y.item(), x.grad.item()
    (8.0, 12.0)
    """
    return _WithDerivative.apply(x, evaluate)
