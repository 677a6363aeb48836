"""Make skccvae/datasets/data/mammals.csv.gz from WordNet's noun database.

    python tools/make_mammals.py dict

`dict` is the folder with data.noun and index.noun of WordNet 3.1 (https://wordnet.princeton.edu).
The manual pages wndb(5WN) and wninput(5WN) describe their formats.

A row is a synset at or below "mammal", and its parent. Synsets are named as NLTK names them: the
first word in lower case, and the number of the sense that this word has here, as in "dog.n.01".
Rows come level by level, and by name within a level.

WordNet is not a tree. The parent is the first hypernym of the synset, in WordNet's order, that
lies in the subtree. An instance ("Secretariat") hangs below what it is an instance of. The
hypernyms left out are printed: those that lie outside, and one of the two above elephant.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "skccvae" / "datasets" / "data" / "mammals.csv.gz"
SHA256 = {
    "data.noun": "2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94",
    "index.noun": "799fad7c8084eb0f6f2a32ec737a251c85f51adb8b2603eb02bfebc4ce5ffa3d",
}


def read_lines(path: Path) -> list[list[str]]:
    """Fields of each line; the licence at the top, indented, is left out."""
    lines = path.read_text(encoding="ascii").splitlines()
    return [line.split(" | ")[0].split() for line in lines if not line.startswith(" ")]


def read_synsets(path: Path) -> dict[str, tuple[str, list[str]]]:
    """First word and hypernyms of each synset of data.noun, by offset."""
    synsets = {}
    for fields in read_lines(path):
        end = 4 + 2 * int(fields[3], 16)  # of the words, each followed by its lex_id
        pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
        kinds, offsets = pointers[::4], pointers[1::4]
        hypernyms = [o for k, o in zip(kinds, offsets, strict=True) if k in ("@", "@i")]
        synsets[fields[0]] = (fields[4].lower(), hypernyms)
    return synsets


def read_senses(path: Path) -> dict[str, list[str]]:
    """Offsets of the synsets of each word of index.noun, in the order of its senses."""
    return {fields[0]: fields[-int(fields[2]) :] for fields in read_lines(path)}


def subtree(folder: Path, word: str = "mammal") -> tuple[list[tuple[str, str]], list[str]]:
    """Rows (name, parent) of the tree below a word, and a line for each hypernym left out."""
    synsets = read_synsets(folder / "data.noun")
    senses = read_senses(folder / "index.noun")
    children: dict[str, list[str]] = {}
    for offset, (_, hypernyms) in synsets.items():
        for hypernym in hypernyms:
            children.setdefault(hypernym, []).append(offset)

    def name(offset: str) -> str:
        first = synsets[offset][0]
        return f"{first}.n.{senses[first].index(offset) + 1:02d}"

    root = next(o for o in senses[word] if synsets[o][0] == word)
    inside, queue = {root}, [root]
    for offset in queue:
        new = [c for c in children.get(offset, []) if c not in inside]
        inside.update(new)
        queue.extend(new)
    parent = {o: next(h for h in synsets[o][1] if h in inside) for o in queue if o != root}
    left_out = [
        f"{name(o)}: {name(h)} ({'inside' if h in inside else 'outside'})"
        for o in queue
        if o != root
        for h in synsets[o][1]
        if h != parent[o]
    ]
    rows, level = [(name(root), "")], [root]
    while level:
        level = sorted((o for o, p in parent.items() if p in level), key=name)
        rows += [(name(o), name(parent[o])) for o in level]
    return rows, left_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dict", type=Path, help="folder of data.noun and index.noun")
    folder = parser.parse_args().dict
    for file, expected in SHA256.items():
        found = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{folder / file} has SHA-256 {found}, expected {expected}")
    rows, left_out = subtree(folder)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", "parent"), *rows])
    OUT.write_bytes(gzip.compress(text.getvalue().encode("ascii"), mtime=0))
    print(f"{len(rows)} synsets, {OUT.stat().st_size} bytes; hypernyms left out:")
    print("\n".join(left_out))


if __name__ == "__main__":
    main()
