"""Branching diffusion: noisy observations of a random tree, as data of hyperbolic geometry."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skccvae._sklearn import Interval, StrOptions, validate_params
from skccvae.datasets._base import pack
from skccvae.datasets._trees import ancestors, depths, distances

# The matrix of tree distances has n_nodes^2 entries of two bytes: half a GiB at this size.
_MAX_NODES = 16384
_DESCR = """\
Branching diffusion
-------------------

The root of a tree lies at the origin. Every other node is drawn from a normal around its parent.
The rows are noisy observations of the nodes. Distances between nodes grow with the number of edges
between them. A hyperbolic space embeds such distances in few dimensions; a flat space does not.

Mathieu, E., Le Lan, C., Maddison, C. J., Tomioka, R. and Teh, Y. W. (2019). Continuous hierarchical
representations with Poincaré variational auto-encoders. NeurIPS 32.
"""


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 0, None, closed="left")],
        "branching": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "observation_scale": [Interval(Real, 0, None, closed="left"), None],
        "standardize": ["boolean"],
        "shuffle": ["boolean"],
        "target": [StrOptions({"depth", "node", "branch"})],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_branching_diffusion(
    n_samples: int = 635,
    *,
    depth: int = 6,
    branching: int = 2,
    n_features: int = 50,
    scale: float = 1.0,
    observation_scale: float | None = None,
    standardize: bool = True,
    shuffle: bool = True,
    target: str = "depth",
    return_X_y: bool = False,
    as_frame: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch | tuple[Any, Any]:
    r"""Generate noisy observations of a random tree (Mathieu et al. 2019, section 5).

    The root lies at the origin, and every other node is drawn around its parent,
    :math:`x_i \sim N(x_{\mathrm{parent}(i)}, \sigma^2 I)` in `n_features` dimensions. A row is a
    node plus noise. The defaults are those of the paper: a binary tree of depth 6 in 50
    dimensions, five observations per node with a fifth of the variance of a step.

    Parameters
    ----------
    n_samples : int, default=635
        Number of rows, spread over the nodes as evenly as possible: each of the n nodes is
        observed ``n_samples // n`` times, and a random choice of nodes once more.
    depth : int, default=6
        Number of edges from the root to a leaf. 0 gives only the root.
    branching : int, default=2
        Number of children of each inner node. 1 gives a chain.
    n_features : int, default=50
        Ambient dimension.
    scale : float, default=1.0
        Standard deviation :math:`\sigma` of a step from parent to child, per feature.
    observation_scale : float, default=None
        Standard deviation of the noise of a row, per feature. None means
        :math:`\sigma / \sqrt{5}`; 0 repeats the nodes.
    standardize : bool, default=True
        Whether to shift and scale the features of the rows to mean 0 and variance 1, as the paper
        does. The nodes get the same shift and scale. A constant feature is only shifted.
    shuffle : bool, default=True
        Whether to shuffle the rows; otherwise they come node by node.
    target : {"depth", "node", "branch"}, default="depth"
        What `target` holds for each row: the number of edges from the root, the number of the node,
        or the number (from 1) of the root's child above the node, with 0 for the root itself.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` is a pandas DataFrame and `target` a Series.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data on every call.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (n_samples, n_features)
            Noisy observations of nodes.
        target : ndarray of shape (n_samples,), int64
            The quantity named by the parameter `target`.
        node : ndarray of shape (n_samples,), int64
            The node that each row observes. The root is 0, and nodes are numbered level by level.
        positions : ndarray of shape (n_nodes, n_features)
            The nodes, in the units of `data`.
        parent : ndarray of shape (n_nodes,), int64
            Parent of each node; -1 for the root.
        depth : ndarray of shape (n_nodes,), int64
            Number of edges from the root to each node.
        tree_distances : ndarray of shape (n_nodes, n_nodes), int16
            Number of edges between every two nodes. ``tree_distances[np.ix_(node, node)]`` gives
            them between every two rows, of shape (n_samples, n_samples).
        feature_names : list of str
            Names of the columns of `data`.
        frame : DataFrame or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    ValueError
        If a parameter is outside its domain, or the tree has more than 16384 nodes.

    See Also
    --------
    load_mammals : A real tree.
    make_sphere_mixture : Data of spherical geometry.

    References
    ----------
    Mathieu, E., Le Lan, C., Maddison, C. J., Tomioka, R. and Teh, Y. W. (2019). Continuous
    hierarchical representations with Poincaré variational auto-encoders. NeurIPS 32.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.datasets import make_branching_diffusion
    >>> tree = make_branching_diffusion(depth=2, n_samples=14, random_state=0)
    >>> tree.data.shape
    (14, 50)
    >>> tree.parent
    array([-1,  0,  0,  1,  1,  2,  2])
    >>> tree.tree_distances[3]
    array([2, 1, 3, 0, 2, 4, 4], dtype=int16)

    Between the rows:

    >>> tree.tree_distances[np.ix_(tree.node, tree.node)].shape
    (14, 14)
    """
    rng = check_random_state(random_state)
    parent = _parents(depth, branching)
    table = ancestors(parent)
    level = depths(table)
    n_nodes = len(parent)
    positions = np.zeros((n_nodes, n_features))
    for d in range(1, depth + 1):
        here = np.flatnonzero(level == d)
        step = rng.standard_normal((len(here), n_features))
        positions[here] = positions[parent[here]] + scale * step

    each, left = divmod(n_samples, n_nodes)
    extra = rng.choice(n_nodes, size=left, replace=False)
    node = np.sort(np.concatenate([np.repeat(np.arange(n_nodes), each), extra]))
    if shuffle:
        node = rng.permutation(node)
    noise = scale / np.sqrt(5.0) if observation_scale is None else observation_scale
    data = positions[node] + noise * rng.standard_normal((n_samples, n_features))
    if standardize:
        mean, std = data.mean(axis=0), data.std(axis=0)
        std[std == 0.0] = 1.0
        data = (data - mean) / std
        positions = (positions - mean) / std

    labels = {"depth": level, "node": np.arange(n_nodes), "branch": _branch(table)}
    return pack(
        "make_branching_diffusion",
        data=data,
        target=labels[target][node],
        feature_names=[f"x{j}" for j in range(n_features)],
        target_columns=[target],
        return_X_y=return_X_y,
        as_frame=as_frame,
        node=node,
        positions=positions,
        parent=parent,
        depth=level,
        tree_distances=distances(table),
        DESCR=_DESCR,
    )


def _parents(depth: int, branching: int) -> np.ndarray:
    """Parent of each node of a complete tree, numbered level by level, and -1 for the root."""
    sizes = [1]
    while len(sizes) <= depth and sum(sizes) <= _MAX_NODES:
        sizes.append(sizes[-1] * branching)
    if sum(sizes) > _MAX_NODES:
        raise ValueError(
            f"a tree of depth {depth} and branching {branching} has more than {_MAX_NODES} nodes; "
            "lower one of the two"
        )
    # In level order the children of node i are branching * i + 1, ..., branching * i + branching.
    return (np.arange(sum(sizes)) - 1) // branching


def _branch(table: np.ndarray) -> np.ndarray:
    """Child of the root (nodes 1, 2, ...) above or at each node, and 0 for the root."""
    return np.maximum(table[:, 1], 0) if table.shape[1] > 1 else np.zeros(1, np.int64)
