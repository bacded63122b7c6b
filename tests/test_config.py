"""Every field of every algorithm can be set, is described and read by something, and is refused if it cannot work."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from cganjax import models, recipes
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.training.algorithms import ALGORITHMS
from cganjax.types import UserError

MNIST = recipes.load("mnist")
# One recipe of each algorithm.
FIXED = [name for name in recipes.names() if not recipes.needs_data(name)]
OF = {recipes.load(name).algorithm: recipes.load(name) for name in FIXED}
FIELDS = [(name, field.name) for name, kind in ALGORITHMS.items() for field in dataclasses.fields(kind.config)]


@pytest.mark.parametrize("name", FIXED)
def test_recipes_resolve_check_and_survive_json(name):
    config = recipes.load(name)
    assert config.recipe == name
    assert cfg.check(config) == config
    assert cfg.from_json(cfg.to_json(config)) == config
    for heading in ("Source", "Command", "Hardware", "Time", "Result"):
        assert re.search(rf"^ *{heading} ", recipes.page(name), re.MULTILINE), heading


def test_recipes_are_what_they_were():
    """tests/recipes.json holds the resolved text of every recipe; change it only together with a recipe."""
    recorded = json.loads(Path(__file__).with_name("recipes.json").read_text())
    assert {name: cfg.dumps(recipes.load(name)).splitlines() for name in FIXED} == recorded


def test_recipes_take_hyphens_too():
    assert recipes.load("mnist-fast") is recipes.load("mnist_fast")


def test_set_reaches_plain_and_dotted_keys_with_their_types():
    changed = cfg.override(MNIST, ["learning_rate=1e-3", "generator.hidden=99", "dataset=kmnist"])
    assert (changed.learning_rate, changed.generator["hidden"], changed.dataset) == (1e-3, 99, "kmnist")
    assert changed.generator["width_7"] == MNIST.generator["width_7"]
    assert MNIST.generator["hidden"] != 99, "the recipe itself is untouched"
    # The type is the declared one, also if the value in the recipe is a whole number.
    assert cfg.override(dataclasses.replace(MNIST, latent_std=1), ["latent_std=0.5"]).latent_std == 0.5


@pytest.mark.parametrize(
    "text, said",
    [
        ("learning_rat=1", "did you mean learning_rate"),
        ("nonsense=1", "Known keys: recipe, algorithm, dataset"),
        ("batch_size=many", "expected a whole number"),
        ("keep_best=maybe", "expected true or false"),
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


@pytest.mark.parametrize("changes", [{"steps": "10"}, {"steps": 2.5}, {"learning_rate": True}, {"keep_best": 1}])
def test_a_value_of_another_type_gets_one_sentence(changes):
    """Python code can put any value into a config."""
    (key,) = changes
    with pytest.raises(UserError, match=f"^{key} is .*: it must be (a whole number|a number|True or False)$"):
        cfg.check(dataclasses.replace(MNIST, **changes))


def test_unknown_recipe_lists_the_known():
    for look in (recipes.load, recipes.page):
        with pytest.raises(UserError, match="known are auto, digits, .*mnist"):
            look("mnits")


# --- the fields of every algorithm ------------------------------------------------------------------------------------


def test_the_table_names_each_algorithm_as_its_config_does():
    for name, algorithm in ALGORITHMS.items():
        assert algorithm.config.__dataclass_fields__["algorithm"].default == name
    assert OF.keys() == ALGORITHMS.keys(), "each algorithm has a recipe"


@pytest.mark.parametrize("algorithm, name", FIELDS)
def test_every_field_is_described_where_it_is_declared(algorithm, name):
    config = OF[algorithm]
    help = cfg._declared(type(config))[name].metadata["help"]
    assert len(help) > 3
    assert f"  {name}  {help}" in cfg.reference()
    keys = [line.split()[0] for line in cfg.describe(config).splitlines()]
    value = getattr(config, name)
    assert [key for key in keys if key.split(".")[0] == name] == (
        [f"{name}.{inner}" for inner in value] if isinstance(value, dict) else [name]
    )


@pytest.mark.parametrize("algorithm, name", FIELDS)
def test_every_field_can_be_set_and_refuses_what_breaks_its_rule(algorithm, name):
    config, rule = OF[algorithm], cfg._declared(type(OF[algorithm]))[name].metadata["rule"]
    if name in ("recipe", "algorithm"):
        with pytest.raises(UserError, match="a recipe is chosen by --recipe"):
            cfg.override(config, [f"{name}=mnist"])
        return
    value = getattr(config, name)
    key, value = (
        next(((f"{name}.{k}", v) for k, v in value.items()), (None, None))
        if isinstance(value, dict)
        else (
            name,
            value,
        )
    )
    if key is None:
        return  # the family of this recipe has no settings
    assert cfg.override(config, [f"{key}={value}"]) == config
    if rule is None:
        assert isinstance(value, (bool, str)), f"{name}: a number needs a rule"
        return
    bad = "nonsense" if isinstance(value, str) else "-1"
    with pytest.raises(UserError, match=re.escape(f"{key} is {bad}") + ".*: it must be " + re.escape(rule.says)):
        cfg.override(config, [f"{key}={bad}"])


@pytest.mark.parametrize("algorithm, name", FIELDS)
def test_every_field_is_read_somewhere(algorithm, name):
    """A key that can be set and that nothing reads would be a lie."""
    package = Path(cfg.__file__).parents[1]
    paths = [*package.glob("training/**/*.py"), *package.glob("models/*.py"), *package.glob("*.py")]
    paths.append(package.parent / "experiments" / "train.py")
    source = "\n".join(path.read_text() for path in paths if path != Path(cfg.__file__))
    read = rf"""\bconfig\.{name}\b|_every\(config, "{name}"\)"""
    assert re.search(read, source), name


def test_describe_shows_values_and_what_the_family_says_of_its_settings():
    lines = cfg.describe(cfg.override(MNIST, ["generator.hidden=77"])).splitlines()
    (hidden,) = [line for line in lines if line.startswith("generator.hidden ")]
    assert hidden.split()[1] == "77" and hidden.endswith(models.FAMILIES["depth_to_space"].SETTINGS["hidden"])
    (rate,) = [line for line in lines if line.startswith("learning_rate ")]
    assert rate.split()[1] == "0.0004" and "learning rate" in rate


@pytest.mark.parametrize("name", FIXED)
def test_every_setting_of_a_family_is_described(name):
    config = recipes.load(name)
    used = {key for part in ("generator", "discriminator", "classifier") for key in getattr(config, part, {})}
    assert used <= models.FAMILIES[config.family].SETTINGS.keys()


def test_an_older_config_takes_the_defaults_of_later_fields():
    values = cfg.to_json(MNIST)
    for later in ("keep_best", "mismatch_fraction", "augment", "latent_std", "precision"):
        del values[later]
    config = cfg.from_json(values)
    assert (config.keep_best, config.mismatch_fraction, config.augment) == (False, 0, 0)
    assert (config.latent_std, config.precision) == (1, "float32")
    with pytest.raises(TypeError):
        cfg.from_json(values | {"unheard_of": 1})


def test_the_records_are_still_found_where_they_were():
    for algorithm in ALGORITHMS.values():
        assert getattr(cfg, algorithm.config.__name__) is algorithm.config
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        cfg.Nonsense  # noqa: B018
    assert algorithms.SHARED == ("relativistic",)
