r"""
A search over curvature
=======================

Curvature is one number, and a search may cross its sign. Two data sets whose geometry is known
stand at the two ends: a tree, whose nodes multiply with their depth, and a mixture on a sphere,
both seen through a map into many dimensions. For each, the held-out log-likelihood and the accuracy
of nearest neighbours against the curvature of a two-dimensional latent space.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skccvae import ConstantCurvatureVAETransformer
from skccvae.datasets import make_branching_diffusion, make_sphere_mixture

tree = make_branching_diffusion(n_samples=1500, target="branch", random_state=0)
mixture = make_sphere_mixture(n_samples=1500, random_state=0)

# %%
# The same settings for every curvature. K = 0 is the Gaussian model.

curvatures = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
settings = {"hidden_layer_sizes": (64,), "batch_size": 64, "max_epochs": 40, "random_state": 0}


def profile(data):
    """Held-out log-likelihood and accuracy for each curvature, and the curvature learned from 0."""
    X_train, X_test, y_train, y_test = train_test_split(
        data.data.astype(np.float32), data.target, test_size=0.2, random_state=0
    )
    scores, accuracies = [], []
    for K in curvatures:
        vae = ConstantCurvatureVAETransformer(2, curvature=K, **settings).fit(X_train)
        Z_train, Z_test = vae.transform(X_train), vae.transform(X_test)
        knn = KNeighborsClassifier(metric="precomputed")
        knn.fit(vae.geodesic_distances(Z_train), y_train)
        scores.append(vae.score(X_test))
        accuracies.append(knn.score(vae.geodesic_distances(Z_test, Z_train), y_test))
    learned = ConstantCurvatureVAETransformer(2, learn_curvature=True, **settings).fit(X_train)
    return scores, accuracies, learned.history_["curvature"], learned.score(X_test)


profiles = {"tree": profile(tree), "mixture on a sphere": profile(mixture)}

# %%
# Left and middle: the profile of each data set. Right: the path of a curvature that starts at 0 and
# is learned along with the weights.

fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for ax, (name, (scores, accuracies, path, score)) in zip(axes, profiles.items(), strict=False):
    ax.plot(curvatures, scores, "o-", color="#332288", linewidth=2)
    ax.plot(path[-1], score, "*", color="#ee7733", markersize=14, label="learned K")
    ax.set(title=name, xlabel="curvature K", ylabel="held-out log-likelihood (nats)")
    ax.axvline(0, color="0.8", zorder=0)
    ax.legend(frameon=False)
    print(f"{name}: best K {curvatures[int(np.argmax(scores))]:g}, learned K {path[-1]:.2f}")
    for K, s, accuracy in zip(curvatures, scores, accuracies, strict=True):
        print(f"  K = {K:5.1f}  log-likelihood {s:8.2f}  nearest neighbours {accuracy:.3f}")
for (name, (_, _, path, _)), colour in zip(profiles.items(), ("#117733", "#cc6677"), strict=True):
    axes[2].plot(range(1, len(path) + 1), path, color=colour, linewidth=2, label=name)
axes[2].set(title="Learned from K = 0", xlabel="epoch", ylabel="curvature K")
axes[2].axhline(0, color="0.8", zorder=0)
axes[2].legend(frameon=False, loc="upper left")
axes[2].margins(y=0.25)
plt.show()
