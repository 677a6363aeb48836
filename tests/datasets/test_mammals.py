from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from skccvae.datasets import load_mammals
from skccvae.datasets._trees import ancestors, depths, distances

MAMMALS = load_mammals()
TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_shapes_and_types() -> None:
    assert MAMMALS.data.shape == (1182, 291)
    assert MAMMALS.data.dtype == np.float64
    assert set(np.unique(MAMMALS.data)) == {0.0, 1.0}
    assert len(MAMMALS.names) == len(set(MAMMALS.names)) == 1182
    assert len(MAMMALS.feature_names) == 291
    assert MAMMALS.frame is None
    assert MAMMALS.names[0] == "mammal.n.01"
    assert "Princeton University" in MAMMALS.DESCR


def test_the_parents_make_a_tree() -> None:
    parent = MAMMALS.parent
    assert parent[0] == -1
    # Every parent comes before its child, so there are no cycles, and all lie below the root.
    assert (parent[1:] >= 0).all()
    assert (parent[1:] < np.arange(1, 1182)).all()
    np.testing.assert_array_equal(MAMMALS.depth[1:], MAMMALS.depth[parent[1:]] + 1)
    assert (MAMMALS.depth[0], MAMMALS.depth.max()) == (0, 9)
    assert (np.diff(MAMMALS.depth) >= 0).all()


def test_tree_distances_are_shortest_paths() -> None:
    nodes = np.arange(1, 1182)
    edges = coo_array((np.ones(1181), (nodes, MAMMALS.parent[1:])), shape=(1182, 1182))
    expected = shortest_path(edges.tocsr(), directed=False, unweighted=True)
    np.testing.assert_array_equal(MAMMALS.tree_distances, expected)


def test_tree_distances_have_four_points() -> None:
    """Of the three ways to pair four points, the two with the largest sums tie."""
    D = MAMMALS.tree_distances
    a, b, c, d = np.random.default_rng(0).integers(1182, size=(4, 100_000))
    sums = np.sort([D[a, b] + D[c, d], D[a, c] + D[b, d], D[a, d] + D[b, c]], axis=0)
    np.testing.assert_array_equal(sums[1], sums[2])


def test_columns_are_what_a_synset_is_or_lies_below() -> None:
    names, features = MAMMALS.names, MAMMALS.feature_names
    inner = {names[i] for i in MAMMALS.parent[1:]} - {"mammal.n.01"}
    assert set(features) == inner
    for row in (0, 5, 300, 1181):
        path, node = [], row
        while node >= 0:
            path.append(names[node])
            node = MAMMALS.parent[node]
        found = [features[j] for j in np.flatnonzero(MAMMALS.data[row])]
        assert set(found) == set(path) & inner
    # A synset that nothing lies below is known by what it lies below.
    leaf = np.setdiff1d(np.arange(1182), MAMMALS.parent)
    np.testing.assert_array_equal(MAMMALS.data[leaf], MAMMALS.data[MAMMALS.parent[leaf]])
    assert len(np.unique(MAMMALS.data, axis=0)) == 292


def test_the_stated_correlation_of_distances() -> None:
    rows = pdist(MAMMALS.data)
    tree = squareform(MAMMALS.tree_distances)
    correlation, rank = np.corrcoef(rows, tree)[0, 1], spearmanr(rows, tree).statistic
    print(f"input against tree distances: Pearson {correlation:.4f}, Spearman {rank:.4f}")
    assert f"{correlation:.3f}"[1:] == ".948"
    assert f"{rank:.3f}"[1:] == ".967"
    assert ".948" in MAMMALS.DESCR
    assert ".967" in MAMMALS.DESCR


def test_groups() -> None:
    counts = np.bincount(MAMMALS.target)
    groups = dict(zip(MAMMALS.target_names, counts.tolist(), strict=True))
    assert len(groups) == 12
    assert min(counts) >= 10
    assert list(groups)[-1] == "other"
    assert groups["carnivore.n.01"] == 366
    names = np.array(MAMMALS.names)
    carnivores = MAMMALS.target == MAMMALS.target_names.index("carnivore.n.01")
    column = MAMMALS.data[:, MAMMALS.feature_names.index("carnivore.n.01")]
    np.testing.assert_array_equal(carnivores, column == 1)
    other = names[MAMMALS.target == MAMMALS.target_names.index("other")]
    assert {"mammal.n.01", "placental.n.01", "platypus.n.01"} <= set(other)


def test_scikit_learns_outputs() -> None:
    X, y = load_mammals(return_X_y=True)
    np.testing.assert_array_equal(X, MAMMALS.data)
    np.testing.assert_array_equal(y, MAMMALS.target)
    pytest.importorskip("pandas")
    frame = load_mammals(as_frame=True).frame
    assert list(frame.columns) == [*MAMMALS.feature_names, "group"]
    with pytest.raises(ValueError, match="'as_frame' parameter"):
        load_mammals(as_frame="yes")


@pytest.mark.parametrize("parent", [[0], [-1, -1], [-1, 1], [-1, 2, 1], [1, -1]])
def test_parents_that_make_no_tree(parent: list[int]) -> None:
    with pytest.raises(ValueError, match="the number of a node before it"):
        ancestors(np.array(parent))


def test_a_root_alone() -> None:
    table = ancestors(np.array([-1]))
    assert depths(table).tolist() == [0]
    assert distances(table).tolist() == [[0]]


def make_mammals() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_mammals", TOOLS / "make_mammals.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_that_made_the_file(tmp_path: Path) -> None:
    """A word of two senses, two hypernyms inside, one outside, an instance, a verb's pointer."""
    (tmp_path / "data.noun").write_text(
        "  1 licence\n"
        "10 03 n 01 pet 0 000 | outside\n"
        "20 05 n 02 Mammal 0 mammalian 0 001 + 90 v 0101 | root | still the gloss\n"
        "30 05 n 01 cat 0 002 @ 10 n 0000 @ 20 n 0000 | a\n"
        "40 05 n 01 tiger 0 001 @ 30 n 0000 | b\n"
        "50 05 n 01 swimmer 0 001 @ 20 n 0000 | c\n"
        "60 05 n 01 Cat 1 003 @ 40 n 0000 @ 50 n 0000 ~ 70 n 0000 | d\n"
        "70 05 n 01 Tom 0 001 @i 60 n 0000 | e\n"
    )
    (tmp_path / "index.noun").write_text(
        "  1 licence\n"
        "cat n 2 1 @ 2 0 60 30  \n"
        "mammal n 1 1 ~ 1 0 20  \n"
        "pet n 1 0 1 0 10  \n"
        "swimmer n 1 1 @ 1 0 50  \n"
        "tiger n 1 1 @ 1 0 40  \n"
        "tom n 1 1 @ 1 0 70  \n"
    )
    rows, left_out = make_mammals().subtree(tmp_path)
    assert rows == [
        ("mammal.n.01", ""),
        ("cat.n.02", "mammal.n.01"),
        ("swimmer.n.01", "mammal.n.01"),
        ("tiger.n.01", "cat.n.02"),
        ("cat.n.01", "tiger.n.01"),
        ("tom.n.01", "cat.n.01"),
    ]
    assert sorted(left_out) == [
        "cat.n.01: swimmer.n.01 (inside)",
        "cat.n.02: pet.n.01 (outside)",
    ]
