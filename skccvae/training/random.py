"""Random numbers that belong to the estimator.

Torch's layers, dropout and samplers draw from global generators. Methods of an estimator draw only
inside `isolated_random_state`. It seeds those generators and restores their state afterwards, so
the user's own random numbers do not change.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch


def entropy_from(random_state: object) -> int:
    """Turn scikit-learn's ``random_state`` into one integer.

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState
        None takes fresh entropy from the operating system and leaves NumPy's global state alone.
        A RandomState gives its next number, so two fits in a row differ, as in scikit-learn.

    Returns
    -------
    int
        In [0, 2**32).

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> from skccvae.training import entropy_from
    >>> entropy_from(7)
    7
    """
    if random_state is None:
        return secrets.randbits(32)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**32, dtype=np.uint32))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return int(random_state) % 2**32
    raise ValueError(
        "random_state must be None, an integer of at least 0 or a numpy.random.RandomState; got "
        f"{random_state!r}."
    )


def derive_seed(entropy: int, *path: int) -> int:
    """Seed for one purpose, unrelated to the seeds of other purposes.

    Parameters
    ----------
    entropy : int
        A number from `entropy_from`.
    *path : int
        Numbers that name the purpose.

    Returns
    -------
    int
        In [0, 2**63).
    """
    state = np.random.SeedSequence([entropy, *path]).generate_state(1, dtype=np.uint64)
    return int(state[0] >> np.uint64(1))


@contextmanager
def isolated_random_state(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Seed torch's global generators for a block, and restore their state after it.

    Parameters
    ----------
    seed : int
        The seed.
    device : str or torch.device, default="cpu"
        Device whose generator is seeded and restored as well as the CPU's.

    Examples
    --------
    >>> import torch
    >>> from skccvae.training import isolated_random_state
    >>> before = torch.get_rng_state()
    >>> with isolated_random_state(0):
    ...     x = torch.randn(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    device = torch.device(device)
    cpu_state = torch.get_rng_state()
    cuda_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        # torch.manual_seed would also seed every accelerator, and nothing would restore those.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(cpu_state)
        if cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, device)
