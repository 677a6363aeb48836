"""Several likelihoods side by side, each for its own columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from skccvae.nn.likelihoods._base import Likelihood
from skccvae.nn.likelihoods._bernoulli import BernoulliLikelihood
from skccvae.nn.likelihoods._categorical import CategoricalLikelihood
from skccvae.nn.likelihoods._columns import ColumnwiseDistribution


class MixedLikelihood(Likelihood, name="mixed"):
    """Product of likelihoods, each of which describes some of the columns.

    The log-probabilities of the columns add up, in nats of the user's X, to the log-probability of
    a row. No column has a weight of its own. The encoder reads the inputs of the first likelihood,
    then those of the second, and so on. The decoder returns their outputs in the same order.

    Parameters
    ----------
    parts : sequence of Likelihood
        The likelihoods.
    columns : sequence of sequence of int
        The columns of each likelihood, in the order in which it describes them. Together they are
        0, 1, ..., p - 1, each of them once.

    Raises
    ------
    ValueError
        If the columns are not 0, 1, ..., p - 1, each once, or a likelihood describes another number
        of columns.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import BernoulliLikelihood, GaussianLikelihood, MixedLikelihood
    >>> likelihood = MixedLikelihood([GaussianLikelihood(2), BernoulliLikelihood(1)], [[0, 2], [1]])
    >>> likelihood.log_prob_terms(torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 0.0]]))
    tensor([[-0.9189, -0.6931, -0.9189]], grad_fn=<IndexSelectBackward0>)
    """

    accept_sparse = False
    # Those of its columns that are real are centred and scaled; for the others both do nothing.
    scaling = "columns"
    order: Tensor
    places: Tensor

    def __init__(self, parts: Sequence[Likelihood], columns: Sequence[Sequence[int]]) -> None:
        flat = [int(column) for block in columns for column in block]
        if sorted(flat) != list(range(len(flat))) or not flat:
            raise ValueError(
                f"columns must hold 0, 1, ..., p - 1, each once; got {list(map(list, columns))}."
            )
        widths = [len(block) for block in columns]
        if [part.n_features for part in parts] != widths:
            raise ValueError(
                f"The likelihoods describe {[part.n_features for part in parts]} columns, but "
                f"columns gives them {widths}."
            )
        super().__init__(len(flat))
        self.parts = nn.ModuleList(parts)
        self.widths = widths
        self.n_inputs = sum(part.n_inputs for part in parts)
        self.n_outputs = sum(part.n_outputs for part in parts)
        order = torch.tensor(flat)
        # Column j of X is number `places[j]` of the columns of the parts, one part after the other.
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("places", torch.argsort(order), persistent=False)

    def likelihoods(self) -> list[Likelihood]:
        """The likelihoods, in order."""
        return [cast(Likelihood, part) for part in self.parts]

    def blocks(self, x: Tensor) -> tuple[Tensor, ...]:
        """Split rows of shape (..., p) into the columns of each likelihood."""
        return x.index_select(-1, self.order).split(self.widths, dim=-1)

    def joined(self, blocks: Sequence[Tensor]) -> Tensor:
        """Inverse of `blocks`."""
        return torch.cat(list(blocks), dim=-1).index_select(-1, self.places)

    def of_parts(self, function: Callable[[Likelihood, Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a function to each likelihood and its columns, and join the results as rows."""
        parts = zip(self.likelihoods(), self.blocks(x), strict=True)
        return self.joined([function(part, block) for part, block in parts])

    def outputs_of_parts(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """The decoder's outputs for each likelihood."""
        return outputs.split([part.n_outputs for part in self.likelihoods()], dim=-1)

    def _pairs(self, outputs: Tensor, x: Tensor) -> Iterator[tuple[Likelihood, Tensor, Tensor]]:
        """Each likelihood with the decoder's outputs for it, and its columns."""
        return zip(self.likelihoods(), self.outputs_of_parts(outputs), self.blocks(x), strict=True)

    def inputs_of_parts(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The encoder's inputs from the columns of each likelihood."""
        return inputs.split([part.n_inputs for part in self.likelihoods()], dim=-1)

    def input_columns(self) -> Tensor:
        starts = torch.tensor([0, *self.widths]).cumsum(0).tolist()
        parts = zip(self.likelihoods(), starts, strict=False)
        return torch.cat(
            [self.order[start + part.input_columns().to(self.order)] for part, start in parts]
        )

    def outputs_of_columns(self, columns: Tensor) -> Tensor | None:
        found = [
            part.outputs_of_columns(block)
            for part, block in zip(self.likelihoods(), self.blocks(columns), strict=True)
        ]
        blank = [torch.zeros(part.n_outputs, dtype=torch.bool) for part in self.likelihoods()]
        return torch.cat([b if f is None else f for f, b in zip(found, blank, strict=True)])

    def encoder_inputs(self, x: Tensor) -> Tensor:
        parts = zip(self.likelihoods(), self.blocks(x), strict=True)
        return torch.cat([part.encoder_inputs(block) for part, block in parts], dim=-1)

    def row_content(self, x: Tensor) -> Tensor:
        return self.of_parts(lambda part, block: part.row_content(block), x)

    def log_prob_terms(self, outputs: Tensor, x: Tensor) -> Tensor:
        parts = self._pairs(outputs, x)
        terms = [part.log_prob_terms(out, block) for part, out, block in parts]
        return self.joined(terms)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        # A likelihood may have a faster formula for a row than for its columns.
        parts = self._pairs(outputs, x)
        return torch.stack([part.log_prob(out, block) for part, out, block in parts]).sum(0)

    def mean(self, outputs: Tensor) -> Tensor:
        """Mean of p(x | z), or the most likely level in categorical columns, shape (..., p)."""
        parts = zip(self.likelihoods(), self.outputs_of_parts(outputs), strict=True)
        return self.joined([part.mean(out) for part, out in parts])

    def draw_levels(self, outputs: Tensor) -> Tensor:
        """`mean` with a draw in place of each level and each bit, shape (..., p)."""
        parts = []
        for part, out in zip(self.likelihoods(), self.outputs_of_parts(outputs), strict=True):
            drawn = isinstance(part, CategoricalLikelihood | BernoulliLikelihood)
            parts.append(part.distribution(out).sample() if drawn else part.mean(out))
        return self.joined(parts)

    def average(self, means: Tensor, weights: Tensor) -> Tensor:
        return self.joined(
            [
                part.average(block, weights)
                for part, block in zip(self.likelihoods(), self.blocks(means), strict=True)
            ]
        )

    def posterior_mean(self, outputs: Tensor, weights: Tensor) -> Tensor:
        parts = zip(self.likelihoods(), self.outputs_of_parts(outputs), strict=True)
        return self.joined([part.posterior_mean(out, weights) for part, out in parts])

    def start_outputs(self, x: Tensor) -> Tensor | None:
        """Start outputs of the parts. A part without any gets 0, from which training can go on."""
        found = []
        for part, block in zip(self.likelihoods(), self.blocks(x), strict=True):
            outputs = part.start_outputs(block)
            found.append(x.new_zeros(len(x), part.n_outputs) if outputs is None else outputs)
        return torch.cat(found, dim=-1)

    def start_noise(self, outputs: Tensor, x: Tensor, share: float) -> None:
        parts = self._pairs(outputs, x)
        for part, out, block in parts:
            part.start_noise(out, block, share)

    def distribution(self, outputs: Tensor) -> Distribution:
        laws = []
        for part, out in zip(self.likelihoods(), self.outputs_of_parts(outputs), strict=True):
            law = part.distribution(out)
            if not isinstance(law, Independent):
                raise TypeError(
                    f"`distribution` of {type(part).__name__} returns a {type(law).__name__}, "
                    "which has no distribution for each column. Return Independent(columns, 1)."
                )
            laws.append(law.base_dist)
        return Independent(ColumnwiseDistribution(laws, self.places), 1, validate_args=False)
