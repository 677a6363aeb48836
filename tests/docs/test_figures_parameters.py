"""What the parameter guide says of its pictures, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figures import parameters as figures

from skccvae import GaussianVAETransformer


def test_a_heavy_kl_leaves_no_code_and_a_light_one_a_larger_code() -> None:
    light, plain, heavy = (
        figures.fitted(GaussianVAETransformer, prior_scale=1.0, beta=beta)
        for beta in (0.1, 1.0, 16.0)
    )
    assert heavy["kl"] < 0.1
    assert light["kl"] > plain["kl"] + 2
    assert light["codes"].std() > plain["codes"].std() > heavy["codes"].std()


def test_forty_numbers_are_too_many_for_1200_digits() -> None:
    ten, forty = (figures.fitted(GaussianVAETransformer, d) for d in (10, 40))
    assert ten["log_likelihood"] > forty["log_likelihood"] + 10


def test_a_warm_up_lets_the_code_be_used_from_the_start() -> None:
    curves = figures.warmup_curves((0, 30), epochs=40)
    assert curves[0]["kl"][4] < curves[30]["kl"][4]
    assert abs(curves[0]["kl"][-1] - curves[30]["kl"][-1]) < 3


@pytest.mark.parametrize("scale", ["shared", 0.3])
def test_a_common_scale_is_common(scale: str | float) -> None:
    scales = figures.widths(scale, epochs=2)["scales"]
    np.testing.assert_allclose(scales, scales[0, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("stem", "small", "n_axes"),
    [
        ("p_curvature", {"epochs": 1}, 5),
        ("p_dimension", {"dims": (1, 2), "epochs": 1}, 2),
        ("p_beta", {"epochs": 1}, 5),
        ("p_warmup", {"warmups": (0, 1), "epochs": 2}, 2),
        ("p_posterior_scale", {"epochs": 1}, 4),
        ("p_decoder_input", {"epochs": 1}, 3),
    ],
)
def test_figures_draw(stem: str, small: dict[str, Any], n_axes: int) -> None:
    assert len(figures.FIGURES[stem](**small).axes) == n_axes
