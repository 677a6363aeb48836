"""Tables of functions of one or two variables: piecewise polynomials on uniform cells.

A function is sampled at the Chebyshev-Lobatto points of each cell, which include the edges, so
neighbouring cells agree there. Each cell stores monomial coefficients in its local variable t in
[0, 1]. A table is built in float64 on the CPU. Reading it takes a few tensor operations on any
device and never waits for the device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cell_nodes(n_cells: int, degree: int) -> Tensor:
    """The n_cells * degree + 1 sample points in [0, n_cells], in increasing order, in float64."""
    angles = torch.arange(degree, dtype=torch.float64, device="cpu") * (math.pi / degree)
    local = 0.5 * (1 - torch.cos(angles))
    starts = torch.arange(n_cells, dtype=torch.float64, device="cpu")
    inner = (starts.unsqueeze(-1) + local).reshape(-1)
    return torch.cat((inner, torch.full((1,), float(n_cells), dtype=torch.float64, device="cpu")))


def _monomials_from_values(degree: int) -> Tensor:
    """Matrix that maps values at a cell's nodes to monomial coefficients in t in [0, 1]."""
    nodes = cell_nodes(1, degree)
    powers = nodes.unsqueeze(-1) ** torch.arange(degree + 1, dtype=torch.float64, device="cpu")
    return torch.linalg.inv(powers)


def fit_curves(values: Tensor, n_cells: int, degree: int) -> Tensor:
    """Coefficients (n_cells, degree + 1, n_curves) of curves sampled at `cell_nodes`.

    Parameters
    ----------
    values : Tensor
        Shape (n_cells * degree + 1, n_curves), float64.
    n_cells, degree : int
        Number of cells, and degree of the polynomials.
    """
    cells = values.unfold(0, degree + 1, degree)  # (n_cells, n_curves, degree + 1)
    return (_monomials_from_values(degree) @ cells.transpose(1, 2)).contiguous()


def fit_surface(values: Tensor, n_cells: tuple[int, int], degree: int) -> Tensor:
    """Coefficients (n_cells[0] * n_cells[1], degree + 1, degree + 1) of a sampled surface.

    Parameters
    ----------
    values : Tensor
        Shape (n_cells[0] * degree + 1, n_cells[1] * degree + 1), float64.
    n_cells : (int, int)
        Number of cells along each axis.
    degree : int
        Degree of the polynomials in each variable.
    """
    to_monomials = _monomials_from_values(degree)
    cells = values.unfold(0, degree + 1, degree).unfold(1, degree + 1, degree)
    coefficients = to_monomials @ cells @ to_monomials.T
    return coefficients.reshape(-1, degree + 1, degree + 1).contiguous()


def locate(position: Tensor, n_cells: int) -> tuple[Tensor, Tensor]:
    """Cell index and local variable t of a position in [0, n_cells].

    The index is clamped *after* the conversion to an integer. A NaN position then reads some cell
    of the table, never memory outside it, and the result is NaN because t is NaN.
    """
    index = position.long().clamp_(0, n_cells - 1)
    return index, position - index


def cells_at(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]``. For a single index, torch would read its value and wait for the device."""
    return table[index] if index.dim() else table[index[None]].squeeze(0)


def read_curves(table: Tensor, index: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    """Values at (index, t) of all curves in a `fit_curves` table, each with the shape of index."""
    n_coefficients, n_curves = table.shape[1:]
    rows = cells_at(table, index).unbind(-2)
    t = t.unsqueeze(-1) if n_curves > 1 else t
    value = rows[-1] if n_curves > 1 else rows[-1].squeeze(-1)
    for k in range(n_coefficients - 2, -1, -1):
        value = torch.addcmul(rows[k] if n_curves > 1 else rows[k].squeeze(-1), value, t)
    return value.unbind(-1) if n_curves > 1 else (value,)


def read_surface(table: Tensor, index: Tensor, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
    """Value of a `fit_surface` table and its derivative in t1.

    The index counts the cells row by row; index, t0 and t1 have equal shapes.
    """
    degree = table.shape[-1] - 1
    rows = cells_at(table, index).unbind(-2)
    t0 = t0.unsqueeze(-1)
    section = rows[degree]
    for k in range(degree - 1, -1, -1):
        section = torch.addcmul(rows[k], section, t0)
    coefficients = section.unbind(-1)
    derivative = coefficients[degree]
    value = torch.addcmul(coefficients[degree - 1], derivative, t1)
    for k in range(degree - 2, -1, -1):
        derivative = torch.addcmul(value, derivative, t1)
        value = torch.addcmul(coefficients[k], value, t1)
    return value, derivative
