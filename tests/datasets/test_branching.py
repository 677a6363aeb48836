from __future__ import annotations

import numpy as np
import pytest

from skccvae.datasets import make_branching_diffusion


@pytest.mark.parametrize(("depth", "branching"), [(0, 2), (4, 1), (6, 2), (3, 3)])
def test_tree_distances_are_shortest_paths(depth: int, branching: int) -> None:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    tree = make_branching_diffusion(depth=depth, branching=branching, random_state=0)
    n = sum(branching**d for d in range(depth + 1))
    assert len(tree.parent) == n
    child, parent = np.arange(1, n, dtype=np.int32), tree.parent[1:].astype(np.int32)
    # SciPy 1.12 searches graphs with 32-bit indices only.
    graph = csr_array((np.ones(n - 1), (child, parent)), shape=(n, n))
    expected = shortest_path(graph, directed=False, unweighted=True)
    np.testing.assert_array_equal(tree.tree_distances, expected)
    np.testing.assert_array_equal(tree.depth, expected[0])
    assert (np.bincount(tree.parent[1:], minlength=n)[tree.depth < depth] == branching).all()


def test_steps_and_noise_have_the_stated_scale() -> None:
    tree = make_branching_diffusion(
        20000, depth=7, n_features=100, scale=2.0, standardize=False, random_state=0
    )
    np.testing.assert_array_equal(tree.positions[0], 0.0)
    steps = tree.positions[1:] - tree.positions[tree.parent[1:]]
    noise = tree.data - tree.positions[tree.node]
    # The standard deviation of a sample variance of N normals is variance * sqrt(2 / N).
    for values, variance in ((steps, 4.0), (noise, 4.0 / 5.0)):
        error = 5 * variance * np.sqrt(2 / values.size)
        assert abs(values.var() - variance) < error
        assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)


def test_squared_distance_grows_with_the_edges_between_nodes() -> None:
    tree = make_branching_diffusion(n_features=2000, standardize=False, random_state=1)
    squared = ((tree.positions[:, None] - tree.positions[None]) ** 2).mean(-1)
    pairs = np.triu_indices(127, 1)
    # Per feature, a sum of k independent steps: over k, a chi-square of 2000 degrees on 2000.
    ratio = squared[pairs] / tree.tree_distances[pairs]
    assert np.abs(ratio - 1.0).max() < 6 * np.sqrt(2 / 2000)


def test_rows_are_dealt_evenly() -> None:
    counts = np.bincount(make_branching_diffusion(random_state=0).node)
    assert counts.tolist() == [5] * 127
    counts = np.bincount(make_branching_diffusion(300, random_state=0).node, minlength=127)
    assert sorted(set(counts)) == [2, 3]
    few = make_branching_diffusion(10, random_state=0)
    assert len(np.unique(few.node)) == 10


def test_standardize_moves_nodes_along() -> None:
    tree = make_branching_diffusion(observation_scale=0.0, random_state=0)
    np.testing.assert_allclose(tree.data.mean(0), 0.0, atol=1e-13)
    np.testing.assert_allclose(tree.data.std(0), 1.0, rtol=1e-13)
    np.testing.assert_array_equal(tree.data, tree.positions[tree.node])
    root = make_branching_diffusion(4, depth=0, observation_scale=0.0, random_state=0)
    np.testing.assert_array_equal(root.data, 0.0)


def test_targets() -> None:
    parameters = {"depth": 3, "branching": 2, "n_samples": 40, "random_state": 3}
    tree = make_branching_diffusion(**parameters)
    np.testing.assert_array_equal(tree.target, tree.depth[tree.node])
    np.testing.assert_array_equal(
        make_branching_diffusion(target="node", **parameters).target, tree.node
    )
    branch = make_branching_diffusion(target="branch", **parameters).target
    # A node lies under the child of the root to which it is closer.
    under_1 = tree.tree_distances[tree.node, 1] < tree.tree_distances[tree.node, 2]
    np.testing.assert_array_equal(branch, np.where(tree.node == 0, 0, np.where(under_1, 1, 2)))


def test_seeds_and_shuffle() -> None:
    a, b = (make_branching_diffusion(random_state=5) for _ in range(2))
    np.testing.assert_array_equal(a.data, b.data)
    assert not np.array_equal(a.data, make_branching_diffusion(random_state=6).data)
    assert (np.diff(a.node) < 0).any()
    assert (np.diff(make_branching_diffusion(shuffle=False).node) >= 0).all()


def test_scikit_learns_outputs() -> None:
    X, y = make_branching_diffusion(random_state=0, return_X_y=True)
    assert X.shape == (635, 50)
    assert y.shape == (635,)
    pytest.importorskip("pandas")
    frame = make_branching_diffusion(random_state=0, as_frame=True).frame
    assert list(frame.columns) == [f"x{j}" for j in range(50)] + ["depth"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_samples": 0},
        {"depth": -1},
        {"branching": 0},
        {"n_features": 0},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"observation_scale": -1.0},
        {"target": "leaf"},
        {"depth": 2.5},
    ],
)
def test_bad_parameters(parameters: dict) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(parameters))}' parameter"):
        make_branching_diffusion(**parameters)


def test_a_tree_that_is_too_large() -> None:
    with pytest.raises(ValueError, match="depth 60 and branching 2 has more than 16384 nodes"):
        make_branching_diffusion(depth=60)
