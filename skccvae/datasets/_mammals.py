"""WordNet's nouns below mammal: a real tree, included in the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skccvae._sklearn import validate_params
from skccvae.datasets._base import pack, packaged_table
from skccvae.datasets._trees import ancestors, depths, distances

# A group of the target has at least this many synsets. Smaller ones are "other".
_MIN_GROUP = 10
_DESCR = """\
Mammals in WordNet
------------------

The 1182 noun synsets of WordNet 3.1 at or below "mammal" (mammal.n.01). They include orders of
mammals, breeds of dogs and famous racehorses. Their hypernyms (what each one is a kind of) make a
tree of depth 9. A row is a synset, and the columns say which synsets it is or lies below. The
number of edges between two synsets measures how far apart they are.

The tree: a synset hangs below its first hypernym that is at or below "mammal". This leaves out a
single hypernym there, pachyderm above elephant. An instance (Secretariat) hangs below the synset
that it is an instance of (thoroughbred).

The columns: there is one for each synset that others lie below, except the root, whose column would
be constant. A synset without hyponyms has the same row as the synset above it, so 292 of the 1182
rows are distinct. Euclidean distances between the rows have a correlation of .948 with the tree's
distances, over all pairs (Spearman's is .967). A map of the rows has to exceed this to add
anything.

The target: the synset directly below "placental", or below "mammal", that a synset is or lies below
(carnivores, rodents, marsupials, ...), if it holds at least ten synsets, and "other" otherwise.

Synsets are named as in NLTK: first word, part of speech, number of the sense. They are sorted by
depth, and by name within a depth, so shuffle them before a split.

WordNet 3.1 Copyright 2011 by Princeton University. All rights reserved. Its licence permits
redistribution, and is in skccvae/datasets/data/wordnet_license.txt.

Miller, G. A. (1995). WordNet: a lexical database for English. Communications of the ACM 38(11),
39-41.

Nickel, M. and Kiela, D. (2017). Poincaré embeddings for learning hierarchical representations.
NeurIPS 30. They embed the transitive closure of WordNet's mammals.
"""


@validate_params(
    {"return_X_y": ["boolean"], "as_frame": ["boolean"]}, prefer_skip_nested_validation=True
)
def load_mammals(*, return_X_y: bool = False, as_frame: bool = False) -> Bunch | tuple[Any, Any]:
    """Load WordNet's tree of mammals, with the distances between its nodes.

    Each row is one of the 1182 noun synsets at or below "mammal". The columns say, as 0 or 1, which
    synsets it is or lies below, so a Bernoulli likelihood fits. The data are included in the
    package.

    A synset hangs below its first hypernym that is at or below "mammal". This turns WordNet's graph
    into a tree, and leaves out a single hypernym, one of elephant.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` is a pandas DataFrame and `target` a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (1182, 291)
            1 if the synset of the row is that of the column or lies below it, and 0 otherwise. A
            column is a synset that others lie below, except the root. A synset without hyponyms has
            the same row as the synset above it, so 292 rows are distinct. A DataFrame if
            `as_frame`.
        target : ndarray of shape (1182,), int64
            Group of each row: the child of placental, or of mammal, that it is or lies below. A
            Series if `as_frame`.
        target_names : list of str
            Names of the groups, twelve including ``"other"``, which comes last and holds the groups
            of fewer than ten synsets.
        names : list of str
            Synset of each row as NLTK names it, with ``"mammal.n.01"`` first, sorted by depth and
            then by name. Shuffle the rows before a split.
        feature_names : list of str
            Synset of each column.
        parent : ndarray of shape (1182,), int64
            Row of the synset above, or -1 for the root.
        depth : ndarray of shape (1182,), int64
            Number of edges from the root, 0 to 9.
        tree_distances : ndarray of shape (1182, 1182), int16
            Number of edges between every two rows, 0 to 16. The distances between the rows of
            `data` have a correlation of .948 with them.
        frame : DataFrame of shape (1182, 292) or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set, with WordNet's copyright.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    ImportError
        If `as_frame` and pandas is not installed.

    See Also
    --------
    make_branching_diffusion : A random tree of any size, with noise.
    load_daily_temperatures : Real data on a circle.

    References
    ----------
    Miller, G. A. (1995). WordNet: a lexical database for English. Communications of the ACM
    38(11), 39-41.

    Nickel, M. and Kiela, D. (2017). Poincaré embeddings for learning hierarchical representations.
    NeurIPS 30.

    Examples
    --------
    >>> from skccvae.datasets import load_mammals
    >>> mammals = load_mammals()
    >>> mammals.data.shape
    (1182, 291)
    >>> poodle = mammals.names.index("poodle.n.01")
    >>> [mammals.feature_names[j] for j in mammals.data[poodle].nonzero()[0]]
    ['placental.n.01', 'carnivore.n.01', 'canine.n.02', 'dog.n.01', 'poodle.n.01']
    >>> mammals.target_names[mammals.target[poodle]]
    'carnivore.n.01'
    >>> mammals.tree_distances[poodle, mammals.names.index("wolf.n.01")]
    np.int16(3)
    """
    _, rows = packaged_table("mammals.csv.gz")
    names = [name for name, _ in rows]
    index = {"": -1} | {name: i for i, name in enumerate(names)}
    parent = np.array([index[above] for _, above in rows])
    table = ancestors(parent)

    member = np.zeros((len(names), len(names)))
    for at in table.T:
        here = np.flatnonzero(at >= 0)
        member[here, at[here]] = 1.0
    columns = np.unique(parent[parent > 0])  # the root, 0, would be constant
    target, target_names = _groups(table, names)
    return pack(
        "load_mammals",
        data=member[:, columns],
        target=target,
        feature_names=[names[j] for j in columns],
        target_columns=["group"],
        return_X_y=return_X_y,
        as_frame=as_frame,
        target_names=target_names,
        names=names,
        parent=parent,
        depth=depths(table),
        tree_distances=distances(table),
        DESCR=_DESCR,
    )


def _groups(table: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Number of the group of each row, and the names of the groups."""
    below_placental = (table[:, 1] == names.index("placental.n.01")) & (table[:, 2] >= 0)
    group = np.where(below_placental, table[:, 2], table[:, 1])
    large, counts = np.unique(group[group >= 0], return_counts=True)
    large = large[counts >= _MIN_GROUP]
    target = np.where(np.isin(group, large), np.searchsorted(large, group), len(large))
    return target, [*(names[i] for i in large), "other"]
