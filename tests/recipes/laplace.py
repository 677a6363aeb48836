"""A likelihood of your own: independent Laplace columns, which forgive outliers.

>>> import numpy as np
>>> from skccvae import GaussianVAETransformer
>>> X = np.random.default_rng(0).laplace(size=(300, 4)) * [1.0, 10.0, 100.0, 1000.0]
>>> vae = GaussianVAETransformer(likelihood=LaplaceLikelihood, max_epochs=2, random_state=0).fit(X)
>>> vae.inverse_transform(vae.transform(X)).shape
(300, 4)
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, Laplace

from skccvae.nn import Likelihood


class LaplaceLikelihood(Likelihood):
    """Independent Laplace columns, each with a learned width."""

    # The estimator centres each column and divides it by its standard deviation.
    scaling = "columns"

    def __init__(self, n_features, scale=None):
        super().__init__(n_features, scale)
        self.raw_width = nn.Parameter(torch.zeros(n_features))

    def distribution(self, outputs):
        # The lower bound keeps the density finite where the model reproduces a column exactly.
        width = 0.01 + F.softplus(self.raw_width)
        return Independent(Laplace(outputs, width, validate_args=False), 1)
