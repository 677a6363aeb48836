"""Rows of a torch Dataset: training uses them like an array, but they are not in memory."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from skccvae.training.random import RandomStream
from skccvae.training.row_access import column_limits, row_slices


class DatasetRows:
    """The samples of a map-style Dataset as rows that are read when they are needed.

    It has the part of an array's interface that training uses: ``shape``, ``dtype``, ``len`` and
    indexing by rows. A sample is a tensor or array, or anything that NumPy can turn into a numeric
    array. The Dataset returns it alone or as the first element of a tuple, ``(sample,)`` or
    ``(sample, label)``. If the Dataset has torch's ``__getitems__``, one call reads a batch.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Has ``__len__`` and ``__getitem__``. All samples have the same shape and dtype.
    allow_nan : bool, default=False
        Whether NaN marks a missing number.
    allow_empty : bool, default=False
        Whether all numbers of a sample may be NaN.

    Attributes
    ----------
    shape : tuple of int
        Number of samples, and number of entries in a sample.
    sample_shape : tuple of int
        Shape of one sample.
    dtype : numpy.dtype
        Type of a sample's numbers.

    Raises
    ------
    TypeError
        If the Dataset is an ``IterableDataset`` or has no length, or its samples are not arrays.
    ValueError
        If the Dataset is empty. When rows are read: if the shape or dtype of a sample differs from
        that of the first one, or if a sample contains NaN or infinity. The message states the index
        of the sample.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from skccvae.training import DatasetRows
    >>> rows = DatasetRows(TensorDataset(torch.arange(24.0).reshape(4, 2, 3)))
    >>> rows.shape, rows.sample_shape
    ((4, 6), (2, 3))
    >>> rows[1:3].tolist()[1]
    [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]
    """

    ndim = 2
    # Otherwise NumPy would read row after row into memory, until it gets an IndexError.
    __array_ufunc__ = None

    def __init__(
        self, dataset: Dataset, allow_nan: bool = False, allow_empty: bool = False
    ) -> None:
        self.allow_nan, self.allow_empty = allow_nan, allow_empty
        name = type(dataset).__name__
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"{name} is a stream: its samples cannot be read by index. Pass a map-style torch "
                "Dataset, with __len__ and __getitem__, or collect arrays of a few thousand rows "
                "from the stream and call partial_fit on each of them."
            )
        n = len(dataset)
        if n == 0:
            raise ValueError(f"{name} has 0 samples; at least 1 is needed.")
        self.dataset = dataset
        # A Dataset may draw random numbers. During training they come from the stream of the fit.
        self._stream = RandomStream(0, lends=True)
        first = self._array(self._items([0])[0], 0)
        if first.ndim == 0 or first.size == 0:
            raise ValueError(
                "A sample of the Dataset must be an array of at least one number, such as an image "
                f"of shape (28, 28); sample 0 has shape {first.shape}."
            )
        self.sample_shape = first.shape
        self.dtype = first.dtype
        self.shape = (n, math.prod(first.shape))
        self._limits: tuple[np.ndarray, np.ndarray] | None = None
        self._labels: np.ndarray | None = None
        self._numbers: np.ndarray | None = None

    def only(self, numbers: np.ndarray) -> DatasetRows:
        """The rows at these positions, an index array, as a separate object."""
        rows = copy.copy(self)
        rows._numbers = numbers if self._numbers is None else self._numbers[numbers]
        rows.shape = (len(numbers), self.shape[1])
        rows._limits = rows._labels = None
        return rows

    @property
    def size(self) -> int:
        """Number of entries in all rows together."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Rows at a slice or an index array, shape (k, p), or one row, shape (p,)."""
        if isinstance(index, slice):
            chosen = range(*index.indices(self.shape[0]))
        elif np.ndim(index) == 0:
            if not 0 <= int(index) < self.shape[0]:
                raise IndexError(f"Row {index} of {self.shape[0]}.")
            return self[np.array([index])][0]
        else:
            chosen = np.asarray(index).tolist()
        chosen = self._in_dataset(chosen)
        rows = np.empty((len(chosen), self.shape[1]), dtype=self.dtype)
        for place, (number, item) in enumerate(zip(chosen, self._items(chosen), strict=True)):
            rows[place] = self._checked(item, number)
        if self.dtype.kind == "f":
            if self.allow_nan:
                good, wrong = ~np.isinf(rows).any(axis=1), "infinity"
                if not self.allow_empty:
                    good &= ~np.isnan(rows).all(axis=1)
                    wrong = "infinity, or only NaN"
            else:
                good, wrong = np.isfinite(rows).all(axis=1), "NaN or infinity"
            if not good.all():
                number = chosen[int(np.argmin(good))]
                way_out = (
                    ""
                    if self.allow_nan
                    else ", or set missing='mask' if NaN stands for a value not observed"
                )
                raise ValueError(
                    f"Sample {number} of the Dataset contains {wrong}; correct such samples or "
                    f"leave them out{way_out}."
                )
        return rows

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest entry of each column. They are read once and then kept."""
        if self._limits is None:
            self._limits = column_limits(self)
        return self._limits

    def exceeds(self, bound: float) -> bool:
        """Whether any entry is above a bound. Reading stops soon after the first such entry."""
        if self._limits is not None:
            return bool(self._limits[1].max() > bound)
        return any(bool(self[part].max() > bound) for part in row_slices(self))

    def labels(self) -> np.ndarray | None:
        """Labels from the ``(sample, label)`` tuples. They are read once and then kept.

        Returns
        -------
        ndarray of shape (n,) or (n, t), or None
            None if the samples have no labels.
        """
        if self._labels is None:
            found: list[Any] = []
            for part in row_slices(self):
                items = self._items(self._in_dataset(range(*part.indices(self.shape[0]))))
                pairs = [item for item in items if isinstance(item, tuple) and len(item) == 2]
                if len(pairs) < len(items):
                    return None
                found += [y.tolist() if isinstance(y, torch.Tensor) else y for _, y in pairs]
            # As objects, because an array of text would turn missing labels into words.
            self._labels = np.asarray(found, dtype=object)
        return self._labels

    def _in_dataset(self, chosen: Any) -> Any:
        """Indices in the Dataset of the rows with these indices."""
        return chosen if self._numbers is None else self._numbers[list(chosen)].tolist()

    # --- one sample ---------------------------------------------------------------------------

    def _items(self, numbers: Any) -> list[Any]:
        """The Dataset's items at these indices."""
        numbers = list(numbers)
        with self._stream.drawing(within=True):
            if not hasattr(self.dataset, "__getitems__"):
                return [self.dataset[number] for number in numbers]
            items = list(self.dataset.__getitems__(numbers))
        if len(items) != len(numbers):
            raise ValueError(
                f"__getitems__ of the Dataset returned {len(items)} samples for {len(numbers)} "
                "indices; it must return one sample for each index."
            )
        return items

    def _array(self, item: Any, number: int) -> np.ndarray:
        """The sample without its label, as an array of numbers."""
        if isinstance(item, tuple):
            if len(item) not in (1, 2):
                raise TypeError(
                    f"Sample {number} of the Dataset is a tuple of length {len(item)}; expected a "
                    "tensor or array, or a tuple (sample, label)."
                )
            item = item[0]
        if np.ma.is_masked(item):
            raise ValueError(
                f"Sample {number} of the Dataset is an array with masked entries, which would be "
                "read as numbers. Fill them in the Dataset, for example with sample.filled(value)."
            )
        if isinstance(item, torch.Tensor):
            item = item.detach().cpu()
            item = (item.float() if item.dtype == torch.bfloat16 else item).numpy()
        try:
            array = np.asarray(item)
        except ValueError:  # nested lists of different lengths
            array = np.empty(0, dtype=object)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"Sample {number} of the Dataset is a {type(item).__name__}, not an array of real "
                "numbers. The Dataset must return a tensor or array, or a tuple (sample, label)."
            )
        return array

    def _checked(self, item: Any, number: int) -> np.ndarray:
        array = self._array(item, number)
        if array.shape != self.sample_shape or array.dtype != self.dtype:
            raise ValueError(
                f"Sample {number} of the Dataset has shape {array.shape} and dtype {array.dtype}, "
                f"but sample 0 has shape {self.sample_shape} and dtype {self.dtype}; all samples "
                "must have the same shape and dtype."
            )
        return array.reshape(-1)
