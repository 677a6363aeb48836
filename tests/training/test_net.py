"""The net: objective, epochs, warm-up, pickles; and the estimators' random numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from skccvae.nn import BernoulliLikelihood, EuclideanLatent, mlp
from skccvae.training import (
    Batches,
    DivergenceError,
    KeepBest,
    NegativeELBO,
    RandomStream,
    RowScaling,
    RowSource,
    VAENet,
    derive_seed,
    entropy_from,
    own_modes,
)
from skccvae.vae import VAE

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)


def net(**settings):
    torch.manual_seed(0)
    module = VAE(
        mlp(5, (8,), "relu"), EuclideanLatent(2), mlp(2, (8,), "relu", 5), BernoulliLikelihood(5)
    )
    made = VAENet(
        module, NegativeELBO, optimizer=torch.optim.Adam, lr=1e-2, train_split=None, device="cpu",
        verbose=0, **settings,
    )  # fmt: skip
    return made.initialize()


def batches(index=None, **settings):
    index = np.arange(60) if index is None else index
    return Batches(RowSource(X, RowScaling()), index, 20, **settings)


def train(net, epochs, valid=None, callbacks=()):
    net.set_training_callbacks(list(callbacks))
    return net.train_epochs(batches(), valid, epochs)


def test_the_loop_is_the_textbook_loop():
    """Bit for bit what a hand-written loop over the same batches gives."""
    trained = net()
    torch.manual_seed(1)
    train(trained, 3)
    module = net().module_
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2, fused=True)
    torch.manual_seed(1)
    losses = []
    for _ in range(3):
        total = 0.0
        for batch in batches():
            x = batch.x
            terms = module.elbo_terms(x)
            loss = terms.kl - terms.reconstruction
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x) / 60
        losses.append(total)
    for a, b in zip(trained.module_.parameters(), module.parameters(), strict=True):
        assert torch.equal(a, b)
    assert [row["train_loss"] for row in trained.history] == pytest.approx(losses, rel=1e-6)


def one_step(**settings):
    """A net before and after one step on the same batch with the same draws."""
    made = net(**settings)
    before = {name: p.detach().clone() for name, p in made.module_.named_parameters()}
    torch.manual_seed(1)
    made.train_step(next(iter(batches(shuffle=False))))
    return made, before, {name: p.detach() for name, p in made.module_.named_parameters()}


def test_weight_decay_takes_a_fraction_off_each_matrix_and_nothing_else():
    _, before, plain = one_step()
    _, _, decayed = one_step(weight_decay=2.0)
    for name, start in before.items():
        taken = 0.02 * start if start.dim() > 1 else 0.0  # lr = 0.01
        # Three roundings of numbers below 1 in float32.
        torch.testing.assert_close(decayed[name], plain[name] - taken, rtol=0, atol=2e-7)
    for name in ("decoder.0.bias", "decoder.2.bias"):
        assert torch.equal(decayed[name], plain[name])


def test_weight_decay_follows_the_rate_of_a_schedule_and_leaves_frozen_weights():
    made = net(weight_decay=2.0)
    made.optimizer_.param_groups[0]["lr"] = 0.0
    frozen = made.module_.encoder[0].weight
    before = {name: p.detach().clone() for name, p in made.module_.named_parameters()}
    made.train_step(next(iter(batches(shuffle=False))))
    assert all(torch.equal(p, before[name]) for name, p in made.module_.named_parameters())
    made.optimizer_.param_groups[0]["lr"] = 0.1
    frozen.requires_grad_(False)
    made.train_step(next(iter(batches(shuffle=False))))
    assert torch.equal(frozen, before["encoder.0.weight"])


def test_warm_up_weights():
    loss = NegativeELBO(beta=2.0, warmup_epochs=4)
    assert [loss.weight(e) for e in (0, 1, 2.5, 4, 9)] == [0.0, 0.5, 1.25, 2.0, 2.0]
    assert NegativeELBO(beta=0.3).weight(0) == 0.3


def test_warm_up_grows_within_an_epoch():
    weights = []

    class Spy(NegativeELBO):
        def forward(self, module, batch, weight):
            weights.append(weight)
            return super().forward(module, batch, weight)

    made = net(criterion__warmup_epochs=2)
    made.criterion_ = Spy(warmup_epochs=2)
    train(made, 3)
    assert weights == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1, 1])


def test_validation_draws_the_same_noise_in_each_epoch():
    made = net()
    made.set_training_callbacks([])
    valid = batches(shuffle=False)
    first = made._validate(valid)
    torch.manual_seed(77)
    assert made._validate(valid) == first
    assert first["valid_loss"] == pytest.approx(-first["valid_elbo"])
    whole = made.module_.evidence(torch.from_numpy(X), 1, seed=0)
    assert first["valid_reconstruction"] == pytest.approx(float(whole.reconstruction.mean()), 1e-5)


def test_validation_of_binarised_pixels_draws_them_once():
    made = net()
    made.set_training_callbacks([])
    valid = batches(shuffle=False, binarize=True)
    first = made._validate(valid)
    assert made._validate(valid) == first
    assert first != made._validate(batches(shuffle=False))


def test_keep_best_restores_the_smallest_loss_however_small_the_gain():
    made = net()
    losses = iter([5.0, 3.0, 2.99999, 4.0, 4.0, 4.0, 4.0])
    kept = []

    class Scripted(KeepBest):
        def on_epoch_end(self, net, **kwargs):
            kept.append([p.detach().clone() for p in net.module_.parameters()])
            net.history[-1]["valid_loss"] = next(losses)
            super().on_epoch_end(net, **kwargs)

    train(made, 7, callbacks=[Scripted(patience=3)])
    # 2.99999 is no improvement to wait on for, but its weights are the best.
    assert len(made.history) == 5
    assert all(torch.equal(a, b) for a, b in zip(made.module_.parameters(), kept[2], strict=True))


def test_a_pickled_net_keeps_its_optimiser():
    made = net()
    torch.manual_seed(1)
    train(made, 2)
    twin = pickle.loads(pickle.dumps(made))
    for copy in (made, twin):
        torch.manual_seed(2)
        train(copy, 1)
    for a, b in zip(made.module_.parameters(), twin.module_.parameters(), strict=True):
        assert torch.equal(a, b)
    assert twin.lr == 1e-2
    assert len(twin.history) == 3


def test_retune():
    made = net().retune(
        lr=0.5, criterion__beta=3.0, criterion__objective="iwae", module__supervised_weight=2.0
    )
    assert made.optimizer_.param_groups[0]["lr"] == made.lr == 0.5
    assert made.criterion_.beta == 3.0
    assert made.criterion_.objective == "iwae"
    assert made.module_.supervised_weight == 2.0
    assert made.get_params()["criterion__beta"] == 3.0


def test_divergence_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(DivergenceError(4, "a weight", 0.1)))
    assert (error.epoch, error.what, error.learning_rate) == (4, "a weight", 0.1)
    assert "epoch 4: a weight is not finite" in str(error)
    assert isinstance(error, ArithmeticError)


# --- random numbers -------------------------------------------------------------------------------


def test_entropy():
    assert entropy_from(7) == entropy_from(np.int64(7)) == 7
    assert entropy_from(None) != entropy_from(None)
    state = np.random.RandomState(0)
    assert entropy_from(state) != entropy_from(state)
    assert entropy_from(np.random.RandomState(0)) == entropy_from(np.random.RandomState(0))
    for wrong in ("a", 1.5, -1, np.random.default_rng(0)):
        with pytest.raises(ValueError, match="random_state must be None, an integer"):
            entropy_from(wrong)


def test_derived_seeds_are_unrelated():
    seeds = {derive_seed(e, *path) for e in range(50) for path in ((0,), (1,), (1, 0), (1, 1))}
    # Trailing zeros do not count in a seed sequence's entropy; all else differs.
    assert len(seeds) >= 150
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(3, 2, 1) == derive_seed(3, 2, 1)


def test_a_lent_stream_is_given_back_after_an_error():
    before = torch.get_rng_state()
    stream = RandomStream(3, lends=True)

    def fail():
        with stream.drawing():
            torch.randn(5)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)
    with stream.drawing():
        lent = torch.randn(5)
    own = RandomStream(3)
    torch.randn(5, generator=own.cpu)
    assert torch.equal(lent, torch.randn(5, generator=own.cpu))
    assert torch.equal(torch.randn(5, generator=stream.cpu), torch.randn(5, generator=own.cpu))


def test_layers_start_from_the_stream_whatever_torchs_defaults_are():
    def layers():
        return torch.nn.ModuleList(
            [
                torch.nn.Linear(3, 4),
                torch.nn.Conv2d(1, 2, 3),
                torch.nn.Embedding(3, 2),
                torch.nn.MultiheadAttention(4, 2),
                torch.nn.GRU(2, 2),
                torch.nn.BatchNorm1d(3),
                torch.nn.PReLU(),
            ]
        )

    torch.manual_seed(3)
    expected = layers().state_dict()
    before = torch.get_rng_state()
    for dtype, device in ((torch.float32, "cpu"), (torch.float64, "cpu"), (torch.float32, "meta")):
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device), own_modes(), RandomStream(3).building():
                made = layers().state_dict()
                assert torch.equal(torch.get_rng_state(), before)
        finally:
            torch.set_default_dtype(torch.float32)
        for name, value in expected.items():
            assert value.dtype == made[name].dtype, name
            assert torch.equal(value, made[name]), name
