"""Constructor parameters: each is declared once, and every tool sees one explicit signature."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import re
from dataclasses import fields

import numpy as np
import pytest
from sklearn.base import clone

import skccvae
from skccvae import GaussianVAETransformer, MixedCurvatureVAETransformer, SphericalVAETransformer
from skccvae._sklearn import InvalidParameterError
from skccvae.estimators import ESTIMATORS
from skccvae.estimators._parameters import COUNT, parameter, with_parameters
from skccvae.estimators._shared_parameters import SharedParameters

SHARED = {f.name: f for f in fields(SharedParameters) if f.name != "coordinates"}
FAST = {"max_epochs": 1, "hidden_layer_sizes": (8,), "random_state": 0, "device": "cpu"}
every_estimator = pytest.mark.parametrize("cls", ESTIMATORS.values())


def documented(cls: type) -> dict[str, str]:
    """Entries of the docstring's section on parameters: name to the lines of text."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    section = re.split(r"\n\n\w[\w ]+\n-+\n", doc.partition("Parameters\n----------\n")[2])[0]
    parts = re.split(r"^(\w+) : ", section, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


# --- each parameter once --------------------------------------------------------------------------


@every_estimator
@pytest.mark.parametrize("name", SHARED)
def test_a_shared_parameter_is_the_same_in_every_estimator(cls, name):
    declared = SHARED[name]
    found = inspect.signature(cls).parameters[name]
    assert found.default is declared.default
    assert found.kind is inspect.Parameter.KEYWORD_ONLY
    assert cls._parameter_constraints[name] is declared.metadata["allowed"]
    assert getattr(cls(), name) is declared.default
    text = documented(cls)[name]
    assert text == documented(GaussianVAETransformer)[name]
    for line in declared.metadata["doc"].splitlines():
        assert line in text


@every_estimator
def test_documentation_and_signature_agree(cls):
    parameters = inspect.signature(cls).parameters
    entries = documented(cls)
    assert list(entries) == list(parameters)
    assert sorted(parameters) == list(cls().get_params()) == sorted(cls._parameter_constraints)
    for name, entry in entries.items():
        text = re.search(r"default=(.*)$", entry.replace("\\\n", ""), flags=re.MULTILINE)[1]
        assert eval(text) == parameters[name].default


@pytest.fixture
def extended():
    """An estimator with one more shared parameter: a field, and nothing else."""

    @with_parameters
    class MoreParameters(SharedParameters):
        free_nats: int = parameter(
            default=3,
            allowed=[COUNT],
            hint="It counts.",
            shapes_model=True,
            net="criterion__free_nats",
            kind="int",
            doc="""
            How many nats.

            And why.
            """,
        )

    @with_parameters
    class Extended(MoreParameters, GaussianVAETransformer):
        """Parameters
        ----------
        {shared_parameters}
        """

    return Extended


def test_a_new_shared_parameter_is_one_declaration(extended, small):
    assert inspect.signature(extended).parameters["free_nats"].default == 3
    assert "free_nats : int, default=3\n    How many nats.\n" in extended.__doc__
    vae = extended(2, free_nats=5, **FAST)
    assert clone(vae).get_params()["free_nats"] == 5
    assert "free_nats=5" in repr(vae)
    assert vae._net_settings()["criterion__free_nats"] == 5
    assert vae._shape_parameters()["free_nats"] == 5
    with pytest.raises(InvalidParameterError, match="'free_nats' .* int in the range .* It counts"):
        extended(free_nats=0, **FAST).fit(small)


def test_parameters_that_shape_the_model():
    found = {name for cls in ESTIMATORS.values() for name in cls()._shape_parameters()}
    assert found == {
        *("n_components", "signature", "curvature", "learn_curvature", "posterior", "prior_scale"),
        *("decoder_input", "hidden_layer_sizes", "activation", "encoder", "decoder", "likelihood"),
        *("init", "image_shape", "binarize", "device", "posterior_scale", "missing"),
    }


def test_training_follows_its_settings_from_call_to_call(small):
    changes = {
        "beta": 0.5,
        "kl_warmup_epochs": 7,
        "free_bits": 0.1,
        "objective": "elbo",
        "n_latent_samples": 2,
        "supervised_weight": 3.0,
        "learning_rate": 0.25,
        "weight_decay": 0.125,
        "precision": "bfloat16",
        "distance_weight": 0.75,
        "batch_size": 17,
        "max_epochs": 9,
    }
    followed = {f.name: f.metadata["net"] for f in SHARED.values() if f.metadata["net"]}
    assert set(followed) == set(changes)
    y = np.arange(60) % 2
    vae = GaussianVAETransformer(supervised_weight=1.0, **FAST).fit(small, y)
    started = GaussianVAETransformer(**{**FAST, **changes}).fit(small, y)
    vae.set_params(**changes).partial_fit(small, y)
    for net in (vae.net_, started.net_):
        assert net.optimizer_.param_groups[0]["lr"] == 0.25
        for name, setting in followed.items():
            assert net.get_params()[setting] == changes[name]
            part, _, attribute = setting.partition("__")
            if attribute:
                assert getattr(getattr(net, f"{part}_"), attribute) == changes[name]


# --- what tools see -------------------------------------------------------------------------------


def test_the_signature_is_the_one_that_help_shows():
    # From Python 3.13 on, each parameter of a long signature has a line of its own, after a bar.
    text = re.sub(r"[\s|]+", "", pydoc.plain(pydoc.render_doc(SphericalVAETransformer)))
    assert "(n_components=2,*,curvature=1.0,posterior='von_mises_fisher',prior_scale=" in text
    assert str(inspect.signature(MixedCurvatureVAETransformer)).startswith(
        "(signature='h2,s2,e2', *, curvature='unit'"
    )


@every_estimator
def test_unknown_and_positional_arguments_are_refused(cls):
    with pytest.raises(TypeError, match=rf"{cls.__name__}.* unexpected keyword argument 'betta'"):
        cls(betta=1.0)
    with pytest.raises(TypeError, match="positional argument"):
        cls(2, 1.0)


@every_estimator
def test_parameters_are_kept_as_they_were_passed(cls):
    sizes = [8, np.int64(4)]
    vae = cls(hidden_layer_sizes=sizes, beta=2)
    assert vars(vae)["hidden_layer_sizes"] is sizes
    assert set(vars(vae)) == set(vae.get_params())
    assert repr(vae) == f"{cls.__name__}(beta=2, hidden_layer_sizes=[8, {sizes[1]!r}])"
    assert pickle.loads(pickle.dumps(vae)).get_params() == vae.get_params()
    assert clone(vae).get_params()["beta"] == 2
    assert vae != cls(hidden_layer_sizes=sizes, beta=2)  # estimators are not compared by value
    assert len({vae, cls()}) == 2


class WithOwnInit(SphericalVAETransformer):
    """A user's leaf, written as scikit-learn's documentation says."""

    _parameter_constraints = {**SphericalVAETransformer._parameter_constraints, "mine": [COUNT]}

    def __init__(self, n_components=3, *, mine=1, beta=0.5, max_epochs=1, random_state=0):
        super().__init__(n_components, beta=beta, max_epochs=max_epochs, random_state=random_state)
        self.mine = mine


def test_a_subclass_with_its_own_init(small):
    vae = WithOwnInit(mine=4, beta=2.0)
    assert list(vae.get_params()) == ["beta", "max_epochs", "mine", "n_components", "random_state"]
    twin = clone(vae).fit(small)
    assert twin.get_params() == vae.get_params()
    assert repr(twin) == "WithOwnInit(beta=2.0, mine=4)"
    plain = SphericalVAETransformer(3, beta=2.0, max_epochs=1, random_state=0).fit(small)
    assert np.array_equal(twin.transform(small), plain.transform(small))
    back = pickle.loads(pickle.dumps(twin))
    assert np.array_equal(back.transform(small), plain.transform(small))
    with pytest.raises(InvalidParameterError, match="'mine' parameter of WithOwnInit"):
        WithOwnInit(mine=0).fit(small)


def test_a_subclass_without_an_init(small):
    class Plain(skccvae.HyperbolicVAETransformer):
        pass

    assert inspect.signature(Plain) == inspect.signature(skccvae.HyperbolicVAETransformer)
    assert clone(Plain(curvature=-2.0, **FAST)).fit(small).curvature_ == -2.0
