"""Every key of a run can be set, is read by something, and is refused where it cannot work."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from cganjax import recipes
from cganjax.training import config as cfg
from cganjax.types import UserError

MNIST = recipes.load("mnist")


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_resolve_check_and_survive_json(name):
    config = recipes.load(name)
    assert config.recipe == name
    assert cfg.check(config) == config
    assert cfg.from_json(cfg.to_json(config)) == config
    assert importlib.import_module(f"cganjax.recipes.{name}").__doc__


def test_set_reaches_plain_and_dotted_keys_with_their_types():
    changed = cfg.override(MNIST, ["learning_rate=1e-3", "generator.hidden=99", "dataset=kmnist"])
    assert (changed.learning_rate, changed.generator["hidden"], changed.dataset) == (1e-3, 99, "kmnist")
    assert changed.generator["width_7"] == MNIST.generator["width_7"]
    assert MNIST.generator["hidden"] != 99, "the recipe itself is untouched"


@pytest.mark.parametrize(
    "text, said",
    [
        ("learning_rat=1", "did you mean learning_rate"),
        ("nonsense=1", "Known keys: recipe, algorithm, dataset"),
        ("batch_size=many", "expected a whole number"),
        ("batch_size", "key=value"),
        ("penalty_fraction=0", "above 0, at most 1"),
        ("mismatch_fraction=1", "within 0 and 0.5"),
        ("latent_std=0", "above 0 and finite"),
        ("steps=0", "steps is 0: it must be at least 1"),
        ("generator.hidden=-3", "generator.hidden is -3"),
        ("learning_rate=nan", "learning_rate is nan"),
    ],
)
def test_bad_settings_get_one_sentence(text, said):
    with pytest.raises(UserError, match=said):
        cfg.override(MNIST, [text])


def test_unknown_recipe_lists_the_known():
    with pytest.raises(UserError, match="known are digits, .*mnist"):
        recipes.load("mnits")


def test_every_field_says_what_it_is():
    lines = Path(cfg.__file__).read_text().splitlines()
    for field in dataclasses.fields(cfg.Config):
        line = next(text for text in lines if text.strip().startswith(f"{field.name}: "))
        assert "# " in line, field.name


def test_every_field_is_read_somewhere():
    """A key that can be set and that nothing reads would be a lie."""
    rooms = [*Path(cfg.__file__).parent.rglob("*.py"), *Path(recipes.__file__).parents[1].glob("*.py")]
    source = "\n".join(path.read_text() for path in rooms if path.name != "config.py")
    for field in dataclasses.fields(cfg.Config):
        assert re.search(rf"\bconfig\.{field.name}\b", source), field.name
