"""Rooted trees given by the parent of each node."""

from __future__ import annotations

import numpy as np


def ancestors(parent: np.ndarray) -> np.ndarray:
    """List the nodes on the path from the root to each node.

    Parameters
    ----------
    parent : ndarray of shape (n_nodes,), int
        Parent of each node. Node 0 is the root, with parent -1. Parents come before children.

    Returns
    -------
    table : ndarray of shape (n_nodes, depth + 1), int64
        Row i starts with the root and ends with node i; -1 fills the rest.

    Raises
    ------
    ValueError
        If a parent does not come before its child, which also rules out cycles.
    """
    parent = np.asarray(parent)
    nodes = np.arange(len(parent))
    if parent[0] != -1 or (parent[1:] < 0).any() or (parent >= nodes).any():
        raise ValueError(
            "expected -1 as the parent of node 0, and for every other node the number of a node "
            "before it; sort the nodes by their depth"
        )
    level = np.zeros(len(parent), dtype=np.int64)
    for node in nodes[1:]:
        level[node] = level[parent[node]] + 1
    table = np.full((len(parent), level.max() + 1), -1)
    for d in range(table.shape[1]):
        here = np.flatnonzero(level == d)
        if d > 0:
            table[here] = table[parent[here]]
        table[here, d] = here
    return table


def depths(table: np.ndarray) -> np.ndarray:
    """Edges from the root to each node, of shape (n_nodes,), from the table of `ancestors`."""
    return (table >= 0).sum(axis=1) - 1


def distances(table: np.ndarray) -> np.ndarray:
    """Number of edges between every two nodes, up to the last common ancestor and down again.

    Parameters
    ----------
    table : ndarray of shape (n_nodes, depth + 1), int64
        The result of `ancestors`.

    Returns
    -------
    distances : ndarray of shape (n_nodes, n_nodes), int16
    """
    shared = np.full((len(table), len(table)), -1, dtype=np.int16)
    for at in table.T:
        shared += (at[:, None] == at[None, :]) & (at >= 0)[:, None]
    level = depths(table).astype(np.int16)
    return level[:, None] + level[None, :] - 2 * shared
