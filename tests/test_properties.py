"""Any argument at all gives a documented result or a documented error: no hang, no bare traceback, no other words.

python -m pytest tests/test_properties.py --hypothesis-profile=thorough tries 10,000 inputs per test instead of 200, and
others each time. Networks are a few numbers on 4x4 images, so that a call takes milliseconds.
"""

import argparse
import contextlib
import dataclasses
import importlib
import io
import os
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import strategies as st  # noqa: E402

import cganjax  # noqa: E402
from cganjax import checks, cli, scores  # noqa: E402
from cganjax.decoys import attacks, detectors  # noqa: E402
from cganjax.decoys.attacks import objectives  # noqa: E402
from cganjax.sampling import Classifier, Discriminator, Generator  # noqa: E402
from cganjax.types import UserError, Weights  # noqa: E402

KEY = jax.random.key(0)
SHAPE, CLASSES, LATENTS = (4, 4, 1), 3, 2
# Words of Python, NumPy and JAX, which no message of ours has.
FOREIGN = (
    "Traceback",
    "XLA",
    "Tracer",
    "jaxlib",
    "unhashable",
    "object is not",
    "object has no",
    "positional argument",
    "unexpected keyword",
    "could not convert",
    "inhomogeneous",
    "ufunc",
    "broadcast",
    "dtype(",
    "ambiguous",
    "not supported between",
    "unsupported operand",
    "Exceeds the limit",
)


