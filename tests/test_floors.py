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
FLOORS = ("special", "manifolds", "distributions", "nn", "vae", "training", "estimators")
# Beside the house: they see the manifolds and what those stand on, and not each other.
BESIDE = ("datasets", "plotting", "metrics", "molecules")
BESIDE_SEES = ("special", "manifolds")
# `geodesic_distances` of an estimator is the function of metrics, which stands on the manifolds.
ALSO_SEES = {"estimators": {"metrics"}}

TRAINING_STEP = {"torch"}
AROUND_IT = {"torch", "numpy", "scipy", "sklearn", "skorch", "tqdm", "joblib", "safetensors"}
THIRD_PARTY = {
    **dict.fromkeys(("special", "manifolds", "distributions", "nn", "vae"), TRAINING_STEP),
    "training": AROUND_IT,
    "estimators": AROUND_IT,
    "datasets": {"torch", "numpy", "scipy", "sklearn", "joblib", "tqdm", "pandas", "PIL", "rdkit"},
    "plotting": {"torch", "numpy", "scipy", "sklearn", "matplotlib", "pandas", "rdkit"},
    "metrics": {"torch", "numpy", "scipy", "sklearn"},
    "molecules": {"numpy", "scipy", "sklearn", "joblib", "rdkit"},
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
    if floor is None:  # the roof may import anything of the house
        return []
    if floor in FLOORS:
        allowed = {*FLOORS[: FLOORS.index(floor) + 1], *ALSO_SEES.get(floor, ())}
    elif floor in BESIDE:
        allowed = {floor, *BESIDE_SEES}
    else:
        return [f"{module} stands on no floor"]

    found = []
    for name in sorted(imported_names(source, module, is_package)):
        top, *rest = name.split(".")
        if top == "skccvae":
            target = rest[0] if rest else "the root of the package"
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
        ("skccvae.metrics.knn", "from skccvae.distributions import z", "distributions"),
        ("skccvae.metrics.knn", "from skccvae.estimators import z", "estimators"),
        ("skccvae.plotting.latent", "from skccvae.datasets import z", "datasets"),
        ("skccvae.attic.old", "import torch", "no floor"),
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
        ("skccvae", "from .estimators import GaussianVAETransformer", True),
    ],
)
def test_the_checker_lets_honest_imports_pass(module: str, source: str, is_package: bool) -> None:
    assert violations(source, module, is_package) == []
