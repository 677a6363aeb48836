"""The device that a user names, if this machine has it."""

from __future__ import annotations

from typing import Any

import torch


def resolve_device(device: Any) -> torch.device:
    """Turn ``device`` into a torch device that exists here.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes the GPU if CUDA finds one, and the CPU otherwise.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ValueError
        If torch does not know the name, or this machine has no such device.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = "'auto', 'cpu', 'cuda' or 'cuda:N'"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be {known}; got {device!r}.") from error
    if resolved.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                f"device={device!r} was requested, but torch sees no CUDA GPU on this machine. "
                "Use device='auto' or device='cpu'."
            )
        if resolved.index is not None and resolved.index >= torch.cuda.device_count():
            raise ValueError(
                f"device={device!r} does not exist; this machine has "
                f"{torch.cuda.device_count()} CUDA GPU(s), numbered from 0."
            )
    elif resolved.type not in {"cpu", "mps"}:
        raise ValueError(f"device must be {known}; got {device!r}.")
    elif resolved.type == "mps":
        raise ValueError("device='mps' has no float64, which the densities need; use device='cpu'.")
    return resolved