def documented(call, *errors):
    """What a call gives, or None if it raised a documented error in one sentence of ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", cganjax.decoys.DecoyWarning)
            return call()
    except errors as error:
        said = str(error)
        assert 10 < len(said) < 1500 and "\n" not in said.strip(), said
        assert not [words for words in FOREIGN if words in said], said
        return None


# --- values -----------------------------------------------------------------------------------------------------------

HUGE = [10**9, 2**31, 2**32, 2**63, 2**64, 10**11, 10**400, 10**5000]
DTYPES = [np.float32, np.float64, np.float16, np.int8, np.int64, np.uint8, np.uint64, bool, complex, "U2", object]
numbers = st.one_of(
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([*HUGE, *(-n for n in HUGE)]),
    st.floats(),
    st.complex_numbers(),
    st.sampled_from([np.float32(0.5), np.float64(np.nan), np.int64(2), np.uint8(3), np.bool_(True), np.complex64(1j)]),
)


@st.composite
def arrays(
    draw,
    shapes=((), (0,), (1,), (2,), (5,), (2, 2), (2, *SHAPE), (5, *SHAPE), (1, 2, *SHAPE), (0, *SHAPE), (2, 28, 28)),
):
    """Arrays of every dtype and of few shapes, since each new shape is compiled."""
    shape, dtype = draw(st.sampled_from(shapes)), draw(st.sampled_from(DTYPES))
    value = draw(st.sampled_from([0, 1, 2, 0.25, -1, 255, np.nan, np.inf, 1e300]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.full(shape, np.float64(value)).astype(dtype)
    return jnp.asarray(array) if array.dtype in (np.float32, np.int8, np.uint8) and draw(st.booleans()) else array


anything = st.one_of(
    st.none(),
    numbers,
    st.text(max_size=8),
    st.binary(max_size=4),
    arrays(),
    st.lists(st.one_of(numbers, st.none(), st.text(max_size=2), st.lists(numbers, max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=2), numbers, max_size=2),
    st.sampled_from(
        [KEY, jax.random.split(KEY, 2), object(), int, len, print, Path("nowhere"), ..., {1}, range(2), iter(())]
    ),
)


def mostly(good):
    """A good value, three times of four."""
    return st.one_of(good, good, good, anything)


units = st.sampled_from([np.random.default_rng(n).uniform(size=(n, *SHAPE)).astype(np.float32) for n in (1, 2, 5)])
keys = st.sampled_from([KEY, jax.random.PRNGKey(1), jax.random.key(2, impl="rbg"), np.array([0, 1], np.uint32)])
labels = st.sampled_from([[0], [2, 1], [0, 1, 2, 0, 1], 1, np.array([1, 2], np.uint8), (), jnp.array([0, 0])])


# --- tiny networks ----------------------------------------------------------------------------------------------------

SPEC = cganjax.ImageSpec.numbered(*SHAPE, CLASSES)
W = np.linspace(-1, 1, 16 * CLASSES, dtype=np.float32).reshape(16, CLASSES)
V = np.linspace(-1, 1, LATENTS * 16, dtype=np.float32).reshape(LATENTS, 16)


def generate(weights, z, labels=None):
    mixed = 0.0 if labels is None else (labels.astype(jnp.float32).reshape(len(z), -1).sum(axis=1) / 10)[:, None]
    return jnp.tanh(z @ weights.params["v"] + mixed).reshape(-1, *SHAPE)


def classify(weights, images, labels=None):
    return images.reshape(len(images), -1) @ weights.params["w"]


def flat(weights, images):
    return images.reshape(len(images), -1)


weights = Weights({"v": jnp.asarray(V), "w": jnp.asarray(W)}, {})
GENERATOR = Generator(weights, CLASSES, SPEC, {"name": "tiny"}, generate, LATENTS)
UNCONDITIONAL = Generator(weights, None, SPEC, {"name": "tiny"}, generate, LATENTS)
DISCRIMINATOR = Discriminator(weights, CLASSES, SPEC, {"name": "tiny"}, classify, "unbounded", True)
CLASSIFIER = Classifier(weights, CLASSES, SPEC, {"name": "tiny"}, classify, "logits", flat)
BY_NUMPY = lambda images: np.asarray(images).reshape(len(images), -1) @ W  # noqa: E731
REAL = np.random.default_rng(0).uniform(size=(64, *SHAPE)).astype(np.float32)
DETECTOR = detectors.calibrate("msp", CLASSIFIER, REAL)


def finite(array, shape, low=-np.inf, high=np.inf):
    array = np.asarray(array)
    assert array.shape == shape and np.isfinite(array).all() and (array >= low).all() and (array <= high).all()


# --- checks -----------------------------------------------------------------------------------------------------------


@hypothesis.given(anything)
def test_whole(value):
    found = documented(lambda: checks.whole("n", value, 1, 100), ValueError)
    assert found is None or (type(found) is int and 1 <= found <= 100)


@hypothesis.given(anything)
def test_real(value):
    found = documented(lambda: checks.real("x", value, 0, 1, above=True), ValueError)
    assert found is None or (type(found) is float and 0 < found <= 1)


@hypothesis.given(st.one_of(mostly(labels), arrays()))
def test_labels(value):
    found = documented(lambda: checks.labels(value, CLASSES), ValueError)
    assert found is None or (found.dtype == np.int32 and found.ndim == 1 and set(found.tolist()) <= {0, 1, 2})


# --- sampling ---------------------------------------------------------------------------------------------------------


@hypothesis.given(
    mostly(keys),
    mostly(labels),
    st.one_of(st.none(), anything),
    mostly(st.sampled_from([GENERATOR, GENERATOR, UNCONDITIONAL])),
    mostly(st.sampled_from([1.0, 0.5, np.float32(0.7), 1])),
)
def test_sample(key, labels, n, checkpoint, truncation):
    found = documented(
        lambda: cganjax.sample(key, labels, n=n, checkpoint=checkpoint, truncation=truncation),
        ValueError,
        TypeError,
        FileNotFoundError,
    )
    if found is not None:
        count = len(checks.labels(labels, CLASSES)) if checkpoint is GENERATOR else int(n)
        finite(found, (count, *SHAPE), 0, 1)


@hypothesis.given(
    mostly(st.sampled_from([np.zeros((2, LATENTS)), np.ones((5, LATENTS)), np.zeros((2, 3))])), mostly(labels)
)
def test_generator(z, labels):
    for generator, given in ((GENERATOR, (z, labels)), (UNCONDITIONAL, (z,))):
        found = documented(lambda generator=generator, given=given: generator(*given), ValueError, TypeError)
        if found is not None:
            finite(found, (len(np.asarray(z)), *SHAPE), 0, 1)
    found = documented(lambda: GENERATOR.between(z, labels), ValueError, TypeError)
    assert found is None or found.shape[1:] == SHAPE


@hypothesis.given(st.one_of(mostly(units), arrays()), mostly(labels))
def test_discriminator_and_classifier(images, labels):
    found = documented(lambda: DISCRIMINATOR(images, labels), ValueError, TypeError)
    assert found is None or np.isfinite(found).all()
    for call, width in ((CLASSIFIER, CLASSES), (CLASSIFIER.features, 16)):
        found = documented(lambda call=call: call(images), ValueError)
        if found is not None:
            finite(found, (len(images), width))
    found = documented(lambda: DETECTOR.rejects(images), ValueError)
    assert found is None or (found.shape == (len(images),) and found.dtype == bool)


@hypothesis.given(st.one_of(anything, st.sampled_from(["lenet5", "nowhere/else", "../..", "a" * 5000, "\0", "~", "/"])))
def test_load(name):
    for load in (cganjax.load, cganjax.load_discriminator, cganjax.load_classifier):
        if isinstance(name, str) and name in ("lenet5", ""):
            continue
        assert documented(lambda load=load: load(name), TypeError, FileNotFoundError, cganjax.CheckpointError) is None


def test_checkpoints():
    assert "mnist" in cganjax.checkpoints()


@pytest.fixture(scope="module")
def old_interface():
    return cganjax.compat.AiGcMn(seed=3)


@hypothesis.given(seed=anything, labels=st.one_of(anything, arrays()))
def test_the_old_interface(old_interface, seed, labels):
    made = documented(lambda: cganjax.compat.AiGcMn(seed=seed), ValueError, TypeError)
    assert made is None or 0 <= int(seed) < 2**32
    with contextlib.suppress(ValueError):
        checks.labels(labels, 10)
        return  # a good one would generate images of the flagship, which takes long
    assert documented(lambda: old_interface.generator(labels), ValueError, TypeError) is None


# --- detectors and decoys ---------------------------------------------------------------------------------------------

classifiers = mostly(
    st.sampled_from([CLASSIFIER, CLASSIFIER, BY_NUMPY, [CLASSIFIER, BY_NUMPY], GENERATOR, "lenet5", len])
)
kinds = mostly(st.sampled_from([None, "logits", "sigmoid", "probabilities"]))
SETTINGS = ("temperature", "magnitude", "k", "unit", "steps")
# What a function of the user's may raise: it is shown as it is.
FOREIGN_CALLS = (int, len, print)


@hypothesis.given(
    mostly(st.sampled_from([*detectors.DETECTORS])),
    classifiers,
    mostly(st.just(REAL)),
    mostly(st.sampled_from([0.95, 0.5, np.float32(0.9)])),
    kinds,
    st.one_of(st.none(), st.just(np.arange(64) % CLASSES), anything),
    st.dictionaries(st.sampled_from(SETTINGS), st.one_of(anything, st.sampled_from([1, 2.0, True])), max_size=2),
)
def test_calibrate(name, classifier, real, accept, kind, labels, settings):
    hypothesis.assume(not any(classifier is f for f in FOREIGN_CALLS))
    found = documented(
        lambda: cganjax.calibrate(name, classifier, real, accept, scores=kind, labels=labels, **settings),
        ValueError,
        TypeError,
    )
    if found is not None:
        assert np.isfinite(found.threshold) and found.rejects(REAL).shape == (64,)


METHOD_SETTINGS = sorted(
    {"steps", "share", "momentum", "diversity", "views", "translation", "queries", "samples", "radius", "stop"}
)


@hypothesis.given(
    key=mostly(keys),
    images=mostly(units),
    classifier=classifiers,
    epsilon=mostly(st.sampled_from([0.0, 0.1, np.float32(0.2), [0.1, 0.2]])),
    changed=st.fixed_dictionaries(
        {},
        optional={
            "method": mostly(st.sampled_from(["auto", *attacks.METHODS])),
            "detector": mostly(st.sampled_from([None, DETECTOR, [DETECTOR]])),
            "evaluated_on": classifiers,
            "scores": kinds,
            "evaluated_scores": kinds,
            "objective": mostly(st.sampled_from(["auto", *objectives.OBJECTIVES])),
            "norm": mostly(st.sampled_from(["linf", "l2"])),
            "keep_label": mostly(st.booleans()),
            "ink_only": mostly(st.booleans()),
            "minimal": mostly(st.booleans()),
            "generator": mostly(st.just(GENERATOR)),
            "z": anything,
            "labels": mostly(labels),
            "chunk": mostly(st.sampled_from([1, 2, None, np.int64(3)])),
        },
    ),
    settings=st.dictionaries(
        st.sampled_from(METHOD_SETTINGS), st.one_of(anything, st.sampled_from([1, 2, 0.5])), max_size=2
    ),
)
def test_decoy(key, images, classifier, epsilon, changed, settings):
    foreign = [classifier, changed.get("evaluated_on"), changed.get("generator")]
    hypothesis.assume(not any(given is f for given in foreign for f in FOREIGN_CALLS))
    # Large numbers that are allowed would only take long; those that are not must be refused at once.
    hypothesis.assume(not any(type(v) is int and 20 < v <= 10**6 for v in settings.values()))
    # Few steps and queries, unless they are given.
    method = changed.get("method", "auto")
    few = {"square": {"queries": 4}, "spsa": {"steps": 1, "samples": 2}, "coordinate": {"rounds": 1}, "fgsm": {}}
    if isinstance(method, str) and (method == "auto" or method in attacks.METHODS):
        settings = few.get(method, {"steps": 1}) | settings
    found = documented(
        lambda: cganjax.decoy(key, images, classifier, epsilon=epsilon, **changed, **settings), ValueError, TypeError
    )
    if found is not None:
        finite(found.images, np.shape(images), 0, 1)
        assert np.isfinite(found.confidence).all() and found.label_kept.dtype == bool
        if changed.get("norm", "linf") == "linf" and found.z is None:
            sizes = np.nan_to_num(found.epsilon, nan=1.0)
            assert (np.abs(found.images - images).max(axis=(1, 2, 3)) <= sizes + 1e-6).all()


@hypothesis.given(classifiers, kinds)
def test_scores(classifier, kind):
    documented(lambda: scores.kind_of(classifier, kind), ValueError)
    documented(lambda: scores.check_classifier(classifier), TypeError)


# --- evaluation, data, training ---------------------------------------------------------------------------------------


@hypothesis.given(
    images=anything,
    labels=st.one_of(st.none(), anything),
    changed=st.dictionaries(
        st.sampled_from(["metrics", "real", "train", "seed", "extractor", "classifier", "judge"]), anything, max_size=2
    ),
)
def test_evaluate(images, labels, changed):
    documented(lambda: cganjax.evaluate(images, labels, **changed), ValueError, TypeError, FileNotFoundError)


@hypothesis.given(
    mostly(st.sampled_from([4, 28, np.int64(3)])),
    mostly(st.sampled_from([4, 28])),
    mostly(st.sampled_from([1, 3])),
    mostly(st.sampled_from([("a", "b"), ["cat"], ("a", "a"), (), (1, 2), "cat"])),
    mostly(st.sampled_from(["light_on_dark", "dark_on_light"])),
)
def test_image_spec(height, width, channels, names, polarity):
    found = documented(lambda: cganjax.ImageSpec(height, width, channels, names, polarity), ValueError)
    assert found is None or (all(type(n) is int and n > 0 for n in found.shape) and found.num_classes > 0)


@hypothesis.given(
    st.one_of(st.none(), st.none(), anything),
    mostly(st.sampled_from([np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4), np.zeros((6, 4, 4, 3), np.uint8)])),
    mostly(st.sampled_from([np.arange(6) % 2, [0, 1, 0, 1, 0, 1]])),
    st.dictionaries(
        st.sampled_from(["split", "data_dir", "class_names", "polarity", "name"]),
        st.one_of(anything, st.sampled_from(["train", "test", ["a", "b"], "light_on_dark", "all[2:]"])),
        max_size=2,
    ),
)
def test_dataset(source, images, labels, changed):
    # A text could be the name of a set, which would be looked for on the network.
    hypothesis.assume(source is None or not isinstance(source, str))
    found = documented(lambda: cganjax.dataset(source, images=images, labels=labels, **changed), UserError)
    if found is not None:
        assert found.images.ndim == 4 and len(found.images) == len(found.labels) > 0


@hypothesis.given(anything)
def test_recipe(name):
    found = documented(lambda: cganjax.recipe(name), UserError)
    assert found is None or found.recipe


FIELDS = [f.name for f in dataclasses.fields(cganjax.recipe("pattern_1010"))]
TINY = dataclasses.replace(cganjax.recipe("pattern_1010"), steps=1, log_every=1)


@hypothesis.given(st.dictionaries(st.sampled_from(FIELDS), anything, min_size=1, max_size=2), mostly(st.just(SPEC)))
def test_trainer(changed, spec):
    config = dataclasses.replace(TINY, **changed)
    found = documented(lambda: cganjax.trainer(config, spec), UserError)
    assert found is None or callable(found.step)


@hypothesis.settings(max_examples=max(25, hypothesis.settings().max_examples // 8))  # each example compiles a step
@hypothesis.given(
    mostly(st.just(TINY)),
    st.dictionaries(
        st.sampled_from(["dataset", "seed", "test", "stop_after", "devices", "block", "overwrite"]),
        st.one_of(anything, st.sampled_from([None, 1, 2, 0])),
        min_size=1,
        max_size=2,
    ),
)
def test_train(config, changed):
    found = documented(lambda: cganjax.train(config, progress=False, **changed), UserError)
    if found is not None:
        assert found.step == 1
        finite(found.generator(np.zeros((1, found.generator.latent_size))), (1, 1, 4, 1), 0, 1)


# --- commands ---------------------------------------------------------------------------------------------------------

# The words that each command needs, apart from the flag that is tried.
VERBS = {
    "classify": ["nowhere.png"],
    "decoy": ["3"],
    "doctor": [],
    "evaluate": [],
    "interpolate": ["mnist"],
    "reference": [],
    "reproduce": ["nowhere"],
    "sample": ["3"],
    "train": ["--recipe", "digits", "--dry-run"],
}
TEXTS = [
    "x",
    "",
    " ",
    "-1",
    "1e400",
    "nan",
    "inf",
    "0x10",
    "1,5",
    "1" * 400,
    "9" * 5000,
    "ünïcödé",
    "a=b",
    "../..",
    "[1]",
]
NO_NUMBER = ["x", "", "1.5.", "--", "1e", "0x10", "1,5", "9" * 5000, "½"]


def bad_values(action):
    """Values that a flag cannot have, by what it takes."""
    if action.choices:
        return [t for t in TEXTS if t not in action.choices]
    if action.type is int:
        return [*NO_NUMBER, "1.5", "nan", "-1", "-" + "9" * 400]
    if action.type is float:
        return [*NO_NUMBER, "nan", "-1", "-inf"]
    if action.dest in ("out", "json"):
        return ["/dev/null/x.png", "/dev/null/x/y.png", "/proc/x/y.png"]
    if action.dest in ("data_dir", "dataset"):
        return ["nowhere/", "/dev/null/", "./x/", "nothing.npz"]
    if action.dest == "set":
        return [*TEXTS, "steps=x", "steps=", "=1", "steps=1e3", "nonsense=1", "steps=-1"]
    return [t for t in TEXTS if t.strip()]


def flags(verb):
    parser = importlib.import_module(f"cganjax.commands.{verb}").parser("cganjax " + verb)
    for action in parser._actions:
        if action.option_strings and action.nargs != 0 and not isinstance(action, argparse._HelpAction):
            yield action


TRIED = [(verb, action) for verb in VERBS for action in flags(verb)]
# Flags that are looked at only after something else was read or made, or whose texts are all names that could be meant.
LATER = {("decoy", "--accept"), ("interpolate", "--classes"), ("train", "--data-dir"), ("train", "--out")}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    before, folder = Path.cwd(), tmp_path_factory.mktemp("commands")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@hypothesis.given(data=st.data())
def test_a_bad_flag_is_one_sentence_and_exit_code_2(empty, data):
    verb, action = data.draw(st.sampled_from(TRIED))
    flag = action.option_strings[0]
    hypothesis.assume((verb, flag) not in LATER)
    value = data.draw(st.sampled_from(bad_values(action)))
    main = importlib.import_module(f"cganjax.commands.{verb}").main
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.execute(main, [*VERBS[verb], f"{flag}={value}"])
    said = err.getvalue()
    assert code == cli.BAD_INPUT, (flag, value, out.getvalue(), said)
    assert said.startswith("error: ") and said.count("\n") == 1 and "Traceback" not in said, said
    assert not [path for path in empty.rglob("*") if path.is_file()], "nothing is left behind"
