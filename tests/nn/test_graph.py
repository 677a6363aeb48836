"""The graph encoder: rows to graphs, and messages that depend on the graph alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skccvae.nn import ACTIVATIONS, GraphEncoder, read_graphs

NODE_SIZES, EDGE_SIZES = (5, 3), (4,)


def row(nodes, edges, width):
    """One row from lists of codes and of (begin, end, code)."""
    numbers = [len(nodes), len(edges), *np.ravel(nodes), *np.ravel(edges)]
    return [*numbers, *[0.0] * (width - len(numbers))]


def encode(encoder, rows, observed=0.25):
    """Features of rows; the fingerprint beside them must not matter."""
    return encoder(torch.full((len(rows), 2), observed), torch.tensor(rows, dtype=torch.float32))


def random_graph(rng, n_nodes):
    nodes = np.stack([rng.integers(0, n, n_nodes) for n in NODE_SIZES], axis=1)
    pairs = [(i, j) for i in range(n_nodes) for j in range(i)]
    chosen = rng.permutation(len(pairs))[: n_nodes + 1]
    edges = [(*pairs[k], int(rng.integers(EDGE_SIZES[0]))) for k in chosen]
    return nodes, edges


@pytest.fixture
def graphs():
    rng = np.random.default_rng(3)
    return [random_graph(rng, n) for n in (4, 1, 7, 3, 12)]


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return GraphEncoder(NODE_SIZES, EDGE_SIZES, (16, 6), "tanh", n_layers=2)


def test_graphs_are_read_back_as_they_were_written(graphs):
    batch = read_graphs(torch.tensor([row(*g, width=90) for g in graphs]), 2, 1)
    starts = np.cumsum([0, *[len(nodes) for nodes, _ in graphs]])
    nodes = np.concatenate([nodes for nodes, _ in graphs])
    assert batch.node_codes.tolist() == nodes.tolist()
    assert batch.n_nodes.tolist() == [4, 1, 7, 3, 12]
    assert batch.graph.tolist() == np.repeat(np.arange(5), [4, 1, 7, 3, 12]).tolist()
    written = [
        (i + s, j + s, c) for (_, e), s in zip(graphs, starts, strict=False) for i, j, c in e
    ]
    read = [*batch.edge_index.tolist(), batch.edge_codes[:, 0].tolist()]
    n = len(written)
    assert list(zip(*(part[:n] for part in read), strict=True)) == written
    assert list(zip(*(part[n:] for part in read), strict=True)) == [
        (j, i, c) for i, j, c in written
    ]


def test_the_same_sums_written_with_a_matrix_of_neighbours(encoder, graphs):
    nodes, edges = graphs[2]
    h = encoder.nodes(torch.tensor(nodes))
    for norm, embed, conv in zip(encoder.norms, encoder.edges, encoder.messages, strict=False):
        x = norm(h)
        total = torch.zeros_like(x)
        for i, j, code in edges:
            e = embed(torch.tensor([[code]]))[0]
            total[i] += torch.relu(x[j] + e)
            total[j] += torch.relu(x[i] + e)
        h = h + conv.nn((1 + conv.eps) * x + total)
    h = encoder.norms[-1](h)
    readout = torch.cat([h.sum(0) / 16, h.mean(0)])
    expected = encoder.dense(encoder.readout(readout[None]))
    out = encode(encoder, [row(nodes, edges, width=60)])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)


def test_a_graph_does_not_see_the_rest_of_its_batch_nor_the_width_nor_the_fingerprint(
    encoder, graphs
):
    together = encode(encoder, [row(*g, width=200) for g in graphs])
    for graph, expected in zip(graphs, together, strict=True):
        alone = encode(encoder, [row(*graph, width=80)], observed=9.0)[0]
        torch.testing.assert_close(alone, expected, rtol=1e-5, atol=1e-6)


def test_neither_order_of_nodes_nor_direction_of_edges_matters(encoder, graphs):
    rng = np.random.default_rng(0)
    for nodes, edges in graphs:
        order = rng.permutation(len(nodes))
        place = np.argsort(order)
        other = [(place[j], place[i], c) for i, j, c in edges][::-1]
        rows = [row(nodes, edges, 80), row(nodes[order], other, 80)]
        first, second = encode(encoder, rows)
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_codes_edges_and_sizes_all_matter(encoder):
    path = row([[1, 0], [1, 0], [2, 1]], [(0, 1, 0), (1, 2, 0)], 30)
    others = [
        row([[1, 0], [1, 0], [3, 1]], [(0, 1, 0), (1, 2, 0)], 30),
        row([[1, 0], [1, 0], [2, 2]], [(0, 1, 0), (1, 2, 0)], 30),
        row([[1, 0], [1, 0], [2, 1]], [(0, 1, 0), (1, 2, 3)], 30),
        row([[1, 0], [1, 0], [2, 1]], [(0, 1, 0)], 30),
        row([[1, 0], [1, 0], [2, 1]] * 2, [(0, 1, 0), (1, 2, 0), (3, 4, 0), (4, 5, 0)], 30),
    ]
    out = encode(encoder, [path, *others])
    assert torch.pdist(out).min() > 1e-3


def test_two_rounds_carry_a_message_over_two_edges(encoder):
    chain = [(k, k + 1, 0) for k in range(5)]
    plain, changed = [[1, 0]] * 6, [[4, 2], *[[1, 0]] * 5]
    seen = []
    for nodes in (plain, changed):
        batch = read_graphs(torch.tensor([row(nodes, chain, 60)]), 2, 1)
        h = encoder.nodes(batch.node_codes)
        for norm, embed, conv in zip(encoder.norms, encoder.edges, encoder.messages, strict=False):
            h = h + conv(norm(h), batch.edge_index, embed(batch.edge_codes))
        seen.append(h)
    moved = (seen[0] - seen[1]).abs().amax(dim=1) > 0
    assert moved.tolist() == [True, True, True, False, False, False]


def test_graphs_without_edges_or_nodes_and_batches_of_nothing_else(encoder):
    lone, empty = row([[1, 1]], [], 10), row([], [], 10)
    out = encode(encoder, [lone, empty, lone])
    assert torch.isfinite(out).all()
    assert torch.equal(out[0], out[2])
    assert not torch.equal(out[0], out[1])
    torch.testing.assert_close(encode(encoder, [empty]), out[1:2])


@pytest.mark.parametrize("sizes", [(), (8,), (8, 4, 3)])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_parameter_of_any_shape_gets_a_finite_gradient(sizes, activation, graphs):
    encoder = GraphEncoder(NODE_SIZES, EDGE_SIZES, sizes, activation)
    out = encode(encoder, [row(*g, width=90) for g in graphs])
    assert out.shape == (5, sizes[-1] if sizes else 128)
    out.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_there_is_no_batch_statistic(encoder):
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in encoder.modules())
