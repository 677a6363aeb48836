r"""
Small molecules in three geometries
===================================

From SMILES to a map of chemical space, to properties and to a molecule's neighbours: counts of
fragments go through a latent space of 2, 4 or 32 numbers, and what stands behind it reads those.

Run as a script, it takes some thousand molecules of QM9 with properties from quantum chemistry;
where QM9 is not at hand, as on the machine that built this page perhaps, it puts some hundred
molecules together itself, computes properties with RDKit, and says so::

    python examples/plot_qm9.py --data-home FOLDER
    python examples/plot_qm9.py --data-home FOLDER --n-molecules 20000 --save-to PICTURES
"""

import argparse
import itertools
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import Crippen, Draw, rdMolDescriptors
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer
from skccvae.datasets import fetch_qm9
from skccvae.metrics import GeodesicDistance
from skccvae.molecules import FingerprintTransformer
from skccvae.plotting import LatentDisplay

parser = argparse.ArgumentParser()
parser.add_argument("--data-home", help="folder of QM9; otherwise where fetch_qm9 finds it")
parser.add_argument("--n-molecules", type=int, default=5000, help="of QM9, drawn at random")
parser.add_argument("--epochs", type=int, help="15 for QM9, 25 for the substitute")
parser.add_argument("--save-to", type=Path, metavar="DIR", help="save the figures there")
parser.add_argument("--threads", type=int, default=1, help="of torch")
options = parser.parse_args()
torch.set_num_threads(options.threads)


def finish(figure, name: str) -> None:
    """Save a figure where that was asked for."""
    if options.save_to is not None:
        options.save_to.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.save_to / f"{name}.png", dpi=110)


# %%
# The molecules
# -------------
# SMILES and four properties a molecule. The substitute puts a core between two groups; what RDKit
# computes for it are sums over atoms, an easier task than orbital energies and dipoles.


def enumerated() -> list[str]:
    """Canonical SMILES of a core between two groups, each molecule once."""
    heads = ["", "C", "CC", "O", "N", "F", "N#C", "OC(=O)", "CC(=O)", "CO"]
    cores = ["CC", "CCCC", "C(C)C", "C=C", "CC#C", "C1CC(C1)", "C1CCC(CC1)", "C1CCC(O1)"]
    cores += ["c1ccc(cc1)", "c1ccc(nc1)", "c1ccc(o1)"]
    tails = ["", "C", "O", "N", "F", "C#N", "C(=O)O", "C(C)=O", "OC", "C(N)=O"]
    parts = itertools.product(heads, cores, tails)
    return sorted({Chem.CanonSmiles("".join(part)) for part in parts})


rng = np.random.default_rng(0)
try:
    qm9 = fetch_qm9(
        data_home=options.data_home,
        targets=["gap", "mu", "alpha", "cv"],
        energy_unit="ev",
        download_if_missing=False,
    )
except OSError as error:
    if options.data_home is not None:
        raise
    smiles = rng.permutation(enumerated())
    print(f"QM9 is not at hand ({type(error).__name__}); molecules put together here instead.")
    functions = [Crippen.MolLogP, rdMolDescriptors.CalcTPSA, Crippen.MolMR]
    functions.append(rdMolDescriptors.CalcLabuteASA)
    Y = np.array([[f(m) for f in functions] for m in map(Chem.MolFromSmiles, smiles)])
    names = ["log P", "polar surface", "refractivity", "surface"]
    units = ["", "Å²", "cm³/mol", "Å²"]
    epochs, batch_size = options.epochs or 25, 32
else:
    if not 100 <= options.n_molecules <= len(qm9.data):
        parser.error(f"--n-molecules must be from 100 to {len(qm9.data)}: {options.n_molecules}")
    drawn = rng.choice(len(qm9.data), options.n_molecules, replace=False)
    smiles, Y = qm9.data[drawn], qm9.target[drawn]
    names = ["HOMO-LUMO gap", "dipole", "polarisability", "heat capacity"]
    units = ["eV", "D", "a₀³", "cal/mol/K"]
    epochs, batch_size = options.epochs or 15, 64
labels = [f"{name} ({unit})" if unit else name for name, unit in zip(names, units, strict=True)]
n_train = len(smiles) * 4 // 5
S_train, S_test, Y_train, Y_test = smiles[:n_train], smiles[n_train:], Y[:n_train], Y[n_train:]
print(f"{len(S_train)} molecules to train on, {len(S_test)} to test on, such as {S_test[0]}.")

# %%
# A fingerprint counts the fragments of up to two bonds around each atom; most of its 1024 numbers
# are zero, and it stays sparse.

# This import turns all deprecation warnings on; the block takes that back.
with warnings.catch_warnings():
    from scikit_mol.fingerprints import MorganFingerprintTransformer

