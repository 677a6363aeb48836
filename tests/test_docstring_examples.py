"""Examples in docstrings can be copied: they import all that they use.

A doctest knows the names of its module, so it passes without the import that a reader needs.
"""

from __future__ import annotations

import ast
import builtins
import doctest
from pathlib import Path

import pytest

import skccvae

ROOT = Path(skccvae.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def used_and_made(source: str) -> tuple[set[str], set[str]]:
    """The names that a piece of code reads, and those that it defines or imports."""
    used, made = set(), set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
    return used, made


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_import_what_they_use(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            examples = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
            used, made = used_and_made("".join(example.source for example in examples))
            assert used <= made, f"{getattr(node, 'name', 'the module')}: {sorted(used - made)}"
