"""
Distances that mean something
=============================

Users read the distances of a latent space as if nearby codes were similar rows. A variational
autoencoder does not promise that. Its objective measures only how well rows are decoded and how
much information the codes hold, and each row has its own posterior scale. `distance_weight` adds
the missing term, which makes geodesic distances proportional to distances between rows.

The rows are WordNet's mammals: each of 1182 rows says which groups a kind of mammal belongs to. The
true distance between two kinds is known: it is the number of steps between them in the tree. A
plane has too little room for a tree, because the number of nodes grows exponentially with the
depth, but the area of a disk does not. In hyperbolic space it does.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import pearsonr
from sklearn.model_selection import train_test_split

from skccvae import ConstantCurvatureVAETransformer, GaussianVAETransformer
from skccvae.datasets import load_mammals
from skccvae.plotting import LatentDisplay

mammals = load_mammals()
groups = np.array([name.partition(".")[0] for name in mammals.target_names])[mammals.target]
train, test = train_test_split(np.arange(len(mammals.data)), test_size=0.2, random_state=0)
settings = {"max_epochs": 60, "random_state": 0}
hyperbolic = {"curvature": -1.0, "learn_curvature": True, "decoder_input": "tangent"}
models = {
    "plane": GaussianVAETransformer(2, **settings),
    "hyperbolic": ConstantCurvatureVAETransformer(2, **hyperbolic, **settings),
    "plane, distance_weight=1": GaussianVAETransformer(2, distance_weight=1.0, **settings),
    "hyperbolic, distance_weight=1": ConstantCurvatureVAETransformer(
        2, **hyperbolic, distance_weight=1.0, **settings
    ),
}

# %%
# The figure shows geodesic distances between kinds that were not in the training rows, against the
# number of steps in the tree.

upper = np.triu_indices(len(test), 1)
steps = mammals.tree_distances[np.ix_(test, test)][upper]
fig, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained", sharex=True)
for ax, (name, vae) in zip(axes, models.items(), strict=True):
    vae.fit(mammals.data[train])
    distances = np.asarray(vae.geodesic_distances(vae.transform(mammals.data[test])))[upper]
    correlation = pearsonr(distances, steps)[0]
    print(f"{name:<30} correlation {correlation:.2f}, curvature {vae.curvature_:.1f}")
    by_steps = [distances[steps == n] for n in range(1, steps.max() + 1)]
    ax.boxplot(by_steps, showfliers=False, medianprops={"color": "#d55e00"})
    ax.set(title=f"{name}\ncorrelation {correlation:.2f}", xlabel="steps in the tree")
    ax.set_xticks([1, 5, 10, 15], ["1", "5", "10", "15"])
axes[0].set_ylabel("geodesic distance")
plt.show()

# %%
# These are maps of all kinds, coloured by their group. In the last one nearly all kinds lie near
# the rim, where there is room to keep them apart. Each group has an arc of its own, and geodesics
# from one group to another pass nearer to the middle.

fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", width_ratios=[1, 1, 1.5])
for ax, name in zip(axes, list(models)[1:], strict=True):
    last = ax is axes[2]  # one legend for all
    LatentDisplay.from_estimator(models[name], mammals.data, groups, ax=ax, legend=last)
    ax.set_title(name.replace(", ", ",\n"))
plt.show()
