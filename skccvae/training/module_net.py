"""A net around an existing module: its parts, its history, its copies and its pickles."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from skorch import NeuralNet
from skorch.utils import to_tensor
from torch import Tensor

from skccvae.training.epoch_history import EpochHistory
from skccvae.training.objective import NegativeELBO
from skccvae.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from skccvae.training.schedules import start_rates

# Losses for which the history says whether an epoch is the best so far.
LOSSES = ("train_loss", "valid_loss")


class ModuleNet(NeuralNet):
    """skorch net of a given `VAE`. Its predictions use repeatable noise.

    Pickles hold CPU tensors.

    Parameters
    ----------
    module : VAE
        The model.
    criterion : type, default=NegativeELBO
        Class of the objective.
    weight_decay : float, default=0.0
        Each step shrinks every weight matrix by the fraction ``lr * weight_decay`` [1]_.
    precision : {"float32", "bfloat16"}, default="float32"
        Type of the numbers in the matrix products of training steps.
    **kwargs : Any
        Settings of `skorch.NeuralNet`.

    Attributes
    ----------
    history : EpochHistory
        One row for each epoch.
    best_ : dict of str to float
        Smallest losses in the history.

    References
    ----------
    .. [1] Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    def __init__(
        self,
        module,
        criterion=NegativeELBO,
        *,
        weight_decay: float = 0.0,
        precision: str = "float32",
        **kwargs: Any,
    ) -> None:
        self.weight_decay = weight_decay
        self.precision = precision
        super().__init__(module, criterion, **{"use_caching": False, **kwargs})

    @property
    def _default_callbacks(self) -> list:
        return []

    def initialize_module(self):
        # The estimator has built the module, because it knows the data and skorch does not.
        self.module_ = self.module
        return self

    @property
    def history(self):
        return self.history_

    @history.setter
    def history(self, value):
        self.history_ = EpochHistory(value)
        self.best_ = {
            name: min((row[name] for row in value if name in row), default=math.inf)
            for name in LOSSES
        }

    def initialize_history(self):
        self.history = []
        return self

    def initialize_optimizer(self, triggered_directly=None):
        named = list(self.get_all_learnable_params())
        parameters = [p for _, p in named if p.requires_grad]
        fused = all(p.device.type in {"cpu", "cuda"} for p in parameters)
        self.optimizer_ = self.optimizer(parameters, lr=self.lr, fused=fused)
        return self

    def twin(self) -> ModuleNet:
        """A copy for further training, with the optimiser's averages. This net does not change."""
        # deepcopy does not accept results of operations, which a user's module may hold.
        kept = [value for m in self.module_.modules() for value in vars(m).values()]
        memo: dict[int, Any] = {
            id(value): value.detach().clone()
            for value in kept
            if isinstance(value, Tensor) and not value.is_leaf
        }
        module, optimizer = copy.deepcopy((self.module_, self.optimizer_), memo)
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        vars(twin).update(
            module=module,
            module_=module,
            optimizer_=optimizer,
            criterion_=copy.copy(self.criterion_),
            history_=type(self.history)(self.history),
            _step=None,  # it belongs to the weights of this net
        )
        return twin

    def retune(self, **settings: Any) -> ModuleNet:
        """Change settings for the following epochs, under the names that the constructor takes.

        Examples are ``lr``, ``criterion__...`` and ``module__...``.
        """
        vars(self).update(settings)
        for name, value in settings.items():
            part, _, attribute = name.partition("__")
            if attribute:
                setattr(vars(self)[f"{part}_"], attribute, value)
        start_rates(self)
        return self

    def infer(self, x, **fit_params):
        """Reconstruction and KL of each row, with the noise of validation.

        `forward` and `predict` return the same. The draws are independent of those of the training,
        which continues as if this method had not been called.
        """
        x = to_tensor(x, device=self.device)
        return tuple(self.module_.evidence(x, self.criterion_.n_latent_samples, seed=0)[:2])

    def get_iterator(self, dataset, training=False):
        iterator = super().get_iterator(dataset, training=training)
        iterator.generator = torch.Generator()  # for its seed, else drawn from torch's global one
        return iterator

    def score(self, X, y=None) -> float:
        """Mean evidence lower bound of rows in model units, for scoring callbacks."""
        reconstruction, kl = self.forward(X)
        return float((reconstruction - kl).mean())

    # --- pickling -----------------------------------------------------------------------------

    def module_on_cpu(self):
        """The module, or a copy on the CPU if the module is on another device."""
        if all(tensor.device.type == "cpu" for _, tensor in self._tensors()):
            return self.module_
        return copy.deepcopy(self.module_).cpu()

    def __getstate__(self):
        state = self.__dict__.copy()
        # Weights on the CPU load anywhere. "module" and "module_" are one object, stored once.
        state["module_"] = self.module_on_cpu() if "module_" in state else None
        state["module"] = None
        tensors = optimizer_tensors(self.optimizer_, self.module_)
        state["_optimizer_tensors"] = {name: t.cpu().clone() for name, t in tensors.items()}
        for name in ("optimizer_", "callbacks_", "callbacks", "_step"):
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        state = dict(state)
        tensors = state.pop("_optimizer_tensors")
        state["callbacks"], state["callbacks_"] = None, []
        self.__dict__.update(state)
        device = torch.device(state["device"])
        if device.type == "cuda" and not torch.cuda.is_available():
            self.device = "cpu"
        self.__dict__["module_"] = state["module_"].to(self.device)
        self.__dict__["module"] = state["module_"]
        self.initialize_optimizer()
        load_optimizer_tensors(self.optimizer_, self.module_, tensors)
