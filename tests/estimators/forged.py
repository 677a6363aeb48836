"""Files of models that were tampered with, and a program that loads them.

``python forged.py MODEL SEED`` loads damaged and forged copies of a file under limits of memory and
processor time, and prints what went wrong.
"""

from __future__ import annotations

import copy
import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from safetensors.torch import load_file, save

import skccvae
from skccvae.estimators._attributes import SavedAttributes
from skccvae.estimators._model_file import _digest, _summary, read_model
from skccvae.estimators._saved_values import pack
from skccvae.training.optimizer_state import optimizer_tensors

HOSTILE = [
    None, True, -1, 0, 1, 10**9, 10**18, 10**30, -0.5, 1e-300, 1e300, 1e999, "os.system", "", [],
    [10**9], [1] * 9, [[[[[[[[[[1]]]]]]]]]], {}, {"tensor": "module.head.bias"}, {"tensor": 3},
    {"trusted": "os.system"}, {"fields": {}}, {"text": [1], "dtype": "str"}, ["a", None],
    [[1, 2], [3]],
]  # fmt: skip


def forge(
    source: Path,
    target: Path,
    edit: Callable[[dict[str, Any], dict[str, torch.Tensor]], Any],
    list_tensors: bool = True,
) -> Path:
    """Copy of a file whose description and tensors were edited, with a checksum that fits."""
    meta, tensors = copy.deepcopy(read_model(source).meta), load_file(source)
    edit(meta, tensors)
    if list_tensors:
        meta["tensors"] = _summary(tensors)
    text = json.dumps(meta)
    target.write_bytes(save(tensors, {"skccvae": text, "sha256": _digest(text, tensors)}))
    return target


def leaves(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a nested description, as a container and a key."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from leaves(node[key])


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Content with flipped bits, or bytes that were lost, added, moved or wiped."""
    header = 8 + int.from_bytes(content[:8], "little")
    mutant = bytearray(content)
    a, b = sorted(rng.integers(0, len(content), 2).tolist())
    match rng.integers(0, 7):
        case 0:
            mutant[a] ^= 1 << int(rng.integers(0, 8))
        case 1:
            mutant[int(rng.integers(0, header))] ^= 1 << int(rng.integers(0, 8))
        case 2:
            mutant[int(rng.integers(0, header))] = int(rng.integers(32, 127))
        case 3:
            del mutant[a:]
        case 4:
            del mutant[a:b]
        case 5:
            mutant[a:a] = rng.bytes(int(rng.integers(1, 40)))
        case 6:
            mutant[a : a + 8] = bytes(8)
    return bytes(mutant)


def wrong(tensors: dict[str, torch.Tensor], rng: np.random.Generator) -> str:
    """Spoil one of the tensors, and say which."""
    name, other = rng.choice(sorted(tensors), 2).tolist()
    tensor = tensors.pop(name)
    match rng.integers(0, 6):
        case 0:
            tensors[f"optimizer.{name}"] = tensor
        case 1:
            tensors[name] = tensor.reshape(-1)[:-1].clone()
        case 2:
            tensors[name] = tensor.to([torch.float64, torch.int8, torch.bool][rng.integers(0, 3)])
        case 3:
            tensors[name] = torch.full_like(tensor, [-1, 0, 3, 127][rng.integers(0, 4)])
        case 4:
            tensors[name] = tensors.get(other, tensor).clone()
        case _:
            pass  # it is missing
    return name


def same_model(a: Any, b: Any) -> bool:
    """Whether two estimators are the same, bit for bit."""
    return content_of(a) == content_of(b)


def averages(vae: Any) -> dict[str, bytes]:
    """What the optimizer remembers."""
    tensors = optimizer_tensors(vae.net_.optimizer_, vae.net_.module_)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def content_of(vae: Any) -> Any:
    """Everything that makes an estimator what it is, for comparison."""
    tensors = dict(vae.net_.module_.state_dict())
    names = ("_input", "_targets", "_entropy", "_n_fits", "n_iter_", "likelihood_")
    hints = get_type_hints(SavedAttributes)
    values = [pack(getattr(vae, name), hints[name], name, tensors) for name in names]
    params = {n: v for n, v in vae.get_params(deep=False).items() if n != "device"}
    arrays = {n: (str(t.dtype), t.shape, t.numpy().tobytes()) for n, t in tensors.items()}
    return type(vae), repr(params), repr(vae.history_), values, arrays


def main(path: str, seed: str) -> None:
    torch.set_num_threads(1)
    source, rng = Path(path), np.random.default_rng(int(seed))
    model, content = skccvae.load(source), source.read_bytes()
    mutant = source.with_name("mutant")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))

    def attempt(name: str, same: bool) -> bool:
        try:
            found = skccvae.load(mutant)
        except ValueError as error:
            if str(mutant) not in str(error):
                print(f"{name}: the error does not name the file: {error}")
            if isinstance(error.__cause__, MemoryError) or "alloc" in str(error):
                print(f"{name}: asked for memory: {error}")
            return True
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}")
        else:
            if same and (not same_model(found, model) or averages(found) != averages(model)):
                print(f"{name}: another model")
        return False

    refused = 0
    for number in range(200):
        mutant.write_bytes(damaged(content, rng))
        refused += attempt(f"damage {number}", same=True)
    places = list(leaves(read_model(source).meta))
    for number in range(200):
        place = int(rng.integers(0, len(places)))
        value = HOSTILE[int(rng.integers(0, len(HOSTILE)))]

        def edit(meta: Any, tensors: Any, place: int = place, value: Any = value) -> None:
            container, key = list(leaves(meta))[place]
            container[key] = value

        forge(source, mutant, edit, list_tensors=bool(rng.integers(0, 2)))
        refused += attempt(f"forgery {number} of {places[place][1]!r} as {value!r}", same=False)
    for number in range(100):
        spoiled: list[str] = []
        forge(source, mutant, lambda _, tensors, names=spoiled: names.append(wrong(tensors, rng)))
        refused += attempt(f"tensor {number}, {spoiled}", same=False)
    print("refused", refused)


if __name__ == "__main__":
    main(*sys.argv[1:])
