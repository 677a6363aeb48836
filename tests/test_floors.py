"""A file of the package imports only from its own floor and from lower ones.

Imports are read from the syntax tree, so that one inside a function or under ``TYPE_CHECKING``
counts too.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "skccvae"

# From the ground up; the root of the package (``skccvae/__init__.py``) is the roof.
FLOORS = (
    "special",
    "manifolds",
    "distributions",
    "kernels",
    "nn",
    "vae",
    "training",
    "estimators",
    "model_selection",
)
# Beside the house: they see the manifolds and what those stand on, and not each other.
BESIDE = ("datasets", "plotting", "metrics", "molecules")
BESIDE_SEES = ("special", "manifolds")
# `geodesic_distances` of an estimator is the function of metrics, which stands on the manifolds;
# a molecular encoder's rows are those of molecules, which stands on nothing of the house. A matrix
# of true distances is checked by metrics.
ALSO_SEES = {"estimators": {"metrics", "molecules"}, "model_selection": {"metrics"}}
# What every floor that knows scikit-learn may import: its private names, arrays and tables of
# other libraries, and the labels of users.
SKLEARN = "_sklearn"
GROUND = (SKLEARN, "_array_api", "_labels", "_tables")

TRAINING_STEP = {"torch"}
AROUND_IT = {"torch", "numpy", "scipy", "sklearn", "skorch", "tqdm", "joblib", "safetensors"}
THIRD_PARTY = {
    **dict.fromkeys(
        ("special", "manifolds", "distributions", "kernels", "nn", "vae"), TRAINING_STEP
    ),
    "nn": TRAINING_STEP | {"torch_geometric"},  # optional: graph.py imports it when it is used
    "training": AROUND_IT,
    "estimators": AROUND_IT | {"pandas", "polars"},  # optional: frames of its users
    "model_selection": {"numpy", "scipy", "sklearn", "joblib", "pandas"},
    "datasets": {"torch", "numpy", "scipy", "sklearn", "joblib", "tqdm", "pandas", "PIL", "rdkit"},
    "plotting": {"torch", "numpy", "scipy", "sklearn", "matplotlib", "plotly", "pandas", "rdkit"},
    "metrics": {"torch", "numpy", "scipy", "sklearn"},
    "molecules": {"numpy", "scipy", "sklearn", "joblib", "rdkit", "pandas"},
    SKLEARN: {"sklearn"},
    "_array_api": {"torch", "numpy", "sklearn"},
    "_labels": {"numpy", "sklearn"},
    "_tables": {"numpy", "pandas", "pyarrow"},  # optional: tables of users
}


def imported_names(source: str, module: str, is_package: bool) -> set[str]:
    """Absolute dotted names that ``source``, the text of ``module``, imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                above = package[: len(package) - (node.level - 1)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from skccvae import vae` names a module of the package, not a name inside one.
            names.update(f"{base}.{a.name}" if base == "skccvae" else base for a in node.names)
    return names


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What ``module`` imports against the rules, each as one sentence."""
    parts = module.split(".")
    floor = parts[1] if len(parts) > 1 else None
    knows_sklearn = "sklearn" in THIRD_PARTY.get(floor or "", ())
    if floor is None:  # the roof may import anything of the house
        return []
    if floor in FLOORS:
        allowed = {*FLOORS[: FLOORS.index(floor) + 1], *ALSO_SEES.get(floor, ())}
    elif floor in BESIDE:
        allowed = {floor, *BESIDE_SEES}
    elif floor in GROUND:
        allowed = set()
    else:
        return [f"{module} stands on no floor"]

    found = []
    for name in sorted(imported_names(source, module, is_package)):
        top, *rest = name.split(".")
        if top == "skccvae":
            target = rest[0] if rest else "the root of the package"
            if target in GROUND and knows_sklearn:
                continue
            if target not in allowed:
                found.append(f"{module} ({floor}) imports {target}")
        elif top not in sys.stdlib_module_names and top not in THIRD_PARTY[floor]:
            found.append(f"{module} ({floor}) imports the third-party package {top}")
    return found


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    assert violations(path.read_text(encoding="utf-8"), module, is_package) == []


def test_the_house_is_complete() -> None:
    seen = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in files()}
    assert set(FLOORS) <= seen


def test_private_names_of_scikit_learn_stand_in_one_file() -> None:
    for path in files():
        if path.stem == SKLEARN:
            continue
        for name in imported_names(path.read_text(encoding="utf-8"), "skccvae.x", False):
            private = name.startswith("sklearn.") and "._" in name
            assert not private, f"{path} imports {name}; add it to skccvae/_sklearn.py"


def test_one_file_knows_laws_and_their_accelerators() -> None:
    for path in (PACKAGE / "kernels").glob("*.py"):
        names = imported_names(path.read_text(encoding="utf-8"), "skccvae.kernels.x", False)
        laws = {n for n in names if n.startswith("skccvae.distributions")}
        if path.stem == "registry":
            assert laws == {"skccvae.distributions"}
        else:  # the number of terms of a sum is no law
            assert laws <= {"skccvae.distributions.preimages"}, path


def test_models_ask_the_registry_alone() -> None:
    for folder in ("nn", "training", "estimators"):
        for path in (PACKAGE / folder).rglob("*.py"):
            names = imported_names(path.read_text(encoding="utf-8"), "skccvae.x", False)
            kernels = {n for n in names if n.startswith("skccvae.kernels")}
            assert kernels <= {"skccvae.kernels"}, path


def import_circles() -> list[list[str]]:
    """Groups of modules of the package that import each other, packages' __init__ aside."""
    graph: dict[str, set[str]] = {}
    for path in files():
        if path.stem != "__init__":
            module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            graph[module] = imported_names(path.read_text(encoding="utf-8"), module, False)
    edges = {m: {n for n in names if n in graph and n != m} for m, names in graph.items()}
    reach = {m: set(direct) for m, direct in edges.items()}
    for _ in edges:
        grown = {m: r.union(*(reach[n] for n in r)) for m, r in reach.items()}
        if grown == reach:
            break
        reach = grown
    return [sorted(n for n in reach[m] if m in reach[n]) for m in reach if m in reach[m]]


def test_no_modules_import_each_other() -> None:
    assert import_circles() == []


@pytest.mark.parametrize(
    ("module", "source", "culprit"),
    [
        ("skccvae.special.bessel", "from skccvae.manifolds import Sphere", "manifolds"),
        ("skccvae.special.bessel", "import skccvae.vae", "vae"),
        ("skccvae.special.bessel", "from ..manifolds.base import Manifold", "manifolds"),
        ("skccvae.special.bessel", "def f():\n    from .. import nn", "nn"),
        ("skccvae.special.bessel", "from scipy.special import ive", "scipy"),
        ("skccvae.distributions.kl", "import numpy as np", "numpy"),
        ("skccvae.nn.heads", "from skccvae import estimators", "estimators"),
        ("skccvae.nn.heads", "import skccvae", "root"),
        ("skccvae.vae", "from .training import net", "training"),
        ("skccvae.vae", "if TYPE_CHECKING:\n    from skccvae.estimators import x", "estimators"),
        ("skccvae.training.net", "from skccvae.metrics import y", "metrics"),
        ("skccvae.estimators._base", "from ..datasets import z", "datasets"),
        ("skccvae.estimators._base", "from ..model_selection import z", "model_selection"),
        ("skccvae.model_selection.x", "from skccvae.plotting import z", "plotting"),
        ("skccvae.metrics.knn", "from skccvae.distributions import z", "distributions"),
        ("skccvae.metrics.knn", "from skccvae.estimators import z", "estimators"),
        ("skccvae.plotting.latent", "from skccvae.datasets import z", "datasets"),
        ("skccvae.attic.old", "import torch", "no floor"),
        ("skccvae.nn.heads", "from skccvae._sklearn import Interval", "_sklearn"),
        ("skccvae._sklearn", "from skccvae.metrics import y", "metrics"),
        ("skccvae._labels", "from skccvae.estimators import y", "estimators"),
    ],
)
def test_the_checker_catches_a_planted_violation(module: str, source: str, culprit: str) -> None:
    found = violations(source, module)
    assert len(found) == 1
    assert culprit in found[0]


@pytest.mark.parametrize(
    ("module", "source", "is_package"),
    [
        ("skccvae.manifolds", "from .sphere import Sphere", True),
        ("skccvae.manifolds.sphere", "import torch\nfrom ..special import sin_k", False),
        ("skccvae.vae", "from .nn import heads\nfrom skccvae import distributions", False),
        ("skccvae.metrics.knn", "import numpy\nfrom skccvae.manifolds import Sphere", False),
        ("skccvae.estimators._inference", "from ..metrics import z", False),
        ("skccvae.model_selection.x", "from skccvae.estimators import z", False),
        ("skccvae", "from .estimators import GaussianVAETransformer", True),
        ("skccvae.molecules.x", "from skccvae._sklearn import Interval", False),
    ],
)
def test_the_checker_lets_honest_imports_pass(module: str, source: str, is_package: bool) -> None:
    assert violations(source, module, is_package) == []
