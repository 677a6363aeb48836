"""Use an installed wheel, with its hard dependencies only, away from the checkout."""

from importlib.resources import files
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skccvae
from skccvae.datasets import load_daily_temperatures, load_mammals
from skccvae.datasets._qm9_files import uncharacterized_ids

location = Path(skccvae.__file__).resolve()
assert "site-packages" in location.parts, f"imported {location}, not the installed wheel"
assert files("skccvae").joinpath("py.typed").is_file(), "the wheel lacks py.typed"
assert len(uncharacterized_ids()) == 3054, "the wheel lacks the list of QM9's bad molecules"
assert load_mammals().data.shape == (1182, 291)
assert load_daily_temperatures().data.shape == (365, 48)
for notice in ("wordnet_license.txt", "daily_temperatures_notice.txt"):
    assert files("skccvae.datasets").joinpath("data", notice).is_file(), f"the wheel lacks {notice}"

X, y = load_digits(return_X_y=True)
X = X[:300] / 16.0
vae = skccvae.SphericalVAETransformer(n_components=3, max_epochs=3, random_state=0)
model = make_pipeline(vae, LogisticRegression()).fit(X, y[:300])
codes = model[0].transform(X)
assert codes.shape == (300, 4)
assert np.isfinite(codes).all()
assert np.allclose(np.linalg.norm(codes, axis=1), 1.0, atol=1e-5)
assert model.predict(X).shape == (300,)

model[0].save("model.skccvae")
assert np.array_equal(skccvae.load("model.skccvae").transform(X), codes)
print(f"used {location}")
