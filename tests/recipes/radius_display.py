"""A plot of your own: how far from the origin the rows lie in the latent space.

>>> import matplotlib
>>> matplotlib.use("Agg")
>>> from skccvae import HyperbolicVAETransformer
>>> X = np.random.default_rng(0).random((100, 5))
>>> vae = HyperbolicVAETransformer(max_epochs=1, random_state=0).fit(X)
>>> display = RadiusDisplay.from_estimator(vae, X, bins=7)
>>> display.ax_.get_xlabel(), len(display.ax_.patches), int(display.counts_.sum())
('distance from the origin', 7, 100)
>>> _ = display.plot(display.ax_)  # once more, on axes that are there
"""

import numpy as np
import torch

from skccvae.plotting._latent import ambient_points
from skccvae.plotting._style import make_axes
from skccvae.plotting._theme import class_style


class RadiusDisplay:
    """Histogram of geodesic distances from the origin."""

    def __init__(self, radii):
        self.radii = np.asarray(radii, dtype=np.float64)
        if self.radii.ndim != 1 or len(self.radii) == 0:
            raise ValueError(f"radii must be a non-empty 1-D array; got shape {self.radii.shape}.")

    @classmethod
    def from_estimator(cls, vae, X, *, ax=None, **kwargs):
        """Embed X and draw the distances. Other arguments go to `plot`."""
        points = torch.from_numpy(ambient_points(vae, X))
        origin = vae.manifold_.origin(dtype=points.dtype)
        return cls(vae.manifold_.dist(origin, points)).plot(ax, **kwargs)

    def plot(self, ax=None, *, bins=30):
        """Draw on the given axes, or on new ones."""
        self.figure_, (self.ax_,) = make_axes(ax, 1)
        self.counts_, _, _ = self.ax_.hist(self.radii, bins=bins, color=class_style(0)["color"])
        self.ax_.set(xlabel="distance from the origin", ylabel="rows")
        return self
