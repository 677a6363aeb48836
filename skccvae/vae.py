"""The model: encode, draw from the posterior, decode, compute the evidence.

`VAE` knows nothing about data loading, optimisers or estimators. It takes a batch of rows in model
units and returns log-likelihoods and KLs in nats.

In every method ``x`` holds the columns that the likelihood describes, shape (n, p). ``extra`` holds
inputs for the encoder only, shape (n, q), such as the graphs of molecules. Most models have none.
``weights`` are the weights of the rows, shape (n,), and ``target_weights`` are those of their
targets, shape (n, t). A weighted mean is the sum of weighted values divided by the number of rows
(for targets, by the number of labels). The mean of the batch means is therefore correct if the
weights have mean 1 over all rows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skccvae.nn import (
    STRESS_ROWS,
    STRESS_WEIGHT,
    Latent,
    Likelihood,
    PredictionHead,
    SkipEncoder,
    distance_stress,
    euclidean,
    normal_noise,
    observed_log_prob,
    output_width,
    row_keys,
    uniform_noise,
)
from skccvae.nn.evidence import (
    Evidence,
    Terms,
    combined,
    mean_over_rows,
    over_draws,
    weighted_mean,
)
from skccvae.nn.missing import encoder_rows, row_content
from skccvae.nn.precision import RoundedWeights

# How many numbers a decoder returns at once for scoring on a CPU. There, densities in float64 take
# ten times as long if the numbers come from memory instead of the cache.
_NUMBERS_IN_CACHE = 2**18


class VAE(nn.Module):
    """Variational autoencoder with any latent space and likelihood.

    Parameters
    ----------
    encoder : torch.nn.Module
        Maps the likelihood's inputs, (n, likelihood.n_inputs), to hidden features (n, h). If a
        batch has ``extra``, it is passed as the second argument.
    latent : Latent
        Posterior head, prior and decoder features.
    decoder : torch.nn.Module
        Maps latent features (n, f) to likelihood outputs (n, o).
    likelihood : Likelihood
        The meaning of the outputs.
    predictor : PredictionHead, optional
        Likelihood of targets given latent features.
    supervised_weight : float, default=0.0
        Weight of the predictor's log-likelihood in the objective. Each target contributes its mean
        over the labelled rows of a batch.
    distance_weight : float, default=0.0
        Weight of the stress between geodesic distances of locations and distances between rows.
    distance_metric : callable, optional
        Called as ``distance_metric(inputs, x)`` with the encoder's inputs and the rows in model
        units, both of n rows. It returns the distances between the rows, shape (n, n). Default:
        Euclidean distances between the encoder's inputs.
    missing : bool, default=False
        Whether NaN in a row stands for a value that was not observed. The log-likelihood of the row
        is then that of the other values. The encoder reads 0 in place of NaN. If it has an
        ``n_mask``, it also reads the indicator of missing values after the row.

    Attributes
    ----------
    distance_scale : Tensor of shape ()
        Price of a unit of stress in nats, as set by the last `measure_distance_scale`.
    generator : torch.Generator or None
        Source of the noise in training steps. None, the initial value, means torch's global one.
    rounded : RoundedWeights or None
        Rounded weights of the networks in training steps. None, the initial value, means that the
        networks use their own weights.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import BernoulliLikelihood, EuclideanLatent, mlp
    >>> from skccvae.vae import VAE
    >>> model = VAE(mlp(6, (8,), "relu"), EuclideanLatent(2), mlp(2, (8,), "relu", 6),
    ...             BernoulliLikelihood(6))
    >>> log_lik, kl = model(torch.rand(4, 6))
    >>> log_lik.shape, kl.shape
    (torch.Size([4]), torch.Size([4]))
    """

    generator: torch.Generator | None = None
    rounded: RoundedWeights | None = None
    distance_scale: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        decoder: nn.Module,
        likelihood: Likelihood,
        predictor: PredictionHead | None = None,
        supervised_weight: float = 0.0,
        distance_weight: float = 0.0,
        distance_metric: Callable[[Tensor, Tensor], Tensor] | None = None,
        missing: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood
        self.predictor = predictor
        self.supervised_weight = supervised_weight
        self.distance_weight = distance_weight
        self.distance_metric = distance_metric or _euclidean_of_inputs
        self.register_buffer("distance_scale", torch.zeros(()))
        n_extra = getattr(encoder, "n_extra", 0)
        self.missing = missing
        self.n_mask = getattr(encoder, "n_mask", 0) if missing else 0
        n_inputs = likelihood.n_inputs + self.n_mask
        n_hidden = output_width(encoder, n_inputs, "encoder", n_extra=n_extra)
        self.head = nn.Linear(n_hidden, latent.n_params)
        width = output_width(decoder, latent.n_features, "decoder")
        if width != likelihood.n_outputs:
            raise ValueError(
                f"The decoder must return {likelihood.n_outputs} numbers per row for "
                f"{type(likelihood).__name__} on {likelihood.n_features} features; it returned "
                f"{width}."
            )

    def encode(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """Parameters of the posterior of each row, shape (n, latent.n_params)."""
        inputs = self._inputs(x)
        return self.head(self.encoder(inputs) if extra is None else self.encoder(inputs, extra))

    def _encode_in_training(self, x: Tensor, extra: Tensor | None) -> Tensor:
        """`encode` with rounded weights, if there are any."""
        if self.rounded is None:
            return self.encode(x, extra)
        inputs = (self._inputs(x),) if extra is None else (self._inputs(x), extra)
        # The head is narrow. In bfloat16 it would be less accurate and no faster.
        return self.head(self.rounded.call(self.encoder, *inputs).float())

    def _inputs(self, x: Tensor) -> Tensor:
        """The encoder's inputs for rows, shape (n, likelihood.n_inputs + n_mask)."""
        if self.missing:
            return encoder_rows(self.likelihood, x, self.n_mask)
        return self.likelihood.encoder_inputs(x)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Log-likelihood of the observed values of each row, in nats of the user's X."""
        if outputs.dtype == torch.bfloat16:
            outputs = outputs.float()
        if self.missing:
            return observed_log_prob(self.likelihood, outputs, x)
        return self.likelihood.log_prob(outputs, x)

    def _total_log_prob(self, outputs: Tensor, x: Tensor, weights: Tensor | None) -> Tensor:
        if weights is not None:
            return weights @ self.log_prob(outputs, x)
        if self.missing:
            return self.log_prob(outputs, x).sum()
        if outputs.dtype == torch.bfloat16:
            return self.likelihood.total_log_prob_of_rounded(outputs, x)
        return self.likelihood.total_log_prob(outputs, x)

    def encode_in_double(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """`encode` for inference, with the head and linear features in float64.

        In float32, the rounding of a row in matrix products depends on the number of other rows and
        on the row's place among them. Standardised components and curved coordinates magnify this
        difference in the last digit.
        """
        inputs, encoder, head = self._inputs(x), self.encoder, self.head
        if isinstance(encoder, SkipEncoder):
            features = encoder.in_double(inputs)
        else:
            features = encoder(inputs) if extra is None else encoder(inputs, extra)
        return F.linear(features.double(), head.weight.double(), head.bias.double())

    def decode(self, features: Tensor) -> Tensor:
        """Likelihood outputs at latent features with any leading shape."""
        return _over_rows(self.decoder, features)

    def _decode_in_training(self, features: Tensor) -> Tensor:
        """`decode` with rounded weights, if there are any. The outputs are then bfloat16."""
        if self.rounded is None:
            return self.decode(features)
        return _over_rows(partial(self.rounded.call, self.decoder), features)

    def filled_at(self, points: Tensor, x: Tensor) -> Tensor:
        """Rows in which NaN is replaced by the mean of p(x | z) at ambient points, shape (n, p)."""
        outputs = self.decode(self.latent.features(points).to(x.dtype))
        return torch.where(x.isnan(), self.likelihood.mean(outputs), x)

    def noise(self, n_samples: int, x: Tensor) -> Tensor:
        """Fresh standard normal noise for ``n_samples`` draws per row of x."""
        lead = (x.shape[0],) if n_samples == 1 else (n_samples, x.shape[0])
        return self._normal(*lead, self.latent.noise_dim, like=x)

    def _normal(self, *shape: int, like: Tensor) -> Tensor:
        return torch.randn(*shape, device=like.device, dtype=like.dtype, generator=self.generator)

    def forward(
        self, x: Tensor, n_samples: int = 1, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction log-likelihood and KL of each row, both of shape (n,), in nats."""
        step = self.latent.step(self.encode(x, extra), self.noise(n_samples, x))
        log_lik = self.log_prob(self.decode(step.features), x)
        return over_draws(log_lik), over_draws(step.kl)

    def elbo_terms(
        self,
        x: Tensor,
        n_samples: int = 1,
        targets: Tensor | None = None,
        extra: Tensor | None = None,
        weights: Tensor | None = None,
        target_weights: Tensor | None = None,
    ) -> Terms:
        """Batch means of reconstruction and KL: the training step's fast path."""
        params = self._encode_in_training(x, extra)
        step = self.latent.step(params, self.noise(n_samples, x))
        outputs = self._decode_in_training(step.features)
        if n_samples == 1:
            reconstruction = self._total_log_prob(outputs, x, weights) / x.shape[0]
        else:
            reconstruction = weighted_mean(self.log_prob(outputs, x), weights)
        return Terms(
            reconstruction,
            weighted_mean(step.kl, weights),
            self._supervised(step.features, targets, target_weights),
            factor_kl=mean_over_rows(step.factor_kl, weights),
            stress=self._stress(params, x, weights, STRESS_ROWS, step.tangent),
        )

    def iwae_terms(
        self,
        x: Tensor,
        n_samples: int,
        targets: Tensor | None = None,
        extra: Tensor | None = None,
        weights: Tensor | None = None,
        target_weights: Tensor | None = None,
    ) -> Terms:
        """Importance-weighted bound from fresh draws, and the parts of the ELBO for the history.

        References
        ----------
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8.
        """
        noise = self._normal(n_samples, x.shape[0], self.latent.noise_dim, like=x)
        params = self._encode_in_training(x, extra)
        features, log_ratio = self.latent.weighted(params, noise)
        log_lik = self.log_prob(self._decode_in_training(features), x)
        bounds = torch.logsumexp(log_lik + log_ratio, dim=0) - math.log(n_samples)
        return Terms(
            weighted_mean(log_lik, weights),
            -weighted_mean(log_ratio, weights),
            self._supervised(features, targets, target_weights),
            weighted_mean(bounds, weights),
            stress=self._stress(params, x, weights, STRESS_ROWS),
        )

    def _supervised(
        self, features: Tensor, targets: Tensor | None, weights: Tensor | None
    ) -> Tensor | None:
        if targets is None or self.predictor is None:
            return None
        return self.supervised_weight * self.predictor.log_prob(features, targets, weights)

    def _stress(
        self,
        params: Tensor,
        x: Tensor,
        weights: Tensor | None,
        most: int | None = None,
        tangent: Tensor | None = None,
    ) -> Tensor | None:
        """Stress of the first ``most`` rows, or of all rows."""
        if self.distance_weight == 0:
            return None
        params, x = params[:most], x[:most]
        tangent = None if tangent is None else tangent[:most]
        weights = None if weights is None else weights[:most]
        inputs = self._inputs(x)[:, : self.likelihood.n_inputs]
        wanted = self.distance_metric(inputs, x)
        return distance_stress(self.latent.placed(params, tangent), wanted, weights)

    def stress(
        self, x: Tensor, extra: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor | None:
        """Stress of the rows of a batch, a scalar between 0 and 1, or None if it has no weight.

        The weight of a pair of rows is the product of their weights.
        """
        return self._stress(self.encode(x, extra), x, weights)

    def round_weights(self, precision: str) -> None:
        """Make training steps use rounded weights, or the networks' own weights again.

        Parameters
        ----------
        precision : {"float32", "bfloat16"}
            Type of the numbers in the matrix products of the networks. The weights are rounded for
            bfloat16.
        """
        self.rounded = None
        if precision == "bfloat16":
            self.rounded = RoundedWeights(self.encoder, self.decoder)

    @torch.no_grad()
    def measure_distance_scale(
        self, x: Tensor, extra: Tensor | None = None, weights: Tensor | None = None
    ) -> None:
        """Set the price of a unit of stress, from what rows lose if they exchange their codes.

        With this scale, a given weight means about the same for any likelihood and any data.
        """
        outputs = self.decode(self.latent.features(self.latent.location(self.encode(x, extra))))
        own = self._total_log_prob(outputs, x, weights)
        lost = own - self._total_log_prob(outputs.roll(1, 0), x, weights)
        rows = x.shape[0] if weights is None else weights.sum().clamp(min=1e-30)
        self.distance_scale.copy_(STRESS_WEIGHT * lost.clamp(min=0) / rows)

    def draw_pixels(self, x: Tensor, seed: int) -> Tensor:
        """One Bernoulli draw per pixel of x. As in `evidence`, a row always gets the same draws."""
        drawn = (uniform_noise(self.row_keys(x, seed), x.shape[1], stream=2) < x).to(x.dtype)
        return torch.where(x.isnan(), x, drawn) if self.missing else drawn

    def row_keys(self, x: Tensor, seed: int) -> Tensor:
        """Keys of the noise of rows, from their values and the places of missing values."""
        if self.missing:
            return row_keys(row_content(self.likelihood, x), seed)
        return row_keys(self.likelihood.row_content(x), seed)

    def evidence(
        self,
        x: Tensor,
        n_samples: int,
        seed: int,
        extra: Tensor | None = None,
        draws_at_once: int | None = None,
        targets: Tensor | None = None,
    ) -> Evidence:
        """Reconstruction, KL and importance-weighted bound with repeatable draws.

        The noise of a row depends only on its content, the number of the draw and the seed, so its
        results do not depend on the other rows or their order. Densities are computed in float64,
        because vector instructions round an exponential differently at the end of an array. In
        float32 this would change the last digit for a row at the end.

        Parameters
        ----------
        x : Tensor of shape (n, p)
            Rows in model units.
        n_samples : int
            Draws per row.
        seed : int
            Seed of the noise.
        extra : Tensor of shape (n, q), optional
            Inputs for the encoder only. The noise does not depend on them. They may be padded with
            zeros, and with more zeros if the batch has a larger graph.
        draws_at_once : int, optional
            Number of draws per row that are held in memory at once. By default, all of them.
        targets : Tensor of shape (n, t), optional
            Labels for which to compute the log-likelihood, with NaN for unknown labels.
        """
        latent = copy.deepcopy(self.latent).double()
        params = self.encode_in_double(x, extra)
        keys = self.row_keys(x, seed)
        counts, pieces = [], []
        for first in range(0, n_samples, draws_at_once or n_samples):
            counts.append(min(draws_at_once or n_samples, n_samples - first))
            noise = normal_noise(keys, counts[-1], latent.noise_dim, torch.float64, first=first)
            features, log_ratio = latent.weighted(params, noise)
            log_lik = self._log_prob_of_draws(features.to(x.dtype), x)
            bound = torch.logsumexp(log_lik + log_ratio, dim=0) - math.log(counts[-1])
            step = latent.step(params, noise)
            parts: tuple[Tensor, ...] = ()
            if step.factor_kl is not None:
                parts = tuple(over_draws(kl) for kl in step.factor_kl.unbind(-1))
            supervised = None
            if targets is not None and self.predictor is not None:
                supervised = self.predictor.log_prob_terms(features.to(x.dtype), targets).double()
            pieces.append(Evidence(log_lik.mean(0), over_draws(step.kl), bound, parts, supervised))
        return combined(pieces, counts)

    def _log_prob_of_draws(self, features: Tensor, x: Tensor) -> Tensor:
        """Log-likelihood of rows (n, p) at draws (k, n, f), in float64, shape (k, n)."""
        n_draws, n_rows = features.shape[:2]
        if x.device.type == "cpu":
            fit = max(_NUMBERS_IN_CACHE // self.likelihood.n_outputs, 1)
            n_rows = min(fit, n_rows)
            n_draws = fit // n_rows
        found = []
        for own, rows in zip(features.split(n_rows, dim=1), x.double().split(n_rows), strict=True):
            outputs = (self.decode(draws).double() for draws in own.split(n_draws))
            found.append(torch.cat([self.log_prob(part, rows) for part in outputs]))
        return torch.cat(found, dim=1)


def _over_rows(network: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Outputs of a network of rows, shape (n, f), for features with any leading shape."""
    if features.dim() == 2:  # the views below take as long as a small layer
        return network(features)
    outputs = network(features.reshape(-1, features.shape[-1]))
    return outputs.reshape(*features.shape[:-1], outputs.shape[-1])


def _euclidean_of_inputs(inputs: Tensor, x: Tensor) -> Tensor:
    return euclidean(inputs)
