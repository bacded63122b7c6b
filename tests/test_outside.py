"""Classifiers of other libraries, attacked by their scores alone; on scikit-learn's embedded digits, so in CI too."""

import csv
import importlib.util

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

import cganjax
from cganjax import data, pixels, rng, scores
from cganjax.decoys.attacks import norms
from experiments import other_libraries, outside
from experiments.other_libraries import MODELS, Model

KEY = jax.random.key(3)
ABSENT = Model(lambda images, labels: None, ("no_such_library",), "pip install it")


@pytest.fixture(scope="module")
def train(digits):
    return pixels.rest_to_unit(digits.images), digits.labels


@pytest.fixture(scope="module")
def held_out():
    found = data.load("digits", "test")
    return pixels.rest_to_unit(found.images), found.labels


def noise(images, epsilon):
    bounds = norms.Bounds(images, np.full(len(images), epsilon, np.float32), np.ones_like(images))
    return np.asarray(norms.random_start(rng.items(KEY, len(images)), "linf", bounds))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_square_lowers_the_confidence_far_more_than_noise_of_its_size(name, train, held_out):
    if name == "PyTorch network":  # the others' libraries come with the tests
        pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    model = MODELS[name].train(*train)
    images, labels = held_out
    outputs = model(images)
    assert outputs.shape == (len(images), 10) and outputs.dtype == np.float32
    assert (outputs.argmax(axis=1) == labels).mean() > 0.8
    clean = images[outputs.argmax(axis=1) == labels][:8]
    result = cganjax.decoy(KEY, clean, model, epsilon=0.2, method="square", queries=150)
    by_noise = scores.confidences_of(model, noise(clean, 0.2)).max(axis=1)
    assert not result.warnings
    assert result.confidence.mean() < by_noise.mean() - 0.02  # an SVM's softmax is flat: of 0.67 it takes 0.03


def test_a_forest_is_flat_to_single_pixels_but_not_to_the_pairs_of_spsa(train, held_out):
    """Its scores are piecewise constant. A pair moves all pixels, and so crosses the threshold of some tree."""
    model, image, reach = other_libraries.random_forest(*train), held_out[0][:1], 0.01
    single = image + reach * np.eye(784, dtype=np.float32).reshape(784, 28, 28, 1)
    signs = np.random.default_rng(0).choice([-1, 1], (100, 28, 28, 1)).astype(np.float32)
    assert (model(single).max(axis=1) == model(image).max(axis=1)).mean() > 0.7
    up, down = (model(np.clip(image + side * reach * signs, 0, 1)).max(axis=1) for side in (1, -1))
    assert (up == down).mean() < 0.2


def test_onnx_runtime_answers_as_scikit_learn_does(train, held_out):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000).fit(train[0].reshape(len(train[0]), -1), train[1])
    session = other_libraries.in_onnx_runtime(model, 784)
    assert_allclose(session(held_out[0]), model.predict_proba(held_out[0].reshape(len(held_out[0]), -1)), atol=1e-5)
    assert scores.kind_of(session) == "probabilities"


def test_what_is_not_installed_is_said_and_left_out(monkeypatch, capsys):
    monkeypatch.setattr(other_libraries, "MODELS", {"SVM": MODELS["SVM"], "other": ABSENT})
    assert list(other_libraries.installed()) == ["SVM"]
    assert capsys.readouterr().out == "other is left out: no_such_library not installed (pip install it)\n"
    assert all(importlib.util.find_spec(library) for library in MODELS["MLP in ONNX"].needs)


def test_outside_tabulates_and_loses_no_table(command, data_dir, monkeypatch, tmp_path):
    few = Model(lambda images, labels: other_libraries.mlp_in_onnx(images[:1000], labels[:1000]))
    monkeypatch.setattr(other_libraries, "MODELS", {"MLP in ONNX": few, "other": ABSENT})
    flags = ["--n", 10, "--queries", 101, "--data-dir", data_dir, "--out", "t/o.csv"]
    code, out, err = command(outside, *flags)
    assert code == 0, err
    assert out.startswith("other is left out") and out.endswith("t/o.csv\n")
    rows = list(csv.DictReader((tmp_path / "t/o.csv").read_text().splitlines()))
    assert [(row["model"], row["method"]) for row in rows] == [("MLP in ONNX", m) for m in ("noise", "square", "spsa")]
    assert [int(row["queries"]) for row in rows] == [0, 101, 101]
    assert float(rows[1]["confidence"]) < float(rows[0]["confidence"]) - 0.05
    code, out, err = command(outside, *flags)
    assert code == 2 and "o.csv exists" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", 0], "--n 0, --queries 1000, --epsilon 0.2: give at least 1, at least 61, and within 0 and 1"),
        (["--queries", 60], "--queries 60"),
        (["--epsilon", "nan"], "--epsilon nan"),
        (["--seed", -1], "--seed is -1"),
        (["--data-dir", "nowhere"], "nowhere"),
        (["--out", "."], "is a folder: give a file name"),
    ],
)
def test_outside_refuses_in_one_sentence(arguments, message, command):
    code, out, err = command(outside, *arguments)
    assert code == 2 and message in err and err.count("\n") == 1 and not out
