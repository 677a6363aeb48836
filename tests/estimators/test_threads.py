"""``random_state`` decides every number, even in threads, and torch's generators are left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from skorch.callbacks import Callback

from skccvae import GaussianVAETransformer, SphericalVAETransformer
from skccvae.estimators._model import ModelMixin


class Dropping(torch.nn.Module):
    """A user's encoder, which starts from and drops by torch's global generator."""

    def __init__(self, n_features):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(n_features, 8), torch.nn.Dropout(0.5))
        self.shift = torch.nn.Parameter(torch.rand_like(self.layers[0].bias))

    def forward(self, x):
        return self.layers(x) + self.shift


class Noisy(torch.utils.data.Dataset):
    """A user's Dataset that augments its samples with torch's global generator."""

    def __init__(self, X):
        self.X = torch.from_numpy(X).float()

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index] * torch.rand(())


def estimator(seed, **settings):
    defaults = {"max_epochs": 3, "hidden_layer_sizes": (16,), "batch_size": 16, "device": "cpu"}
    kind = SphericalVAETransformer if seed % 2 else GaussianVAETransformer
    return kind(random_state=seed, **{**defaults, **settings})


CASES = {
    "plain": {},
    "binarised": {"binarize": "dynamic", "early_stopping": True, "n_latent_samples": 2},
    "iwae": {"objective": "iwae", "n_latent_samples": 3},
    "user's encoder": {"encoder": Dropping},
    "user's Dataset": {"likelihood": "bernoulli"},
}


@pytest.mark.parametrize("case", list(CASES))
def test_fits_in_threads_are_the_serial_fits(small, case, outputs):
    def results(seed):
        X = Noisy(small) if case == "user's Dataset" else small
        vae = estimator(seed, **CASES[case]).fit(X).partial_fit(X)
        found = outputs(vae, small)
        found["seeded sample"] = vae.sample(5, random_state=seed)
        return {name: value.tobytes() for name, value in found.items()}

    before = torch.get_rng_state()
    serial = [results(seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(results, range(16)))
    assert threaded == serial
    assert torch.equal(torch.get_rng_state(), before)


def test_joblibs_threads(small):
    def fitted(seed):
        return estimator(seed).fit(small).transform(small)

    serial = [fitted(seed) for seed in range(6)]
    threaded = Parallel(3, backend="threading")(delayed(fitted)(seed) for seed in range(6))
    assert all(np.array_equal(a, b) for a, b in zip(serial, threaded, strict=True))


@pytest.mark.parametrize("settings", [{}, {"binarize": "dynamic"}], ids=str)
def test_the_global_generator_is_left_alone_during_the_fit(make, small, monkeypatch, settings):
    states = []

    class Watch(Callback):
        def look(self, net, **kwargs):
            states.append(torch.get_rng_state())

        on_train_begin = on_epoch_begin = on_batch_begin = on_batch_end = on_epoch_end = look

    build = ModelMixin._build_module

    def watched(self, *args):
        module = build(self, *args)
        states.append(torch.get_rng_state())
        return module

    monkeypatch.setattr(ModelMixin, "_build_module", watched)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    vae = make(callbacks=[Watch()], early_stopping=True, **settings).fit(small)
    if hasattr(vae, "sample"):
        vae.sample(2)
    assert len(states) > 5
    assert all(torch.equal(state, before) for state in [*states, torch.get_rng_state()])


def test_the_callers_draws_between_the_batches_change_nothing(make, small):
    class Draw(Callback):
        def on_batch_begin(self, net, **kwargs):
            torch.rand(3)

    vae = make(callbacks=[Draw()], binarize="dynamic").fit(small)
    assert np.array_equal(
        vae.transform(small), make(binarize="dynamic").fit(small).transform(small)
    )


def test_a_users_module_draws_as_random_state_says(small):
    before = torch.get_rng_state()
    first = estimator(0, encoder=Dropping).fit(small).transform(small)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert np.array_equal(estimator(0, encoder=Dropping).fit(small).transform(small), first)
