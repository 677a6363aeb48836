"""Links from prose to the reference: names in single backticks, of this package and of others.

Sphinx reads what other sites document from their inventories, which it would have to download. The
few names that these pages mention are listed here, so that the site can be built without a network.
"""

from __future__ import annotations

import zlib
from pathlib import Path

#: For each site its address, and pages of names in it; `{}` is the full name of an object.
SITES: dict[str, tuple[str, dict[str, list[str]]]] = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            "modules/generated/{}.html": [
                "sklearn.base.clone",
                "sklearn.compose.ColumnTransformer",
                "sklearn.compose.make_column_selector",
                "sklearn.decomposition.FastICA",
                "sklearn.decomposition.PCA",
                "sklearn.decomposition.TruncatedSVD",
                "sklearn.ensemble.IsolationForest",
                "sklearn.experimental.enable_halving_search_cv",
                "sklearn.impute.IterativeImputer",
                "sklearn.impute.KNNImputer",
                "sklearn.impute.SimpleImputer",
                "sklearn.linear_model.LogisticRegression",
                "sklearn.linear_model.SGDClassifier",
                "sklearn.metrics.pairwise.nan_euclidean_distances",
                "sklearn.metrics.pairwise_distances",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.HalvingGridSearchCV",
                "sklearn.model_selection.train_test_split",
                "sklearn.neighbors.KNeighborsClassifier",
                "sklearn.neighbors.LocalOutlierFactor",
                "sklearn.pipeline.Pipeline",
                "sklearn.preprocessing.OneHotEncoder",
                "sklearn.preprocessing.StandardScaler",
                "sklearn.utils.Bunch",
                "sklearn.utils.estimator_checks.check_estimator",
            ],
        },
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            "data.html#{}": [
                "torch.utils.data.DataLoader",
                "torch.utils.data.Dataset",
                "torch.utils.data.IterableDataset",
                "torch.utils.data.Subset",
                "torch.utils.data.get_worker_info",
            ],
            "distributions.html#{}": ["torch.distributions.Distribution"],
            "generated/{}.html": ["torch.set_num_threads", "torch.nn.Module"],
            "export.html": ["torch.export"],
            "onnx_export.html": ["torch.onnx.export"],
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        {"reference/generated/{}.html": ["numpy.memmap"]},
    ),
    "pandas": (
        "https://pandas.pydata.org/docs/",
        {"reference/api/{}.html": ["pandas.NA", "pandas.DataFrame"]},
    ),
    "dask_ml": (
        "https://ml.dask.org/",
        {"modules/generated/{}.html": ["dask_ml.model_selection.HyperbandSearchCV"]},
    ),
    "distributed": (
        "https://distributed.dask.org/en/stable/",
        {"api.html#{}": ["distributed.Client"]},
    ),
    "scikit_mol": (
        "https://scikit-mol.readthedocs.io/en/latest/",
        {
            "api/scikit_mol.fingerprints.html#{}": [
                "scikit_mol.fingerprints.MorganFingerprintTransformer"
            ]
        },
    ),
}


def inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write an inventory of each site, and say where they are, as ``intersphinx_mapping`` does.

    An object is listed under its full name and under its last part, as prose uses both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for site, (address, pages) in SITES.items():
        lines = []
        for page, names in pages.items():
            for name in names:
                target = page.format(name)
                lines += [f"{n} py:class 1 {target} -\n" for n in {name, name.rpartition(".")[2]}]
        head = f"# Sphinx inventory version 2\n# Project: {site}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        file = folder / f"{site}.inv"
        file.write_bytes(head.encode() + zlib.compress("".join(sorted(lines)).encode()))
        mapping[site] = (address, str(file))
    return mapping


def find_in_package(app, env, node, contnode):
    """Resolve a name without its module, if exactly one object of this package has it."""
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    if "." in target:
        found = [f"skccvae.{target}"] if f"skccvae.{target}" in domain.objects else []
    else:
        kinds = {"class", "function", "exception", "data"}
        found = [
            name
            for name, entry in domain.objects.items()
            if name.rpartition(".")[2] == target
            and entry.objtype in kinds
            # The place where an object is defined gives it another name.
            and not entry.aliased
        ]
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)
