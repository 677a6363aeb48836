"""Callbacks: early stopping that restores the best weights, a progress bar, printed epochs.

Two functions say what a callback of a user may do: change steps, or end the training on purpose.
"""

from __future__ import annotations

import dis
import math
import sys
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from skccvae.training.exceptions import StopTraining

# Hooks that run between two steps, and modules of skorch whose hooks leave the model alone. They
# may call functions of a user, such as a score, which are expected to leave it alone, too.
_BATCH_HOOKS = ("on_batch_begin", "on_grad_computed", "on_batch_end")
_ONLOOKERS = frozenset(
    f"skorch.callbacks.{module}" for module in ("base", "logging", "lr_scheduler", "scoring")
)


class KeepBest(Callback):
    """Stop when the validation loss no longer improves, and restore the best weights.

    Parameters
    ----------
    patience : int
        Training stops after this many epochs without improvement.
    start_epoch : int, default=0
        Number of epochs at the start that do not count, because the objective still changes during
        the KL warm-up.
    min_delta : float, default=1e-4
        Smallest relative improvement that counts.
    """

    def __init__(self, patience: int, start_epoch: int = 0, min_delta: float = 1e-4) -> None:
        self.patience = patience
        self.start_epoch = start_epoch
        self.min_delta = min_delta

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.best_loss_ = math.inf
        self.reference_, self.reference_epoch_ = math.inf, 0
        self.best_weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        epoch, loss = len(net.history), net.history[-1]["valid_loss"]
        if epoch <= self.start_epoch:
            return
        if loss < self.best_loss_:
            self.best_loss_ = loss
            weights = net.module_.state_dict()
            self.best_weights_ = {name: value.clone() for name, value in weights.items()}
        # The best weights are kept however small the gain; only a real gain prolongs training.
        first = self.reference_epoch_ == 0
        if first or loss < self.reference_ - self.min_delta * abs(self.reference_):
            self.reference_, self.reference_epoch_ = loss, epoch
        elif epoch - self.reference_epoch_ >= self.patience:
            raise StopTraining

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        if self.best_weights_ is not None:
            with torch.no_grad():
                net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = None


class ProgressBar(Callback):
    """One progress bar for the whole fit, which also shows the current ELBO and KL.

    Parameters
    ----------
    n_epochs : int
        Number of epochs of the fit.
    name : str
        Text before the bar.
    """

    def __init__(self, n_epochs: int, name: str) -> None:
        self.n_epochs = n_epochs
        self.name = name

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        from tqdm.auto import tqdm

        self.bar_ = tqdm(total=self.n_epochs, desc=self.name, unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        last = net.history[-1]
        self.bar_.set_postfix(elbo=f"{last['elbo']:.2f}", kl=f"{last['kl']:.2f}", refresh=False)
        self.bar_.update()

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        """Stop updating the bar, and leave it as it is."""
        if hasattr(self, "bar_"):
            self.bar_.close()


class EpochPrinter(Callback):
    """One line per epoch on standard output.

    Parameters
    ----------
    name : str
        Text at the start of each line.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        last = net.history[-1]
        valid = f"  valid_elbo {last['valid_elbo']:.3f}" if "valid_elbo" in last else ""
        sys.stdout.write(
            f"[{self.name}] epoch {len(net.history)}  elbo {last['elbo']:.3f}  reconstruction "
            f"{last['reconstruction']:.3f}  kl {last['kl']:.3f}{valid}  {last['dur']:.2f} s\n"
        )


def may_change_steps(callback: Callback) -> bool:
    """Whether a callback may change the model or its gradients between the steps of an epoch."""
    return any(_origin(getattr(callback, name)) not in _ONLOOKERS for name in _BATCH_HOOKS)


def _origin(hook: Any) -> str | None:
    """The module that defines a hook. Its ``__module__`` may be a copy of another function's."""
    function = getattr(hook, "__func__", hook)
    return getattr(function, "__globals__", {}).get("__name__")


def raised_on_purpose(interrupt: KeyboardInterrupt) -> bool:
    """Whether the interrupt comes from a ``raise`` statement in a method of a callback, not Ctrl-C.

    skorch's callbacks (EarlyStopping, TerminateOnNaN) stop training with such a statement. Python
    delivers Ctrl-C at other instructions, or in a function that handles signals.
    """
    trace = interrupt.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code
    owner = trace.tb_frame.f_locals.get(code.co_varnames[0]) if code.co_varnames else None
    statement = code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return statement and isinstance(owner, Callback)
