"""Tables with columns of several kinds: from the user's frame to numbers, and back.

A level becomes its number, and a missing value becomes NaN. `MixedColumns` holds what was learned
about the columns; files and pickles keep it. No other file knows about levels and dtypes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skccvae._labels import is_missing
from skccvae.estimators._frame_dtypes import (
    dtype_of,
    dtype_text,
    is_category,
    is_decimal,
    numbers_of,
)

# Each level takes an input and an output of the networks. A column with more levels than this
# usually holds names or row numbers, from which nothing can be learned.
MOST_LEVELS = 1000


@dataclass(frozen=True)
class MixedColumns:
    """What is known about the columns of a table.

    Attributes
    ----------
    names : tuple of str
        Name of the likelihood of each block of columns; ``"auto"`` until rows have decided.
    block : ndarray of int, shape (p,)
        Number of the block that each column belongs to.
    levels : tuple of tuple
        Levels of each column, text, bools or numbers, in order. A column of numbers has none.
    dtypes : tuple of str
        Dtypes of the columns of a frame. Empty if X was an array.
    shares : ndarray of shape (n_levels,)
        How often each level occurs, column after column.
    scale : ndarray of shape (p,)
        The scale that the likelihood of each column gets.
    """

    names: tuple[str, ...]
    block: np.ndarray
    levels: tuple[tuple[Any, ...], ...]
    dtypes: tuple[str, ...]
    shares: np.ndarray
    scale: np.ndarray

    @classmethod
    def learn(cls, X: Any, names: Sequence[str], block: NDArray[np.int64]) -> MixedColumns:
        """Read levels and dtypes off a frame or an array.

        Raises
        ------
        ValueError
            If a categorical column has no level, more than 1000 levels, or fractions.
        TypeError
            If its levels are of several kinds, or are not text, bools or numbers.
        """
        p = len(block)
        levels = tuple(
            _levels_of(X, place, _label(X, place)) if names[block[place]] == "categorical" else ()
            for place in range(p)
        )
        dtypes: tuple[str, ...] = ()
        if hasattr(X, "iloc"):
            dtypes = tuple(dtype_text(X.iloc[:, place]) for place in range(p))
        empty = np.zeros(sum(map(len, levels)))
        return cls(tuple(names), block, levels, dtypes, empty, np.ones(p))

    # --- to numbers -----------------------------------------------------------------------------

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical columns."""
        return [place for place, levels in enumerate(self.levels) if levels]

    def not_coded(self) -> list[int]:
        """Positions of the categorical columns whose levels are not their numbers."""
        return [
            place
            for place in self.categorical
            if self.levels[place] != tuple(range(len(self.levels[place])))
        ]

    def coded(self, X: Any, allow_nan: bool) -> Any:
        """X with a number in place of each level, and NaN in place of a missing level.

        Parameters
        ----------
        X : frame or ndarray of shape (n, p)
            A frame keeps its columns of numbers as they are. An array becomes an array of float64.
        allow_nan : bool
            Whether levels may be missing.

        Raises
        ------
        ValueError
            If a level is unknown, or is missing where it must not be.
        """
        frame = hasattr(X, "iloc")
        if frame:
            X = X.copy(deep=False)
        elif X.dtype == object:
            numbers = np.full(X.shape, np.nan)
            for place in set(range(X.shape[1])) - set(self.categorical):
                column = X[:, place]
                known = np.array([not is_missing(entry) for entry in column], dtype=bool)
                numbers[known, place] = column[known].astype(np.float64)
            given, X = X, numbers
        else:
            given, X = X, X.astype(np.float64)
        for place in self.categorical:
            entries = X.iloc[:, place].to_numpy(dtype=object) if frame else given[:, place]
            codes = self._codes(entries, place, _label(X, place), allow_nan)
            if frame:
                X.isetitem(place, codes)
            else:
                X[:, place] = codes
        return X

    def _codes(
        self, entries: NDArray[Any], place: int, label: str, allow_nan: bool
    ) -> NDArray[np.float64]:
        number = {level: code for code, level in enumerate(self.levels[place])}
        codes = np.array(
            [np.nan if is_missing(e) else number.get(_plain(e), -1) for e in entries.tolist()],
            dtype=np.float64,
        )
        if (codes < 0).any():
            unknown = entries[int(np.argmax(codes < 0))]
            raise ValueError(
                f"{label} holds {unknown!r}, a level that the model was not fitted on. It knows "
                f"{_listed(self.levels[place])}. Fit on rows with all levels, or on a pandas "
                "category dtype that names them all (astype(CategoricalDtype(levels))). If the "
                "level carries no information, make it missing, with missing='mask'."
            )
        if not allow_nan and np.isnan(codes).any():
            row = int(np.argmax(np.isnan(codes)))
            raise ValueError(
                f"{label} contains NaN or None, first in row {row}. If this is a value that was "
                "not observed, set missing='mask'. Otherwise leave such rows out, or make it a "
                "level of its own, with fillna('missing') for example."
            )
        return codes

    def seen_in(self, rows: NDArray[Any]) -> tuple[NDArray[Any], MixedColumns]:
        """Rows with new level numbers, and the columns without levels that the rows do not contain.

        The levels of a pandas category dtype stay, because it names them even if they do not occur.
        """
        rows, levels = rows.copy(), list(self.levels)
        for place in self.categorical:
            if self.dtypes and is_category(self.dtypes[place]):
                continue
            known = ~np.isnan(rows[:, place])
            kept, codes = np.unique(rows[known, place], return_inverse=True)
            rows[known, place] = codes
            levels[place] = tuple(levels[place][int(code)] for code in kept)
            if not len(kept):
                raise ValueError(f"Column {place} of X holds no level in rows of positive weight.")
        empty = np.zeros(sum(map(len, levels)))
        return rows, MixedColumns(
            self.names, self.block, tuple(levels), self.dtypes, empty, self.scale
        )

    # --- and back -------------------------------------------------------------------------------

    def values(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Levels in place of their numbers, in an array of the same shape as ``rows``, (..., p).

        The array holds objects if a level is text, and float64 otherwise. NaN stays.
        """
        numeric = all(isinstance(v, Real) for levels in self.levels for v in levels)
        out = rows.astype(np.float64 if numeric else object)
        for place in self.categorical:
            out[..., place] = self._levels(rows[..., place], place, np.float64 if numeric else None)
        return out

    def _levels(self, codes: NDArray[Any], place: int, dtype: Any = None) -> NDArray[Any]:
        table = np.empty(len(self.levels[place]) + 1, dtype=object)
        table[:-1], table[-1] = self.levels[place], np.nan
        known = np.where(np.isnan(codes), len(table) - 1, codes).astype(np.int64)
        return table[known].astype(dtype or object)

    def frame(self, rows: NDArray[Any], column_names: Sequence[str] | None) -> Any:
        """Rows as a frame with the dtypes that X had in `fit`. Whole numbers are rounded."""
        import pandas as pd  # installed, because X was a frame of it

        names = range(rows.shape[1]) if column_names is None else column_names
        columns = [
            self._column(rows[:, place], place, self.dtypes[place])
            for place in range(rows.shape[1])
        ]
        frame = pd.concat(columns, axis=1)
        frame.columns = pd.Index(list(names))
        return frame

    def _column(self, values: NDArray[Any], place: int, text: str) -> Any:
        import pandas as pd

        dtype = dtype_of(text, self.levels[place])
        if self.levels[place]:
            values = self._levels(values, place)
        else:
            values = numbers_of(values, dtype, text)
        return pd.Series(pd.array(values, dtype=dtype), dtype=dtype)

    def filled(self, X: Any, rows: NDArray[Any], values: NDArray[np.float64]) -> Any:
        """A copy of X in its container and dtypes, with values in place of the missing entries.

        Parameters
        ----------
        X : object
            X as the user passed it.
        rows : ndarray of shape (n, p)
            The same rows, validated and with numbers for levels.
        values : ndarray of shape (n_holes,)
            The values row by row. In categorical columns they are numbers of levels.
        """
        holes = np.isnan(rows)
        found = np.array(rows)
        found[holes] = values
        if not hasattr(X, "iloc"):
            out = self.values(found)
            plain = isinstance(X, np.ndarray) and not isinstance(X, np.ma.MaskedArray)
            if plain and X.dtype.kind in "fO":
                given = np.array(X)
                given[holes] = out[holes]
                return given
            if isinstance(X, torch.Tensor):  # it holds numbers, so the levels are numbers too
                return torch.from_numpy(out).to(X.device, X.dtype)
            return out
        out = X.copy()
        for place in np.flatnonzero(holes.any(axis=0)).tolist():
            column, empty = X.iloc[:, place].copy(), holes[:, place]
            if hasattr(column, "sparse"):
                column = column.sparse.to_dense()
            if is_decimal(column.dtype):
                column = column.astype("Float64")
            if empty.all() and self.dtypes:  # no entry says what it holds, so it is as in `fit`
                new = self._column(found[:, place], place, self.dtypes[place])
                out.isetitem(place, new.set_axis(X.index))
                continue
            if self.levels[place]:
                new = self._levels(found[empty, place], place)
                if hasattr(column, "cat"):  # it may lack a level that the model knows
                    known = column.cat.categories
                    column = column.cat.add_categories(
                        [level for level in dict.fromkeys(new.tolist()) if level not in known]
                    )
            else:
                new = numbers_of(found[empty, place], column.dtype, self.dtypes[place])
            column.iloc[empty] = new
            out.isetitem(place, column)
        return out


def known_levels(X: Any, columns: MixedColumns) -> Any:
    """A frame in which columns of text have a category dtype with all levels that a model knows.

    A model that is fitted to a part of its rows then knows the levels of the others.
    """
    import pandas as pd

    kinds = {
        X.columns[place]: pd.CategoricalDtype(list(columns.levels[place]))
        for place in columns.categorical
        if not isinstance(X.dtypes.iloc[place], pd.CategoricalDtype)
    }
    return X.astype(kinds)


def holds_text(column: Any) -> bool:
    """Whether a column of a frame has a category dtype, or text among its entries."""
    if hasattr(column.dtype, "categories") and hasattr(column.dtype, "ordered"):
        return True
    if getattr(column.dtype, "kind", "O") not in "OUS":  # Arrow's text is of kind "U"
        return False
    return any(isinstance(entry, str) for entry in column)


def _label(X: Any, place: int) -> str:
    return f"Column {X.columns[place]!r} of X" if hasattr(X, "iloc") else f"Column {place} of X"


def _plain(entry: Any) -> Any:
    return entry.item() if isinstance(entry, np.generic) else entry


def _levels_of(X: Any, place: int, label: str) -> tuple[Any, ...]:
    """Levels of a column in order: those of its category dtype, or those that occur, sorted."""
    column = X.iloc[:, place] if hasattr(X, "iloc") else X[:, place]
    dtype, named = column.dtype, False
    if hasattr(dtype, "categories") and hasattr(dtype, "ordered"):
        levels, named = [_plain(level) for level in dtype.categories], True
    else:
        entries = np.asarray(column, dtype=object).tolist()
        levels = list(dict.fromkeys(_plain(entry) for entry in entries if not is_missing(entry)))
    if not levels:
        raise ValueError(f"{label} holds no level at all. Leave the column out.")
    kinds = {_kind_of_level(level) for level in levels}
    if len(kinds) > 1 or None in kinds:
        types = sorted({type(level).__name__ for level in levels})
        raise TypeError(
            f"{label} has levels of type {' and '.join(types)}, such as {levels[0]!r}. Levels must "
            "be all text, all bools or all numbers. Convert them, with astype(str) for example."
        )
    if len(levels) > MOST_LEVELS:
        raise ValueError(
            f"{label} has {len(levels)} levels. A categorical column may have at most "
            f"{MOST_LEVELS}, because the networks have weights for each level. Leave out names "
            "and row numbers, and join rare levels. If the entries are numbers, convert them, with "
            "pandas.to_numeric."
        )
    if kinds == {Real} and not named:
        if fractions := [level for level in levels if level != int(level)]:
            raise ValueError(
                f"{label} is categorical and holds {fractions[0]!r}, but numbered levels must be "
                "whole numbers. Give the column a real-valued likelihood, such as 'gaussian'."
            )
        levels = [int(level) for level in levels]
    return tuple(levels if named else sorted(levels))


def _kind_of_level(level: Any) -> Any:
    if isinstance(level, bool | str):
        return type(level)
    if isinstance(level, Integral):
        return Real if abs(int(level)) < 2**63 else None
    if isinstance(level, Real):
        return Real if math.isfinite(level) else None
    return None


def _listed(levels: Sequence[Any]) -> str:
    shown = ", ".join(map(repr, levels[:10]))
    return shown + f" and {len(levels) - 10} more" * (len(levels) > 10)
