"""How benchmarks run that compare the package with a loop in plain torch."""

import torch


def one_thread() -> None:
    """Use one thread, and treat denormal numbers as 0.

    After some 800 steps torch's Adam works on denormal numbers, with which some processors are slow
    (see ``denormals.py``). The loop is measured without this disadvantage.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
