"""A CSV file of runs that can be interrupted and resumed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


class Runs:
    """Lines of results, one per run, which some of their columns identify.

    Parameters
    ----------
    path : pathlib.Path
        The file. The first line creates it.
    keys, values : list of str
        Columns that identify a run, and columns of its results.
    """

    def __init__(self, path: Path, keys: list[str], values: list[str]) -> None:
        self.path, self.keys, self.values = path, keys, values

    def rows(self) -> list[dict[str, str]]:
        """The lines of the file."""
        if not self.path.exists():
            return []
        with self.path.open() as file:
            return list(csv.DictReader(file))

    def has(self, **run: Any) -> bool:
        """Whether the file has a run."""
        wanted = tuple(str(run[key]) for key in self.keys)
        return any(tuple(row[key] for key in self.keys) == wanted for row in self.rows())

    def add(self, **row: Any) -> None:
        """Write one line and print it."""
        texts = {k: f"{v:.3f}" if isinstance(v, float) else str(v) for k, v in row.items()}
        fresh = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, [*self.keys, *self.values])
            if fresh:
                writer.writeheader()
            writer.writerow(texts)
        print(" ".join(f"{name}={text}" for name, text in texts.items()), flush=True)

    def means(self, over: str = "seed") -> dict[tuple[str, ...], dict[str, float]]:
        """Means of the values over one key, for each combination of the others."""
        groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
        for row in self.rows():
            groups.setdefault(tuple(row[k] for k in self.keys if k != over), []).append(row)
        return {
            # A value that some runs lack, such as those of a baseline, is left out.
            name: {
                v: sum(float(r[v]) for r in group) / len(group)
                for v in self.values
                if all(r[v] for r in group)
            }
            | {"runs": len(group)}
            for name, group in groups.items()
        }


def from_random_start(model: Any, likelihood: str = "auto") -> Any:
    """Give automatic parameters the values that they had when models started at random.

    Tables with this protocol were made before models started at PCA.
    """
    old = {"init": "random", "batch_size": 128, "kl_warmup_epochs": 0, "likelihood": likelihood}
    if hasattr(model, "prior_scale"):
        old["prior_scale"] = 1.0
    if hasattr(model, "signature"):
        old["coordinates"] = "ambient"
    automatic = ("auto", "pca", "natural")
    return model.set_params(
        **{
            name: value
            for name, value in old.items()
            if isinstance(getattr(model, name), str) and getattr(model, name) in automatic
        }
    )
