"""Members of classes that the reference leaves out, because another package defines them.

What a class inherits from scikit-learn, torch or Python is documented by that package, in words
that refer to its own pages. Where it matters, the docstring of the class names what it inherits.
"""

from __future__ import annotations

import inspect
from typing import Any

PACKAGE = "skccvae"


def defined_elsewhere(obj: Any) -> bool:
    """Whether a method or property is the code of another package, or a bare field of a tuple.

    Constants have no module, and are never left out.
    """
    if inspect.isroutine(obj) or isinstance(obj, property):
        code = obj.fget if isinstance(obj, property) else obj
        # Methods written in C know their class, but not its module.
        module = getattr(getattr(code, "__objclass__", code), "__module__", None)
        return module is not None and module.partition(".")[0] != PACKAGE
    # Fields of a NamedTuple have no docstrings of their own; its section Attributes describes them.
    return (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")


def skip_foreign_members(app, what, name, obj, skip, options):
    """Answer autodoc, which asks for each member of a class whether to skip it."""
    return True if what in {"class", "exception"} and defined_elsewhere(obj) else None
