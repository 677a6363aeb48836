"""Tools for gradients that are written by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

__all__ = ["first_order_only", "with_derivative"]


def first_order_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a backward method so that it raises under ``create_graph=True``.

    torch's ``once_differentiable`` raises only if the incoming gradient itself requires a gradient.
    If that gradient is a constant, a second derivative would silently miss a term.
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
    """Evaluate an elementwise function whose derivative is known in closed form.

    Parameters
    ----------
    x : Tensor
        Argument. It can be differentiated once.
    evaluate : callable
        ``evaluate(x) -> (value, derivative)``. It is called outside autograd. Both results have a
        shape to which x broadcasts, and any floating-point dtype.

    Returns
    -------
    Tensor
        The value, in the dtype of x.

    Examples
    --------
    >>> import torch
    >>> from skccvae.special._autograd import with_derivative
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = with_derivative(x, lambda x: (x**3, 3 * x**2))
    >>> y.backward()
    >>> y.item(), x.grad.item()
    (8.0, 12.0)
    """
    return _WithDerivative.apply(x, evaluate)
