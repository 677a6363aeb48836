r"""
Outliers by likelihood
======================

A detector sees one digit only, and has to tell new images of it from those of the other digits.
`LatentOutlierDetector` takes the log-likelihood of a model for a score; beside it stand two
detectors of scikit-learn and the likelihood of probabilistic PCA.
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
# Area under the ROC curve, with each of four digits as the known one: half of its images are fitted
# to, and the others have to be told from all other digits.

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
# The sphere is ahead of both detectors of scikit-learn, and no better than probabilistic PCA, which
# takes no training and is the first thing to try here.
#
# The last detector, which knows nines: its lowest scores among nines it has not seen, and its
# highest among other digits.

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
