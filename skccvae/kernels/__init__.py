"""Accelerators of training steps: tables and gradients by hand. No model needs them.

Each file is about one law or layer and names its plain path, which `disabled` brings back. Tests
hold both equal, values and gradients.
"""

from __future__ import annotations

from skccvae.kernels.registry import accelerator, disabled

__all__ = ["accelerator", "disabled"]
