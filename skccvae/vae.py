"""The model: encode, draw from the posterior, decode, weigh the evidence.

`VAE` knows no data loading, no optimiser and no estimator: a batch of rows in model units goes
in, log-likelihoods and KLs in nats come out.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skccvae.nn import (
    Latent,
    Likelihood,
    PredictionHead,
    normal_noise,
    output_width,
    row_keys,
    uniform_noise,
)


class Evidence(NamedTuple):
    """What a model says of each row, in nats.

    Attributes
    ----------
    reconstruction : Tensor of shape (n,)
        Mean over the draws of log p(x | z).
    kl : Tensor of shape (n,)
        KL(q(z | x) || p(z)), exact or the mean of its one-draw estimates.
    log_likelihood : Tensor of shape (n,)
        Importance-weighted bound ``log mean p(x, z) / q(z | x)``.
    factor_kl : tuple of Tensor of shape (n,)
        The parts of ``kl`` of the factors of a product space.
    """

    reconstruction: Tensor
    kl: Tensor
    log_likelihood: Tensor
    factor_kl: tuple[Tensor, ...] = ()


class Terms(NamedTuple):
    """Batch means of a training step, scalars in nats.

    Attributes
    ----------
    reconstruction, kl : Tensor
        The two parts of the ELBO.
    supervised : Tensor or None
        Weighted log-likelihood of the targets, where there are targets.
    bound : Tensor or None
        Importance-weighted bound, where that is the objective.
    factor_kl : tuple of Tensor
        The parts of ``kl`` of the factors of a product space.
    """

    reconstruction: Tensor
    kl: Tensor
    supervised: Tensor | None = None
    bound: Tensor | None = None
    factor_kl: tuple[Tensor, ...] = ()


class VAE(nn.Module):
    """Variational autoencoder over any latent space and likelihood.

    Parameters
    ----------
    encoder : torch.nn.Module
        What the likelihood makes of rows, (n, likelihood.n_inputs), to hidden features (n, h).
    latent : Latent
        Posterior head, prior and decoder features.
    decoder : torch.nn.Module
        Latent features (n, f) to likelihood outputs (n, o).
    likelihood : Likelihood
        Meaning of the outputs.
    n_features : int
        Columns p of a row. The likelihood describes the first of them; an encoder may read more.
    predictor : PredictionHead, optional
        Likelihood of targets given latent features.
    supervised_weight : float, default=0.0
        Weight of that likelihood in the objective.

    Examples
    --------
    >>> import torch
    >>> from skccvae.nn import BernoulliLikelihood, EuclideanLatent, mlp
    >>> from skccvae.vae import VAE
    >>> model = VAE(mlp(6, (8,), "relu"), EuclideanLatent(2), mlp(2, (8,), "relu", 6),
    ...             BernoulliLikelihood(6), 6)
    >>> log_lik, kl = model(torch.rand(4, 6))
    >>> log_lik.shape, kl.shape
    (torch.Size([4]), torch.Size([4]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        decoder: nn.Module,
        likelihood: Likelihood,
        n_features: int,
        predictor: PredictionHead | None = None,
        supervised_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood
        self.predictor = predictor
        self.supervised_weight = supervised_weight
        n_inputs = likelihood.n_inputs + n_features - likelihood.n_features
        self.head = nn.Linear(output_width(encoder, n_inputs, "encoder"), latent.n_params)
        width = output_width(decoder, latent.n_features, "decoder")
        if width != likelihood.n_outputs:
            raise ValueError(
                f"The decoder must return {likelihood.n_outputs} numbers a row for "
                f"{type(likelihood).__name__} on {n_features} features; it returned {width}."
            )

    def encode(self, x: Tensor) -> Tensor:
        """Parameters of the posterior of each row, shape (n, latent.n_params)."""
        inputs = self.likelihood.encoder_inputs(self.observed(x))
        if x.shape[-1] > self.likelihood.n_features:
            # What the likelihood does not describe is the encoder's own, and comes as it is.
            inputs = torch.cat([inputs, x[:, self.likelihood.n_features :]], dim=-1)
        return self.head(self.encoder(inputs))

    def decode(self, features: Tensor) -> Tensor:
        """Likelihood outputs at latent features of any leading shape."""
        lead = features.shape[:-1]
        outputs = self.decoder(features.reshape(-1, features.shape[-1]))
        return outputs.reshape(*lead, outputs.shape[-1])

    def observed(self, x: Tensor) -> Tensor:
        """The columns of rows (n, p) that the likelihood describes."""
        return x[:, : self.likelihood.n_features]

    def noise(self, n_samples: int, x: Tensor) -> Tensor:
        """Fresh standard normal noise for ``n_samples`` draws of each row of x."""
        lead = (x.shape[0],) if n_samples == 1 else (n_samples, x.shape[0])
        return torch.randn(*lead, self.latent.noise_dim, device=x.device, dtype=x.dtype)

    def forward(self, x: Tensor, n_samples: int = 1) -> tuple[Tensor, Tensor]:
        """Reconstruction log-likelihood and KL of each row, both of shape (n,), in nats."""
        step = self.latent.step(self.encode(x), self.noise(n_samples, x))
        log_lik = self.likelihood.log_prob(self.decode(step.features), self.observed(x))
        return _over_draws(log_lik), _over_draws(step.kl)

    def elbo_terms(self, x: Tensor, n_samples: int = 1, targets: Tensor | None = None) -> Terms:
        """Batch means of reconstruction and KL: the training step's fast path."""
        step = self.latent.step(self.encode(x), self.noise(n_samples, x))
        outputs, seen = self.decode(step.features), self.observed(x)
        if n_samples == 1:
            reconstruction = self.likelihood.total_log_prob(outputs, seen) / x.shape[0]
        else:
            reconstruction = self.likelihood.log_prob(outputs, seen).mean()
        return Terms(
            reconstruction,
            step.kl.mean(),
            self._supervised(step.features, targets),
            factor_kl=_over_rows(step.factor_kl),
        )

    def iwae_terms(self, x: Tensor, n_samples: int, targets: Tensor | None = None) -> Terms:
        """Importance-weighted bound from fresh draws, with the ELBO's parts for the record.

        References
        ----------
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8.
        """
        lead = (n_samples, x.shape[0], self.latent.noise_dim)
        noise = torch.randn(*lead, device=x.device, dtype=x.dtype)
        features, log_ratio = self.latent.weighted(self.encode(x), noise)
        log_lik = self.likelihood.log_prob(self.decode(features), self.observed(x))
        bound = (torch.logsumexp(log_lik + log_ratio, dim=0) - math.log(n_samples)).mean()
        supervised = self._supervised(features, targets)
        return Terms(log_lik.mean(), -log_ratio.mean(), supervised, bound)

    def _supervised(self, features: Tensor, targets: Tensor | None) -> Tensor | None:
        if targets is None or self.predictor is None:
            return None
        return self.supervised_weight * self.predictor.log_prob(features, targets)

    def draw_pixels(self, x: Tensor, seed: int) -> Tensor:
        """One Bernoulli draw of each pixel of x, repeatable for a row as in `evidence`."""
        return (uniform_noise(row_keys(x, seed), x.shape[1], stream=2) < x).to(x.dtype)

    def evidence(self, x: Tensor, n_samples: int, seed: int) -> Evidence:
        """Reconstruction, KL and importance-weighted bound with repeatable draws.

        The noise of a row depends on its content, its position among the draws and the seed only,
        so a row's numbers do not depend on which rows stand beside it or in which order. Densities
        are taken in float64: vector instructions round an exponential differently at the end of an
        array, and in float32 that would show in the last digit of a row that stands there.

        Parameters
        ----------
        x : Tensor of shape (n, p)
            Rows in model units.
        n_samples : int
            Draws a row.
        seed : int
            Selects the noise.
        """
        latent = copy.deepcopy(self.latent).double()
        params = self.encode(x).double()
        # The columns behind those may be more or fewer zeros, as the other rows need.
        seen = self.observed(x)
        keys = row_keys(self.likelihood.row_content(seen), seed)
        noise = normal_noise(keys, n_samples, latent.noise_dim, torch.float64)
        features, log_ratio = latent.weighted(params, noise)
        outputs = self.decode(features.to(x.dtype)).double()
        log_lik = self.likelihood.log_prob(outputs, seen.double())
        bound = torch.logsumexp(log_lik + log_ratio, dim=0) - math.log(n_samples)
        step = latent.step(params, noise)
        parts: tuple[Tensor, ...] = ()
        if step.factor_kl is not None:
            parts = tuple(_over_draws(kl) for kl in step.factor_kl.unbind(-1))
        return Evidence(log_lik.mean(0), _over_draws(step.kl), bound, parts)


def _over_draws(values: Tensor) -> Tensor:
    """Mean over a leading axis of draws where there is one."""
    return values.mean(0) if values.dim() > 1 else values


def _over_rows(factor_kl: Tensor | None) -> tuple[Tensor, ...]:
    """Mean KL of each factor over rows and draws."""
    if factor_kl is None:
        return ()
    return factor_kl.reshape(-1, factor_kl.shape[-1]).mean(0).unbind()
