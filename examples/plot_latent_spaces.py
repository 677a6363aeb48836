r"""
Pictures of latent spaces
=========================

Each geometry has its own kind of map. This example shows handwritten digits in the plane, on the
sphere and in the hyperbolic plane, the images that the models decode there, and the course of their
training.
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

# For layers and batches this small, more threads cost more than they gain.
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
# The plane is shown as it is, with rings at round distances. The sphere is shown in Hammer's
# projection, which preserves areas, and the hyperbolic plane as the Poincaré disk, which preserves
# angles. In the disk, solid lines are geodesics, and dashed lines are circles around the origin.

fig = plt.figure(figsize=(11, 3.4), layout="constrained")
axes = fig.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, (plane, sphere, disk), strict=True):
    LatentDisplay.from_estimator(vae, X, y, ax=ax)

# %%
# A code is not a point but a distribution. The ellipses hold 90 % of the posterior of some digits.

fig = plt.figure(figsize=(11, 3.4), layout="constrained")
axes = fig.subplots(1, 3, width_ratios=[1, 1.75, 1])
for ax, vae in zip(axes, (plane, sphere, disk), strict=True):
    LatentDisplay.from_estimator(vae, X, y, ax=ax, uncertainty=True)

# %%
# Here is the sphere once more, as a globe seen from the side with the most digits (``view`` sets
# another side). With the extra ``skccvae[interactive]``, the method ``interactive()`` of this
# display makes a plotly globe that you can turn yourself, and that shows the label of the digit
# under the pointer.

LatentDisplay.from_estimator(sphere, X, y, kind="3d")

# %%
# The factors of a product are drawn side by side.

settings["max_epochs"] = 15
product = MixedCurvatureVAETransformer(signature="h2,s2,e2", **settings).fit(X)
LatentDisplay.from_estimator(product, X, y)

# %%
# The next figures show decoded images: in the plane at equal steps of probability, on the sphere at
# equal areas, and in the disk at equal geodesic steps. Because the digits are passed, the map of
# the sphere is turned as above.

ManifoldGridDisplay.from_estimator(plane)

# %%

ManifoldGridDisplay.from_estimator(sphere, X)

# %%

ManifoldGridDisplay.from_estimator(disk)

# %%
# These are images and their reconstructions from two numbers.

ReconstructionDisplay.from_estimator(disk, X, n_images=20)

# %%
# The last figure shows the training curves. The weight of the KL rises over the first fifteen
# epochs.

TrainingDisplay.from_estimator(sphere)
plt.show()
