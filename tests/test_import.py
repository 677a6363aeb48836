"""What ``import skccvae`` imports, seen from a fresh process."""

from __future__ import annotations

import subprocess
import sys


def output_of(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_skorch_is_imported_with_the_first_net() -> None:
    code = """
import sys, warnings
import numpy as np
import skccvae, skccvae.training, skccvae.plotting, skccvae.datasets, skccvae.molecules

assert "VAENet" in dir(skccvae.training)
vae = skccvae.GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=4)
before = "skorch" in sys.modules
with warnings.catch_warnings():
    warnings.simplefilter("error")  # of packages that skorch imports, too
    vae.fit(np.eye(8))
print(before, "skorch" in sys.modules, isinstance(vae.net_, skccvae.training.VAENet))
"""
    assert output_of(code).split() == ["False", "True", "True"]


def test_a_pickle_brings_skorch_with_it(tmp_path) -> None:
    code = """
import pickle, sys
import numpy as np
import skccvae

vae = skccvae.GaussianVAETransformer(max_epochs=1, hidden_layer_sizes=4).fit(np.eye(8))
with open(sys.argv[1], "wb") as file:
    pickle.dump(vae, file)
vae.save(sys.argv[2])
"""
    paths = [str(tmp_path / name) for name in ("pickle", "file")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    load = f"""
import pickle
import skccvae
Z = pickle.load(open({paths[0]!r}, "rb")).transform([[1.0] + 7 * [0.0]])
assert (Z == skccvae.load({paths[1]!r}).transform([[1.0] + 7 * [0.0]])).all()
"""
    output_of(load)
    output_of(f"import skccvae; skccvae.load({paths[1]!r})")


def test_public_names_of_training_are_there() -> None:
    code = """
import skccvae.training
print(*(hasattr(skccvae.training, name) for name in skccvae.training.__all__))
print(hasattr(skccvae.training, "no_such_name"))
"""
    *public, unknown = output_of(code).split()
    assert set(public) == {"True"}
    assert unknown == "False"
