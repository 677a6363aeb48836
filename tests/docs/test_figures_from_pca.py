"""The figures of MNIST from PCA to the VAE, on few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figures import from_pca as figures

SMALL: dict[str, Any] = {"n_rows": 800, "epochs": 4}


@pytest.mark.parametrize("stem", sorted(figures.FIGURES))
def test_figures_draw(stem: str, mnist: dict[str, np.ndarray]) -> None:
    assert figures.FIGURES[stem](**mnist, **SMALL).axes


def test_curved_maps_keep_more_than_pca(mnist: dict[str, np.ndarray]) -> None:
    found = figures.fit(**mnist, n_rows=800, epochs=40)
    assert len(found.held_out) == len(found.labels) == 200
    assert found.error("autoencoder") < found.error("PCA")


def test_the_codes_of_the_vae_have_the_scale_of_its_prior(mnist: dict[str, np.ndarray]) -> None:
    found = figures.fit(**mnist, n_rows=800, epochs=40)
    assert 0.5 < found.codes("VAE").std() < 1.6
    assert found.codes("autoencoder").std() > 2


def test_fill_has_the_mean_one_over_the_prior(mnist: dict[str, np.ndarray]) -> None:
    """The mean over the prior of q(z) / p(z) is the integral of q, which is 1."""
    ratio = figures.fill(figures.fit(**mnist, **SMALL), n=4000)
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))


def test_the_kl_splits_into_parts_that_are_not_negative(mnist: dict[str, np.ndarray]) -> None:
    found = figures.fit(**mnist, **SMALL)
    parts = figures.split_kl(found)
    terms = found.models["VAE"].evaluate(found.training)
    # The model computes in float32, and both sum the same 800 rows.
    assert abs(parts["kl"] - terms["kl"]) < 1e-4
    assert parts["together"] > -4 * parts["error"]
    # A row is one of 800, so its code cannot tell more than log(800) nats about which.
    assert -4 * parts["error"] < parts["apart"] < np.log(800) + 4 * parts["error"]
