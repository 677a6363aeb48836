"""Which trainings run together, and how."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from skccvae.nn import MixedLikelihood
from skccvae.training.net import VAENet
from skccvae.training.pack_loop import Member, Pack, Training
from skccvae.training.stacked_optimizer import own_copy
from skccvae.training.stacked_vae import structure
from skccvae.vae import VAE

__all__ = ["Training", "pack_key", "pack_limit", "train_pack"]

# Limits of a pack: weights times rows in a batch, for one model; then for all models together, the
# weights, the bytes of rows, and the number of models.
_MOST_WORK, _MOST_WEIGHTS, _MOST_ROW_BYTES, _MOST_MODELS = 2**24, 2**21, 2**30, 64


def pack_key(training: Training) -> tuple | None:
    """What trainings must have in common to run together, or None if a training must run alone.

    A training runs alone if it has callbacks (a progress bar is one) or validation rows, draws from
    torch's global generators (as a user's modules do), reads more than rows, or continues an
    earlier training. It also runs alone if its products are rounded to bfloat16 or its columns are
    of several kinds.
    """
    net, train = training.net, training.train
    stream = train.stream
    alone = (
        type(net) is not VAENet
        or training.valid is not None
        or bool(net.callbacks_)
        or stream is None
        or stream.lends
        or train.source._extra is not None
        or bool(net.optimizer_.state)
        or bool(net.history)
        or net.precision != "float32"
        or isinstance(net.module_.likelihood, MixedLikelihood)
        or not _is_perceptron(net.module_)
    )
    if alone:
        return None
    criterion = net.criterion_
    return (
        structure(net.module_),
        train.batch_size,
        train.binarize,
        criterion.objective,
        criterion.n_latent_samples,
        str(net.device),
        train.source.weights is None,
        train.source.targets is None,
    )


def _is_perceptron(module: VAE) -> bool:
    """Whether the networks consist of dense layers. Only these are worth stacking."""
    parts = [*module.encoder.modules(), *module.decoder.modules()]
    owners = [part for part in parts if next(part.parameters(recurse=False), None) is not None]
    return all(isinstance(part, nn.Linear) for part in owners)


def pack_limit(training: Training) -> int:
    """The largest number of trainings of a kind that is worth a pack; 1 if a pack is not worth it.

    A pack saves calls of operations, but no arithmetic. Its weights and their optimiser state
    should stay in the cache of a core, and its rows should stay in memory.
    """
    net, source = training.net, training.train.source
    n_weights = sum(parameter.numel() for parameter in net.module_.parameters())
    if n_weights * training.train.batch_size > _MOST_WORK:
        return 1
    n_bytes = max(source.X.shape[0] * source.X.shape[1] * 4, 1)
    return max(1, min(_MOST_WEIGHTS // n_weights, _MOST_ROW_BYTES // n_bytes, _MOST_MODELS))


def train_pack(trainings: Sequence[Training]) -> tuple[list[BaseException | None], bool]:
    """Train models with the same `pack_key` together.

    Parameters
    ----------
    trainings : sequence of Training
        At least two.

    Returns
    -------
    errors : list
        For each training, the exception that ended it, or None. The other models continue.
    together : bool
        False if a step failed for all models, so that each one was trained alone from its start.
    """
    members = [Member(number, training) for number, training in enumerate(trainings)]
    members.sort(key=Member.order)
    start = [copy.deepcopy(member.module.state_dict()) for member in members]
    states = [
        (member, stream.cpu, stream.device, stream.order)
        for member in members
        if (stream := member.training.train.stream) is not None
    ]
    generators = {id(g): (g, g.get_state()) for _, *pair in states for g in pair if g is not None}
    for member in members:
        member.net.check_training_readiness()
        member.net.n_epochs_ = 0
        member.net.curvature_burn_in_ = member.training.burn_in
        member.net.settled_after_ = member.net.settling_epochs(
            member.n_batches, member.training.epochs
        )
    together = True
    try:
        _run(members)
    except Exception:
        together = False
        # A number that is not finite can make the step of all models fail. Alone, each model
        # reports its own error.
        for generator, state in generators.values():
            generator.set_state(state)
        for member, weights in zip(members, start, strict=True):
            member.net.history = []
            for parameter in member.module.parameters():
                parameter.data = own_copy(parameter.data)
            member.module.load_state_dict(weights)
            member.net.initialize_optimizer()
            member.error = None
            try:
                member.training.run()
            except Exception as error:
                member.error = error
    found = {member.number: member.error for member in members}
    return [found[number] for number in range(len(members))], together


def _run(members: list[Member]) -> None:
    epoch, pack = 0, None
    try:
        while True:
            epoch += 1
            left = [m for m in members if m.error is None and m.training.epochs >= epoch]
            if pack is None or left != pack.members:
                if pack is not None:
                    pack.dissolve()
                    pack = None
                if not left:
                    return
                pack = Pack(left)
            pack.run_epoch(epoch)
    finally:
        if pack is not None:
            pack.dissolve()
        for member in members:
            member.net.rest()
            member.net.whole_ = True
