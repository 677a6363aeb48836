"""An encoder of graphs that arrive as rows: message passing over nodes and edges.

A row is ``[n_nodes, n_edges, codes of each node, ends and codes of each edge]``, all of them small
integers. Zeros fill it up to the length of the longest row. Everything that works on rows therefore
works on graphs of any size: sparse storage, batches, splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skccvae.nn.networks import ACTIVATIONS, mlp

# The sum over nodes is divided by this, so that sum and mean have a similar size for graphs of a
# few dozen nodes, as most molecules have.
TYPICAL_NODES = 16.0
DEFAULT_WIDTH = 128


class GraphBatch(NamedTuple):
    """The graphs of a batch as one graph, without edges between them.

    Attributes
    ----------
    node_codes : Tensor of shape (N, A), int64
        Codes of the nodes of all graphs, one graph after the other.
    edge_codes : Tensor of shape (2E, B), int64
        Codes of the edges. Each edge appears in both directions.
    edge_index : Tensor of shape (2, 2E), int64
        Source and target of each edge.
    graph : Tensor of shape (N,), int64
        Number of the graph that each node belongs to.
    n_nodes : Tensor of shape (n,), int64
        Number of nodes of each graph.
    """

    node_codes: Tensor
    edge_codes: Tensor
    edge_index: Tensor
    graph: Tensor
    n_nodes: Tensor


def read_graphs(rows: Tensor, n_node_codes: int, n_edge_codes: int) -> GraphBatch:
    """Read the graphs of a batch from their rows.

    Parameters
    ----------
    rows : Tensor of shape (n, w)
        One row per graph. w is at least what the largest graph needs.
    n_node_codes, n_edge_codes : int
        Number A of codes of a node, and B of an edge.

    Returns
    -------
    GraphBatch
        All graphs of the batch as one.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import read_graphs
    >>> rows = torch.tensor([[2.0, 1, 7, 8, 0, 1, 3], [1.0, 0, 9, 0, 0, 0, 0]])
    >>> batch = read_graphs(rows, 1, 1)
    >>> batch.node_codes.squeeze().tolist(), batch.graph.tolist()
    ([7, 8, 9], [0, 0, 1])
    >>> batch.edge_index.tolist(), batch.edge_codes.squeeze().tolist()
    ([[0, 1], [1, 0]], [3, 3])
    """
    n_nodes, n_edges = rows[:, 0].long(), rows[:, 1].long()
    graph, node_codes = _ragged(rows, n_nodes, n_node_codes, torch.full_like(n_nodes, 2))
    of_edge, entries = _ragged(rows, n_edges, 2 + n_edge_codes, 2 + n_nodes * n_node_codes)
    first_node = n_nodes.cumsum(0) - n_nodes
    begin, end = (entries[:, :2] + first_node[of_edge][:, None]).unbind(1)
    edge_index = torch.stack([torch.cat([begin, end]), torch.cat([end, begin])])
    codes = entries[:, 2:]
    return GraphBatch(node_codes, torch.cat([codes, codes]), edge_index, graph, n_nodes)


def _ragged(rows: Tensor, counts: Tensor, width: int, start: Tensor) -> tuple[Tensor, Tensor]:
    """Row number and numbers of each of ``counts`` entries that begin at column ``start``."""
    # Only the device knows how many entries a batch has, so this line waits for a GPU.
    row = torch.repeat_interleave(counts)
    number = torch.arange(len(row), device=rows.device) - (counts.cumsum(0) - counts)[row]
    columns = (start[row] + number * width)[:, None] + torch.arange(width, device=rows.device)
    return row, rows[row[:, None], columns].long()


class CodeEmbedding(nn.Module):
    """Sum of learned vectors, one for each code of a node or an edge.

    Parameters
    ----------
    sizes : sequence of int
        Number of values of each code.
    width : int
        Length of the vectors.
    """

    offsets: Tensor

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)
        self.vectors = nn.EmbeddingBag(sum(sizes), width, mode="sum")
        nn.init.normal_(self.vectors.weight, std=1 / math.sqrt(len(sizes)))

    def forward(self, codes: Tensor) -> Tensor:
        return self.vectors(codes + self.offsets)


class GraphEncoder(nn.Module):
    """Network from graphs to hidden features.

    It is called with two batches: the columns that the likelihood describes, which it ignores, and
    the rows of the graphs.

    Parameters
    ----------
    node_sizes, edge_sizes : sequence of int
        Number of values of each code of a node, and of an edge.
    sizes : sequence of int
        Width of the messages, then of the dense layers behind the readout.
    activation : str
        A key of ``ACTIVATIONS``.
    n_layers : int, default=3
        Number of rounds of messages. A node receives messages from nodes at most this many edges
        away.

    Notes
    -----
    In each round a network computes an update of a node's features, from these features and the sum
    of its neighbours' messages ``relu(neighbour + edge)`` [1]_. Layer normalisation precedes it, so
    a graph's features do not depend on the other graphs of the batch. The readout is the sum and
    the mean over nodes: the sum tells sizes apart, and the mean does not grow with the graph. For a
    graph without nodes both are zero.

    References
    ----------
    .. [1] W. Hu et al., "Strategies for pre-training graph neural networks", ICLR 2020: the graph
       isomorphism network with edge features.

    Examples
    --------
    Two nodes with one code each, and one edge between them with one code:

    >>> import torch
    >>> from skccvae.nn import GraphEncoder
    >>> encoder = GraphEncoder(node_sizes=[5], edge_sizes=[4], sizes=[16, 8], activation="relu")
    >>> graph = torch.tensor([[2.0, 1.0, 3.0, 0.0, 0.0, 1.0, 2.0]])  # counts, nodes, edge
    >>> encoder(torch.zeros(1, 10), graph).shape
    torch.Size([1, 8])
    """

    # For passes without gradients. There are tens of nodes per row, and the features of more rows
    # than this do not fit into the processor's cache.
    rows_at_a_time = 256
    # Columns of the shortest row, that of a graph without nodes.
    n_extra = 2

    def __init__(
        self,
        node_sizes: Sequence[int],
        edge_sizes: Sequence[int],
        sizes: Sequence[int],
        activation: str,
        n_layers: int = 3,
    ) -> None:
        # torch_geometric takes seconds to import, and is optional.
        from torch_geometric.nn import GINEConv

        super().__init__()
        self.n_codes = (len(node_sizes), len(edge_sizes))
        width, dense = (sizes[0], sizes[1:]) if sizes else (DEFAULT_WIDTH, ())
        self.width = width
        self.nodes = CodeEmbedding(node_sizes, width)
        self.edges = nn.ModuleList(CodeEmbedding(edge_sizes, width) for _ in range(n_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(n_layers + 1))
        self.messages = nn.ModuleList(
            GINEConv(mlp(width, (width,), activation, width), train_eps=True)
            for _ in range(n_layers)
        )
        self.readout = nn.Sequential(nn.Linear(2 * width, width), ACTIVATIONS[activation]())
        self.dense = mlp(width, dense, activation)

    def forward(self, x: Tensor, graphs: Tensor) -> Tensor:
        if graphs.is_meta:  # a trial batch without numbers, which only asks for the width
            return self.dense(self.readout(graphs.new_empty(len(graphs), 2 * self.width)))
        batch = read_graphs(graphs, *self.n_codes)
        features = self.nodes(batch.node_codes)
        for norm, edges, message in zip(self.norms, self.edges, self.messages, strict=False):
            step = message(norm(features), batch.edge_index, edges(batch.edge_codes))
            features = features + step
        features = self.norms[-1](features)
        total = features.new_zeros(graphs.shape[0], features.shape[1])
        total = total.index_add(0, batch.graph, features)
        mean = total / batch.n_nodes.clamp(min=1)[:, None]
        return self.dense(self.readout(torch.cat([total / TYPICAL_NODES, mean], dim=1)))
