"""What the parameter guide says of its pictures, and that each of them is drawn."""

import numpy as np
import pytest
from figures import parameters
from figures.parameters import FIGURES, fitted, histories, reconstructions

from skccvae import GaussianVAETransformer

FAST = {"max_epochs": 2, "hidden_layer_sizes": (16,)}


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"p_warmup", "p_dimension"}))
def test_maps_are_drawn(name):
    figure = FIGURES[name](**FAST)
    assert len(figure.axes) in (3, 4)
    assert all(ax.get_title() and "ELBO" in ax.get_xlabel() for ax in figure.axes)


def test_the_other_figures_are_drawn():
    assert len(parameters.draw_warmup(2).axes) == 2
    assert len(parameters.draw_dimension((1, 2), **FAST).axes) == 30


def test_a_larger_weight_makes_codes_that_hold_less():
    weak, strong = fitted({str(b): GaussianVAETransformer(2, beta=b) for b in (0.1, 4.0)})
    assert weak["kl"] > strong["kl"]
    assert np.abs(weak["codes"]).mean() > np.abs(strong["codes"]).mean()


def test_more_dimensions_leave_less_error():
    shown, *found = reconstructions((1, 2, 10))
    errors = [float(np.square(images - shown).mean()) for images in found]
    assert errors == sorted(errors, reverse=True)


def test_the_start_at_components_leads_and_the_warm_up_fills_codes_first():
    found = histories(60)
    at_components, warm, cold = (found[name] for name in found)
    assert at_components["elbo"][-1] > max(warm["elbo"][-1], cold["elbo"][-1])
    assert warm["kl"][9] > 2 * cold["kl"][9]
