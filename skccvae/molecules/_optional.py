"""Import the chemistry packages when they are needed."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, purpose: str) -> Any:
    """Import an optional package; the ImportError says what needs it and how to install it.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    purpose : str
        What needs the package, as the subject of the error message.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{purpose} needs the package {package}; install it with "
            'pip install "skccvae[molecules]"'
        ) from error
