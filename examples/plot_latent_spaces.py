r"""
Pictures of latent spaces
=========================

Each geometry has a map of its own. Handwritten digits in the plane, on the sphere and in the
hyperbolic plane; what the models decode there; and how their training went.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

from skccvae import (
    GaussianVAETransformer,
    HyperbolicVAETransformer,
    MixedCurvatureVAETransformer,
    SphericalVAETransformer,
)
from skccvae.plotting import (
    LatentDisplay,
    ManifoldGridDisplay,
    ReconstructionDisplay,
    TrainingDisplay,
)

# For layers and batches this small, more threads cost more than they bring.
torch.set_num_threads(1)
digits = load_digits()
X, y = digits.images / 16, digits.target
settings = {
    "hidden_layer_sizes": (128,),
    "activation": "silu",
    "likelihood": "bernoulli",
    "learning_rate": 2e-3,
    "batch_size": 64,
    "kl_warmup_epochs": 15,
    "max_epochs": 40,
    "random_state": 0,
}
plane = GaussianVAETransformer(2, **settings).fit(X)
sphere = SphericalVAETransformer(2, **settings).fit(X)
disk = HyperbolicVAETransformer(2, **settings).fit(X)

# %%
# The plane as it is, with rings at round distances; the sphere in Hammer's projection, which keeps
# areas; the hyperbolic plane as the Poincaré disk, which keeps angles. There, solid lines are
# geodesics and dashed ones circles around the origin.

fig = plt.figure(figsize=(11, 3.4), layout="constrained")
axes = fig.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, (plane, sphere, disk), strict=True):
    LatentDisplay.from_estimator(vae, X, y, ax=ax)

# %%
# A code is not a point but a distribution. Ellipses hold 90 % of the posterior of some digits.

fig = plt.figure(figsize=(11, 3.4), layout="constrained")
axes = fig.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, (plane, sphere, disk), strict=True):
    LatentDisplay.from_estimator(vae, X, y, ax=ax, uncertainty=True)

# %%
# The sphere once more, as a globe that turns its side with the most digits to you (``view`` turns
# it otherwise). With the extra ``skccvae[interactive]``, ``interactive()`` of this display is a
# globe of plotly that you turn yourself, with the label of the digit under the pointer.

LatentDisplay.from_estimator(sphere, X, y, kind="3d")

# %%
# The factors of a product stand side by side.

settings["max_epochs"] = 15
product = MixedCurvatureVAETransformer(signature="h2,s2,e2", **settings).fit(X)
LatentDisplay.from_estimator(product, X, y)

# %%
# What the models decode: in the plane at equal steps of probability, on the sphere at equal areas,
# in the disk at equal geodesic steps. Given the digits, the map of the sphere is turned as above.

ManifoldGridDisplay.from_estimator(plane)

# %%

ManifoldGridDisplay.from_estimator(sphere, X)

# %%

ManifoldGridDisplay.from_estimator(disk)

# %%
# Images and what is left of them after two numbers.

ReconstructionDisplay.from_estimator(disk, X, n_images=20)

# %%
# The curves of the training; the weight of the KL rises over the first fifteen epochs.

TrainingDisplay.from_estimator(sphere)
plt.show()
