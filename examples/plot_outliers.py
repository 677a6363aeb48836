r"""
Outliers by likelihood
======================

A detector sees images of only one digit, and has to tell new images of it from those of other
digits. `LatentOutlierDetector` uses the log-likelihood of a model as a score. It is compared with
two of scikit-learn's detectors and with the likelihood of probabilistic PCA.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from skccvae import LatentOutlierDetector, SphericalVAETransformer

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
detectors = {
    "IsolationForest": lambda: IsolationForest(random_state=0),
    "LocalOutlierFactor": lambda: LocalOutlierFactor(novelty=True),
    "PCA, d = 10": lambda: PCA(10, random_state=0),
    "sphere, d = 2": lambda: LatentOutlierDetector(SphericalVAETransformer(2, random_state=0)),
}

# %%
# The table shows the area under the ROC curve, with each of four digits as the known one. The
# detectors are fitted to half of its images, and have to tell the other half from all other digits.

known = (0, 3, 8, 9)
scores = {name: [] for name in detectors}
for digit in known:
    own = np.random.default_rng(digit).permutation(np.flatnonzero(y == digit))
    train, held_out = own[: len(own) // 2], own[len(own) // 2 :]
    test = np.concatenate([held_out, np.flatnonzero(y != digit)])
    for name, make in detectors.items():
        detector = make().fit(X[train])
        scores[name].append(roc_auc_score(y[test] == digit, detector.score_samples(X[test])))
print(f"{'known digit':<20}" + "".join(f"{digit:>8}" for digit in known) + "    mean")
for name, found in scores.items():
    print(f"{name:<20}" + "".join(f"{s:>8.3f}" for s in found) + f"{np.mean(found):>8.3f}")

# %%
# In the mean over the digits, the sphere is better than both of scikit-learn's detectors, but no
# better than probabilistic PCA, which needs no training and is the first thing to try here.
#
# The figure is for the last detector, which knows nines. It shows the least likely of the nines
# that the detector has not seen, and the most likely of the other digits.

score = detector.score_samples(X)
nines = held_out[np.argsort(score[held_out])][:10]
others = np.flatnonzero(y != digit)
others = others[np.argsort(-score[others])][:10]
figure, axes = plt.subplots(2, 1, figsize=(8, 2.4), layout="constrained")
for ax, rows, title in zip(
    axes, (nines, others), ("least likely nines", "most likely of the other digits"), strict=True
):
    ax.imshow(np.hstack(X[rows].reshape(-1, 8, 8)), cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.axis("off")
share = (detector.predict(X[held_out]) == -1).mean()
print(
    f"Called outliers: {share:.1%} of the nines held out, "
    f"{(detector.predict(X[y != digit]) == -1).mean():.1%} of the other digits."
)
plt.show()
