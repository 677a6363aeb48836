"""Optional accelerators of training steps, with tables and hand-written gradients.

Each accelerator replaces the plain path of one distribution or layer: the ordinary code that
autograd differentiates. The docstring of its file names that plain path, and `disabled` switches
back to it. Tests check that both give equal values and gradients, so no model needs an accelerator.
"""

from __future__ import annotations

from skccvae.kernels.registry import accelerator, are_enabled, disabled

__all__ = ["accelerator", "are_enabled", "disabled"]
