"""Rows of molecules that are kept in memory, by the content they were made of."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import scipy.sparse as sp


class RowCache:
    """The rows used last, by the content they were made of, up to a number of bytes.

    Parameters
    ----------
    max_bytes : int
        Of all rows together; larger ones are not kept at all.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._rows: OrderedDict[bytes, sp.csr_array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> sp.csr_array | None:
        """The rows of a key, or None."""
        with self._lock:
            if key in self._rows:
                self._rows.move_to_end(key)
            return self._rows.get(key)

    def put(self, key: bytes, rows: sp.csr_array) -> None:
        """Keep rows, and let go of those that were used longest ago."""
        if _n_bytes(rows) > self.max_bytes:
            return
        with self._lock:
            self._rows[key] = rows
            while sum(map(_n_bytes, self._rows.values())) > self.max_bytes:
                self._rows.popitem(last=False)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._rows.clear()

    def __len__(self) -> int:
        return len(self._rows)


CACHE = RowCache(256 * 2**20)


def _n_bytes(rows: sp.csr_array) -> int:
    return rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes


def content_key(values: Sequence[Any], settings: tuple[int, ...]) -> bytes | None:
    """Digest of the content of a column; None where an entry is neither text nor a molecule."""
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=24)
    for value in values:
        if isinstance(value, str):
            content = value.encode("utf-8", "surrogatepass")
            mark = b"s"
        elif hasattr(value, "ToBinary"):
            content, mark = value.ToBinary(), b"m"
        else:
            return None
        # With its length before it, no content can run into the next.
        digest.update(mark + len(content).to_bytes(8, "little") + content)
    return digest.digest()
