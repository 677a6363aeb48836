"""An autoencoder's law leaves more room between the clusters than a VAE's prior."""

from __future__ import annotations

import numpy as np
from figures import holes as figures


def test_the_prior_of_a_vae_has_smaller_holes() -> None:
    autoencoder, vae = (figures.places(name) for name in ("autoencoder", "VAE"))
    for found in (autoencoder, vae):
        # Both have learned the clusters: some draw decodes to each, and codes have some spread.
        assert all(found["distance"][part].min() < 0.3 for part in np.array_split(range(4000), 3))
    assert abs(vae["codes"].std() - 1) < 0.25  # about as wide as the prior
    assert figures.far_share(vae) + 0.15 < figures.far_share(autoencoder)


def test_the_figure_draws() -> None:
    assert len(figures.draw_holes(epochs=1, n_draws=50).axes) == 3
