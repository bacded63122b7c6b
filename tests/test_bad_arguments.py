"""Arguments that were once accepted in silence, or refused in the words of JAX or Python: each is one sentence now."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cganjax
from cganjax import checks, cli, pixels
from cganjax.commands import decoy, reference, train
from cganjax.types import BadArgument, BadType, DataError, UserError
from experiments import curves

KEY = jax.random.key(0)
SHAPE = (4, 4, 1)
WEIGHTS = np.linspace(-3, 3, 48, dtype=np.float32).reshape(16, 3)


class Linear:
    """A classifier of 4x4 images in 3 classes, with features."""

    scores = "logits"

    def features(self, images):
        return images.reshape(len(images), -1)

    def __call__(self, images):
        return self.features(jnp.asarray(images)) @ WEIGHTS


LINEAR = Linear()
IMAGES = np.random.default_rng(0).uniform(size=(60, *SHAPE)).astype(np.float32)
LABELS = np.arange(60) % 3


# --- numbers, flags, names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), jnp.int32(3)], ids=repr)
def test_whole_numbers_come_from_python_numpy_and_jax(value):
    found = checks.whole("n", value, 1, 5)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize(
    "value", [True, np.True_, 3.0, "3", None, [3], np.array([3]), jnp.array([3]), 3j, np.float32(3)], ids=repr
)
def test_anything_else_is_no_whole_number(value):
    with pytest.raises(BadType, match=r"^n is .*: expected a whole number of at least 1$"):
        checks.whole("n", value, 1)


@pytest.mark.parametrize("value", [0.5, np.float16(0.5), np.array(0.5), jnp.float32(0.5)], ids=repr)
def test_real_numbers_come_from_python_numpy_and_jax(value):
    found = checks.real("share", value, 0, 1)
    assert found == 0.5 and type(found) is float


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, 10**400, -(10**400), 10**5000, 1.01, -0.01], ids=lambda v: ""
)
def test_numbers_out_of_range_are_refused_whatever_their_size(value):
    with pytest.raises(BadArgument, match=r"^share is .{1,70}: expected a number of at least 0, at most 1$"):
        checks.real("share", value, 0, 1)


def test_the_ends_of_a_range_may_be_left_out():
    assert checks.real("x", 1, 0, 1, above=True) == 1.0
    with pytest.raises(BadArgument, match="above 0, at most 1"):
        checks.real("x", 0, 0, 1, above=True)
    with pytest.raises(BadArgument, match="of at least 0, below 1"):
        checks.real("x", 1, 0, 1, below=True)


@pytest.mark.parametrize("value", [True, "0.5", None, 1j, [0.5], np.array([0.5]), np.array("x"), KEY], ids=repr)
def test_anything_else_is_no_number(value):
    with pytest.raises(BadType, match="^share is .*: expected a number$"):
        checks.real("share", value)


def test_errors_are_of_every_kind_that_callers_expect():
    assert issubclass(BadArgument, (UserError, ValueError)) and issubclass(BadType, BadArgument)
    assert issubclass(BadArgument, UserError) and issubclass(BadArgument, ValueError) and issubclass(BadType, TypeError)


# --- images -----------------------------------------------------------------------------------------------------------

BAD_IMAGES = {
    "0..255": (np.full((2, *SHAPE), 200, np.uint8), "they look like 0..255: divide by 255"),
    "dark uint8": (np.zeros((2, *SHAPE), np.uint8), "images are uint8: expected floats .*of uint8 in 0..255: divide"),
    "NaN": (np.full((2, *SHAPE), np.nan), "they hold NaN"),
    "one NaN": (np.where(np.arange(16) == 7, np.nan, 0.5).reshape(1, *SHAPE), "they hold NaN"),
    "infinite": (np.full((2, *SHAPE), np.inf), "scale them"),
    "complex": (np.zeros((2, *SHAPE), complex), "images are complex128"),
    "texts": (np.full((2, *SHAPE), "a"), "images are <U1"),
    "objects": (np.full((2, *SHAPE), None), "images are object"),
    "ragged": ([[1.0], [1.0, 2.0]], "lists of different lengths"),
    "0-d": (0.5, r"shape \(\)"),
    "5-d": (np.zeros((1, 2, *SHAPE)), r"shape \(1, 2, 4, 4, 1\)"),
    "none": (np.zeros((0, *SHAPE)), "at least one"),
    "a key": (KEY, "images are of type"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_images_must_be_floats_in_0_to_1(case):
    images, says = BAD_IMAGES[case]
    for call in (
        pixels.check_unit,
        lambda x: cganjax.decoy(KEY, x, LINEAR, epsilon=0.1),
        lambda x: cganjax.calibrate("msp", LINEAR, x),
    ):
        with pytest.raises(ValueError, match=says):
            call(images)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
def test_floats_of_any_size_are_taken(dtype):
    assert pixels.check_unit(IMAGES.astype(dtype)).dtype == np.float32


@pytest.fixture(scope="module")
def networks(tiny_run):
    return cganjax.load(tiny_run), cganjax.load_discriminator(tiny_run)


def test_networks_refuse_images_and_latents_that_they_would_misread(networks, shipped_classifier):
    generator, discriminator = networks
    classifier = shipped_classifier("surrogate-mlp")
    grey = np.full((2, 28, 28, 1), 200, np.uint8)
    for call in (classifier, classifier.features, lambda x: discriminator(x, [0, 1])):
        for bad, says in (
            (grey, "divide by 255"),
            (grey * np.nan, "they hold NaN"),
            (grey * 0j, "complex"),
            (np.zeros((2, 4, 4, 1)), r"expected \[N, 28, 28, 1\]"),
        ):
            with pytest.raises(ValueError, match=says):
                call(bad)
    z = np.zeros((2, generator.latent_size))
    for bad, says in ((z * np.nan, r"^z\[0, 0\] is nan: expected latents"), (z + 1e300, "inf"), (z * 0j, "complex128")):
        for call in (lambda z: generator(z, [0, 1]), lambda z: generator.between(z, np.eye(10)[:2])):
            with pytest.raises(ValueError, match=says):
                call(bad)


def test_under_jit_only_shape_and_dtype_are_checked(shipped_classifier):
    classifier = shipped_classifier("surrogate-mlp")
    looked = jax.jit(classifier)(jnp.full((1, 28, 28, 1), 2.0))  # a value that is not known while tracing
    assert np.isfinite(looked).all()
    with pytest.raises(ValueError, match="images are uint8"):
        jax.jit(classifier)(jnp.zeros((1, 28, 28, 1), jnp.uint8))


# --- calibrate --------------------------------------------------------------------------------------------------------

BAD_CALIBRATIONS = {
    "float labels": ({"labels": LABELS + 0.5}, "labels are float64: expected integers from 0 to 2"),
    "text labels": ({"labels": ["a"] * 60}, "labels are <U1"),
    "negative labels": ({"labels": LABELS - 1}, r"labels\[0\] is -1: expected an integer from 0 to 2"),
    "large labels": ({"labels": LABELS + 10**9}, r"labels\[0\] is 1000000000"),
    "few labels": ({"labels": LABELS[:3]}, "60 real images and 3 labels"),
    "one image": ({"real_images": np.zeros((60, *SHAPE))}, "do not vary in every direction"),
    "unit": ({"unit": "no"}, "unit is 'no': expected True or False"),
    "negative magnitude": ({"name": "odin", "magnitude": -1}, "magnitude is -1: expected a number of at least 0"),
    "large magnitude": ({"name": "odin", "magnitude": 1e30}, r"magnitude is 1e\+30"),
    "temperature": ({"name": "energy", "temperature": "x"}, "temperature is 'x': expected a number above 0"),
    "NaN temperature": ({"name": "energy", "temperature": np.nan}, "temperature is nan"),
    "k": ({"name": "knn", "k": 0}, "k is 0: expected a whole number"),
    "a name": ({"classifier": "lenet5"}, "classifier is 'lenet5': expected a callable .* cganjax.load_classifier"),
    "nothing": ({"classifier": None}, "classifier is None: expected a callable"),
    "texts": ({"classifier": lambda x: ["cat"] * len(x)}, "outputs are <U3: expected numbers"),
    "no outputs": ({"classifier": lambda x: None, "name": "msp"}, "outputs are object: expected numbers"),
    "accept": ({"accept": "most"}, "accept is 'most': expected a number above 0, below 1, such as 0.95"),
    "a list": ({"name": ["msp"]}, "unknown detector"),
    "a list of scores": ({"scores": ["logits"]}, "scores is .*: expected one of"),
}


@pytest.mark.parametrize("case", BAD_CALIBRATIONS)
def test_calibrate_says_what_is_wrong_in_its_own_words(case):
    changed, says = BAD_CALIBRATIONS[case]
    given = {"name": "mahalanobis", "classifier": LINEAR, "real_images": IMAGES} | changed
    if "classifier" in changed:
        given["name"] = "msp"
    with pytest.raises(BadArgument, match=says):
        cganjax.calibrate(**given)


def test_calibrate_takes_numbers_of_numpy():
    assert cganjax.calibrate("knn", LINEAR, IMAGES, np.float32(0.9), k=np.int64(2)).threshold > 0
    assert np.isfinite(cganjax.calibrate("odin", LINEAR, IMAGES, magnitude=0, temperature=1).threshold)


# --- decoy ------------------------------------------------------------------------------------------------------------

BAD_DECOYS = {
    "keep_label": ({"keep_label": "no"}, "keep_label is 'no': expected True or False"),
    "ink_only": ({"ink_only": 1}, "ink_only is 1: expected True or False"),
    "minimal": ({"minimal": None}, "minimal is None: expected True or False"),
    "key": ({"key": "key"}, "key is str: expected a single key"),
    "keys": ({"key": jax.random.split(KEY, 3)}, r"of shape \(3,\): expected a single key"),
    "seed": ({"key": 0}, "key is int: expected a single key"),
    "a name": ({"classifier": "lenet5"}, "classifier is 'lenet5': expected a callable"),
    "a name in a list": ({"classifier": [LINEAR, "lenet5"]}, r"classifier\[1\] is 'lenet5'"),
    "epsilon": ({"epsilon": "much"}, "epsilon is 'much': expected 0 to 1"),
    "huge epsilon": ({"epsilon": 10**400}, "epsilon is 1000.*: expected 0 to 1"),
    "complex epsilon": ({"epsilon": 0.1j}, "epsilon is 0.1j"),
    "method": ({"method": ["pgd"]}, "unknown method"),
    "norm": ({"norm": 2}, "unknown norm 2: known are linf, l2"),
    "objective": ({"objective": np.zeros(2)}, "unknown objective"),
    "diversity": ({"method": "di", "diversity": 1.5}, "diversity is 1.5: expected a number of at least 0, at most 1"),
    "momentum": ({"method": "mi", "momentum": 1e30}, r"momentum is 1e\+30"),
    "share": ({"share": 1e300}, r"share is 1e\+300: expected a number above 0, at most 100"),
    "translation": ({"method": "ti", "translation": 10**6}, "translation is 1000000: expected .* at most 100"),
    "views": ({"method": "ensemble", "views": 101}, "views is 101"),
    "chunk": ({"chunk": 2.0}, "chunk is 2.0: expected a whole number of at least 1"),
    "reference": ({"method": "coordinate", "reference": ["current"]}, "expected current or clean"),
}


@pytest.mark.parametrize("case", BAD_DECOYS)
def test_decoy_says_what_is_wrong_in_its_own_words(case):
    changed, says = BAD_DECOYS[case]
    given = {"key": KEY, "images": IMAGES[:2], "classifier": LINEAR, "epsilon": 0.1} | changed
    with pytest.raises(BadArgument, match=says):
        cganjax.decoy(**given)


def test_decoy_takes_whole_numbers_for_fractions_and_numbers_of_numpy():
    of = lambda **given: cganjax.decoy(KEY, IMAGES[:3], LINEAR, epsilon=np.float64(0.1), keep_label=np.False_, **given)  # noqa: E731
    by_integer, by_float = (of(method="di", steps=np.int64(1), diversity=d, chunk=np.int64(2)) for d in (1, 1.0))
    np.testing.assert_array_equal(by_integer.images, by_float.images)


def test_a_latent_that_is_nan_is_named_and_not_the_classifier():
    made = lambda z, labels: jnp.full((len(z), *SHAPE), 0.5) + 0 * z[:, :1, None, None]  # noqa: E731
    given = {"generator": made, "labels": [0, 1], "method": "latent", "epsilon": 0}
    with pytest.raises(ValueError, match=r"^z\[1, 2\] is nan: expected latents \[N, L\], all finite$"):
        cganjax.decoy(KEY, np.full((2, *SHAPE), 0.5), LINEAR, z=[[0.0] * 3, [0.0, 0.0, np.nan]], **given)
    with pytest.raises(TypeError, match="^generator is 'mnist': expected a callable"):
        cganjax.decoy(KEY, np.full((2, *SHAPE), 0.5), LINEAR, z=np.zeros((2, 3)), **(given | {"generator": "mnist"}))


# --- sample, train, configs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "truncation", [10**400, -(10**400), 10**5000, np.nan, "0.5", 1j, [0.5], True], ids=lambda v: ""
)
def test_truncation_is_one_number_above_0_at_most_1(networks, truncation):
    with pytest.raises(ValueError, match=r"^truncation (is|has) .{1,80}: expected "):
        cganjax.sample(KEY, [1], checkpoint=networks[0], truncation=truncation)


BAD_CONFIGS = {
    "steps": 10**10,
    "generator": 5,
    "discriminator": None,
    "learning_rate": 10**400,
    "algorithm": "another",
    "batch_size": 2**40,
    "seed": 10**5000,
    "keep_best": "no",
}


@pytest.mark.parametrize("field", BAD_CONFIGS)
def test_a_config_from_python_is_checked_before_networks_are_built(field):
    config = dataclasses.replace(cganjax.recipe("digits"), **{field: BAD_CONFIGS[field]})
    for call in (
        lambda: cganjax.trainer(config, cganjax.ImageSpec.numbered(28, 28, 1, 10)),
        lambda: cganjax.train(config),
    ):
        with pytest.raises(UserError, match=f"^{field}.* is .*: it must be "):
            call()


def test_a_config_takes_numbers_of_numpy():
    config = dataclasses.replace(cganjax.recipe("pattern_1010"), steps=np.int64(3), learning_rate=np.float32(0.01))
    run = cganjax.train(config, progress=False)
    assert run.step == 3 and type(run.config.steps) is int and type(run.config.learning_rate) is float


@pytest.mark.parametrize("name", ["family", "algorithm", "dataset", "steps"])
def test_an_empty_mapping_is_no_value_of_a_config(name):
    config = dataclasses.replace(cganjax.recipe("pattern_1010"), **{name: {}})
    with pytest.raises(UserError, match=f"^{name} is {{}}: it must be a "):
        cganjax.train(config, progress=False)


def test_a_number_of_checkpoints_has_no_thousands_of_digits(capsys):
    assert cli.execute(train.main, ["--recipe", "digits", "--dry-run", "--keep", "9" * 5000]) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("error: --keep is '999")


def test_a_classifier_of_numpy_and_a_method_of_gradients_are_said_in_our_words():
    images = np.full((1, 4, 4, 1), 0.5, np.float32)
    with pytest.raises(BadType, match="it needs the values of the images, as functions of NumPy do"):
        cganjax.decoy(jax.random.key(0), images, lambda x: np.asarray(x).reshape(len(x), -1), epsilon=0.1, method="pgd")


@pytest.mark.parametrize("name", ["stop_after", "block"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True], ids=repr)
def test_steps_of_a_call_are_whole_numbers(name, value):
    with pytest.raises(UserError, match=re.escape(f"{name} is {value!r}: expected a whole number of at least 1")):
        cganjax.train("pattern_1010", progress=False, **{name: value})


# --- commands ---------------------------------------------------------------------------------------------------------


def test_curves_draws_a_png_of_steps_from_0(command, tiny_run, tmp_path):
    for arguments, says in (
        (["--out", tmp_path / "a.txt"], "--out is .*a.txt: give a name that ends in .png"),
        (["--from", -1], "--from is -1 and --to is None: give 0 or more"),
        (["--from", 3, "--to", 2], "--from is 3 and --to is 2"),
    ):
        code, out, err = command(curves, tiny_run, *arguments)
        assert code == 2 and re.search(says, err) and not (tmp_path / "a.txt").exists()


def test_a_reference_classifier_is_not_its_own_extractor(command):
    code, _, err = command(reference, "--judge", "digits-v1", "--overwrite")
    assert code == 2 and err.startswith("error: --classifier is digits-v1, which is the extractor")


def test_the_settings_of_the_command_are_those_of_the_function(command):
    given = [3, "--target", "surrogate-mlp", "--method", "di"]
    code, out, err = command(decoy, *given, "--set", "diversity=1", "--set", "steps=1", "--epsilon", 0.1)
    assert code == 0 and err == "" and "rejected" in out
    for text, says in (
        ("diversity=1.5", "at most 1"),
        ("diversity=x", "diversity is 'x'"),
        ("steps=2.5", "steps is 2.5"),
    ):
        code, _, err = command(decoy, *given, "--set", text)
        assert code == 2 and says in err and err.count("\n") == 1


# --- found by tests/test_properties.py --------------------------------------------------------------------------------


def test_a_key_is_no_label_and_a_number_is_no_checkpoint():
    images = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    with pytest.raises(TypeError, match="^labels is of type .*: expected an array$"):
        cganjax.dataset(images=images, labels=KEY)
    for number in (5, 10**5000):
        with pytest.raises(TypeError, match="^checkpoint is int: expected a name or a path$"):
            cganjax.evaluate(IMAGES, extractor=number)
    with pytest.raises(FileNotFoundError, match="^no checkpoint 'aaaa"):
        cganjax.load("a" * 5000)


def test_metrics_and_seeds_are_named_when_they_are_none():
    with pytest.raises(ValueError, match="^unknown metric True: known are"):
        cganjax.evaluate(IMAGES, metrics=True)
    for seed in (-1, 2**32, 10**5000, 1.0, np.zeros((2, 2))):
        with pytest.raises(
            ValueError, match=r"^seed is [^\n]*: expected a whole number of at least 0, at most 4294967295$"
        ):
            cganjax.evaluate(IMAGES, seed=seed)
        with pytest.raises(ValueError, match=r"^seed is [^\n]*: expected a whole number"):
            cganjax.compat.AiGcMn(seed=seed)


def test_a_label_beyond_64_bits_is_a_label_out_of_range():
    for label in (2**64, 10**400, -(2**70)):
        with pytest.raises(
            ValueError, match=r"^labels\[0\] is -?9223372036854775\d+: expected an integer from 0 to 2$"
        ):
            checks.labels(label, 3)


# --- found by the property tests at 10,000 inputs each ----------------------------------------------------------------


def test_a_number_too_long_to_be_written_is_still_refused_in_a_sentence():
    with pytest.raises(BadType, match="n=of type list was given to a conditional checkpoint"):
        cganjax.sample(KEY, n=[10**5000])


@pytest.mark.parametrize("names", [[False, []], np.array("ab"), 3, "ab"], ids=repr)
def test_what_is_no_list_of_class_names_is_refused_in_a_sentence(names):
    images = np.zeros((6, *SHAPE), np.uint8)
    with pytest.raises(DataError, match=r"^class_names(\[0\])? is .*: expected a (list of names|string)"):
        cganjax.dataset(images=images, labels=LABELS[:6], class_names=names)