fingerprint = FingerprintTransformer(
    MorganFingerprintTransformer(radius=2, fpSize=1024, useCounts=True)
)
X_train, X_test = fingerprint.fit_transform(S_train), fingerprint.transform(S_test)
print(f"{X_train.nnz / len(S_train):.1f} of {X_train.shape[1]} counts of a molecule are not zero.")

# %%
# Maps of chemical space
# ----------------------
# Two numbers a molecule, learned from the fragments alone: on the plane, on the sphere and in the
# hyperbolic plane. One noise for all counts (`likelihood="isotropic_gaussian"`) gives each its
# weight by its variance, as in PCA.

GEOMETRIES = {
    "plane": GaussianVAETransformer,
    "sphere": SphericalVAETransformer,
    "hyperbolic": HyperbolicVAETransformer,
}
common = {
    "likelihood": "isotropic_gaussian",
    "kl_warmup_epochs": epochs // 3,
    "max_epochs": epochs,
    "batch_size": batch_size,
    "random_state": 0,
}
flat = {
    name: cls(2, hidden_layer_sizes=(256, 64), **common).fit(X_train)
    for name, cls in GEOMETRIES.items()
}
shown = slice(0, 1500)


def maps(colours, height: float, **style):
    """Figure and axes with test molecules in the three spaces."""
    figure = plt.figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=[1, 1.75, 1])
    for ax, vae in zip(axes, flat.values(), strict=True):
        LatentDisplay.from_estimator(vae, X_test[shown], colours, ax=ax, **style)
    return figure, axes


# Some molecules are far from all others: the colours span the middle 96 per cent.
low, high = np.percentile(Y_test[shown, 0], [2, 98])
figure, axes = maps(Y_test[shown, 0], 2.8, vmin=low, vmax=high)
# The three colour bars are one.
bars = [dots.colorbar for ax in axes for dots in ax.collections if dots.colorbar is not None]
for bar in bars[:-1]:
    bar.remove()
bars[-1].set_label(labels[0], fontsize=13)
finish(figure, "qm9_maps")

# %%
# The same points by what a chemist would look for first.

GROUPS = {"aromatic": "a", "C=O": "C=O", "C≡C or C≡N": "C#[C,N]", "none of these": "*"}
patterns = {name: Chem.MolFromSmarts(smarts) for name, smarts in GROUPS.items()}


def group(text: str) -> str:
    """First of the groups that a molecule has."""
    molecule = Chem.MolFromSmiles(text)
    return next(name for name, p in patterns.items() if molecule.HasSubstructMatch(p))


figure, axes = maps([group(text) for text in S_test[shown]], 3.4, class_labels="legend")
legends = [ax.get_legend() for ax in axes]
figure.legend(
    legends[0].legend_handles,
    [text.get_text() for text in legends[0].get_texts()],
    loc="outside lower center",
    ncols=len(GROUPS),
    frameon=False,
    fontsize=12,
)
for legend in legends:
    legend.remove()
finish(figure, "qm9_groups")

# %%
# Properties from 32 numbers
# --------------------------
# One pipeline from SMILES to four properties. Linear maps and a small weight of the KL keep as much
# of the counts as 32 numbers can; `PCA` then turns the code to its principal axes, which loses
# nothing and helps trees, for they split along axes. `TruncatedSVD` of the same counts has the same
# width. The trees are fitted to the same codes: frozen, they are a step of a pipeline whose `fit`
# leaves them as they are. What grows with the molecule, as polarisability and heat capacity do, is
# easier for `TruncatedSVD`: it does not subtract means, and so keeps the size of a molecule, which
# varies too little to be worth one of 32 numbers otherwise. Mean absolute errors on the test
# molecules:

linear = common | {"hidden_layer_sizes": (), "beta": 0.02, "learning_rate": 3e-3}
encoders = {"TruncatedSVD": TruncatedSVD(32, random_state=0)}
encoders |= {name: cls(32, **linear) for name, cls in GEOMETRIES.items()}
trees = MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0))


def row(name: str, model: str, error, seconds: float) -> str:
    """A line of the table."""
    return f"{name:<13}{model:<7}" + "".join(f"{e:>16.3f}" for e in error) + f"{seconds:>10.1f}"


print(" " * 20 + "".join(f"{name:>16}" for name in names) + "   seconds")
print(" " * 20 + "".join(f"{unit:>16}" for unit in units))
print(row("mean", "", np.abs(Y_test - Y_train.mean(axis=0)).mean(axis=0), 0))
wide = {}
for name, encoder in encoders.items():
    start = time.perf_counter()
    steps = [("fingerprint", fingerprint), ("encoder", encoder), ("axes", PCA())]
    pipe = Pipeline([*steps, ("ridge", RidgeCV(np.logspace(-3, 3, 7)))]).fit(S_train, Y_train)
    error = np.abs(pipe.predict(S_test) - Y_test).mean(axis=0)
    print(row(name, "ridge", error, time.perf_counter() - start))
    start = time.perf_counter()
    code = FrozenEstimator(pipe[:-1])
    boosted = Pipeline([("code", code), ("trees", trees)]).fit(S_train, Y_train)
    error = np.abs(boosted.predict(S_test) - Y_test).mean(axis=0)
    print(row(name, "trees", error, time.perf_counter() - start))
    wide[name] = pipe["encoder"]

# %%
# Few labels, many molecules
# --------------------------
# A property is known for a tenth of the molecules; y is NaN for the others. With
# `supervised_weight` above 0, a code of four numbers keeps what the property depends on, and the
# unlabelled molecules still show which fragments there are. Ten nearest neighbours, by the distance
# of the space, and ridge regression read the code of the labelled tenth. Four numbers leave out
# much, and it matters what; a code of 32 has room for most of it, and with some hundred labels of
# QM9 ridge regression was no better there, or worse, for their having been seen.
# Mean absolute errors:

n_known = n_train // 10
y_train = np.full(n_train, np.nan)
y_train[:n_known] = Y_train[:n_known, 0]


def errors(Z_known, Z_new, **neighbours) -> str:
    """Errors of neighbours and of a ridge regression that see the labelled molecules."""
    out = ""
    models = (KNeighborsRegressor(10, **neighbours), RidgeCV(np.logspace(-3, 3, 7)))
    for model in models:
        predicted = model.fit(Z_known, y_train[:n_known]).predict(Z_new)
        out += f"{np.abs(predicted - Y_test[:, 0]).mean():>12.3f}"
    return out


print(f"{labels[0]}, {n_known} of {n_train} molecules labelled")
print(f"{'four numbers':<26}{'neighbours':>12}{'ridge':>12}")
svd = TruncatedSVD(4, random_state=0).fit(X_train)
print(f"{'TruncatedSVD':<26}" + errors(svd.transform(X_train[:n_known]), svd.transform(X_test)))
for name, cls in GEOMETRIES.items():
    for weight in (0.0, 10.0):
        settings = common | {"hidden_layer_sizes": (), "supervised_weight": weight}
        vae = cls(4, learning_rate=3e-3, **settings).fit(X_train, y_train)
        metric = GeodesicDistance(vae.manifold_, vae.coordinates)
        found = errors(
            vae.transform(X_train[:n_known]),
            vae.transform(X_test),
            metric=metric,
            algorithm="brute",
        )
        print(f"{name:<13}{'labels seen' if weight else 'no labels':<13}" + found)

# %%
# A molecule's neighbours
# -----------------------
# A test molecule, and the nearest of the training molecules by geodesic distance in 32 dimensions.
# Far out in the hyperbolic space every way to another molecule leads back towards the origin, and
# its nearest neighbours may be those that lie further in, like them or not; where neighbours
# matter, the sphere and the plane do better here, as they do in the table above.

asked = int(
    np.flatnonzero([rdMolDescriptors.CalcNumRings(Chem.MolFromSmiles(s)) for s in S_test])[0]
)
molecules, legends = [], []
for name in GEOMETRIES:
    vae = wide[name]
    distances = vae.geodesic_distances(
        vae.transform(X_test[asked : asked + 1]), vae.transform(X_train)
    )[0]
    near = np.argsort(distances)[:4]
    molecules += [Chem.MolFromSmiles(s) for s in (S_test[asked], *S_train[near])]
    legends += [f"{name}: {Y_test[asked, 0]:.2f} {units[0]}"]
    legends += [f"d = {distances[i]:.2f}: {Y_train[i, 0]:.2f} {units[0]}" for i in near]
drawing = Draw.rdMolDraw2D.MolDrawOptions()
drawing.legendFontSize = 26
drawing.legendFraction = 0.2
drawing.minFontSize = 18
image = Draw.MolsToGridImage(
    molecules,
    molsPerRow=5,
    subImgSize=(320, 240),
    legends=legends,
    drawOptions=drawing,
    returnPNG=False,
)
figure, ax = plt.subplots(figsize=(10, 4.8), layout="constrained")
ax.imshow(np.asarray(image), interpolation="antialiased")
ax.set_title(f"Left: a molecule. Right: its neighbours, distance d and {labels[0]}", fontsize=12)
ax.axis("off")
finish(figure, "qm9_neighbours")

# %%
# Molecules as graphs
# -------------------
# Without a fingerprint in front: an encoder that passes messages along the bonds takes the SMILES.

graph = HyperbolicVAETransformer(4, encoder="molecular_graph", max_epochs=2, random_state=0)
Z = graph.fit(S_train[:500]).transform(S_test[:500])
print(f"{len(Z)} molecules as {Z.shape[1]} numbers each; loss {graph.loss_curve_[-1]:.1f} nats")

plt.show()
