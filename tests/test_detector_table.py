"""`experiments.detectors`: its figures against scikit-learn's, that evaluated images are new, files and refusals."""

import csv

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import metrics

from cganjax import data, pixels, sampling
from cganjax.data import known
from cganjax.decoys.detectors import calibration, table
from cganjax.types import UserError
from experiments import detectors


class Bright:
    """Logits are the brightness of ten bands; the features are their means."""

    scores, num_classes, image_shape, spec = "logits", 10, (28, 28, 1), known.KNOWN["mnist"]
    card = {"name": "bands", "data": {"name": "mnist", "num_classes": 10}}

    def features(self, images):
        return jnp.asarray(images)[:, :20, :, 0].reshape(len(images), 10, 56).mean(axis=2)

    def __call__(self, images):
        return 12.0 * self.features(images)


def bands(n, seed, spread=0.1, height=0.9):
    """Images uint8 [n, 28, 28, 1] of one bright band each, and which band; every image is another."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 10
    images = rng.uniform(0, spread, (n, 28, 28, 1))
    for k in range(10):
        ink = height + rng.uniform(-spread, spread, (int((labels == k).sum()), 1, 1, 1))
        images[labels == k, 2 * k : 2 * k + 2] = ink
    return np.round(255 * np.clip(images, 0, 1)).astype(np.uint8), labels.astype(np.int32)


COLOUR = known.KNOWN["mnist"]._replace(height=32, width=32, channels=3)


def sets_of_colour():
    """Black images of another shape, and labels."""
    return np.zeros((20, *COLOUR.shape), np.uint8), np.arange(20) % 10


@pytest.fixture
def small(monkeypatch):
    """A world of 1,200 bands instead of the data sets, half of them to calibrate on.

    Returns the sets, and a list that fills with (what a detector was calibrated on, its labels, what it then scored).
    """
    sets = {"mnist": bands(1200, 0), "kmnist": bands(300, 1, 0.5, 0.55)}

    def load(name, split, folder):
        return data.Dataset(name, split, *sets[name], known.KNOWN["mnist"], "", "")

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(data, "of_card", lambda card, split, folder: load(card["data"]["name"], split, folder))
    monkeypatch.setattr(sampling, "load_classifier", lambda name: Bright())
    monkeypatch.setattr(data, "CALIBRATION", 600)
    seen, calibrate = [], calibration.calibrate

    def watched(name, classifier, real, *rest, **given):
        detector, scored = calibrate(name, classifier, real, *rest, **given), []
        seen.append((np.asarray(real), given["labels"], scored))
        return detector._replace(score=lambda images: scored.append(np.asarray(images)) or detector.score(images))

    monkeypatch.setattr(calibration, "calibrate", watched)
    return sets, seen


def test_the_table_is_what_scikit_learn_computes(small, command):
    sets, _ = small
    code, out, err = command(detectors, "bands", "--out", "d.csv", "--accept", 0.9)
    assert code == 0, err
    with open("d.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == detectors.COLUMNS and out.splitlines()[-1] == "d.csv"
    assert [r["detector"] for r in rows[::3]] == ["msp", "energy", "knn", "mahalanobis", "max_logit", "odin"]
    assert {r["against"] for r in rows} == {"KMNIST", "uniform noise", "generated digits"}
    real, strange = (pixels.rest_to_unit(sets[name][0]) for name in ("mnist", "kmnist"))
    logits = [np.asarray(Bright()(x), np.float64) for x in (real[:600], real[600:], strange)]
    calibrated, inside, outside = (-z.max(axis=1) for z in logits)  # max_logit
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    both = np.concatenate([inside, outside])
    false, true, _ = metrics.roc_curve(truth, both, drop_intermediate=False)
    row = next(r for r in rows if (r["detector"], r["against"]) == ("max_logit", "KMNIST"))
    assert (row["calibrated"], row["real"], row["strange"], row["accept"]) == ("600", "600", "300", "90.00")
    want = {
        "auroc": metrics.roc_auc_score(truth, both),
        "aupr": metrics.average_precision_score(truth, both),
        "fpr95": 1 - true[false <= 0.05 + 1e-9].max(),  # with strange images as positives: 95 % of real ones accepted
        "real_accepted": np.mean(inside <= np.quantile(calibrated, 0.9, method="higher")),
        "strange_accepted": np.mean(outside <= np.quantile(calibrated, 0.9, method="higher")),
    }
    assert 0.6 < want["auroc"] < 1 and want["auroc"] != pytest.approx(want["aupr"], abs=1e-3)
    for name, value in want.items():
        assert_allclose(float(row[name]), 100 * value, atol=0.35, err_msg=name)  # one of 300 images
    assert_allclose(float(row["auroc"]), 100 * want["auroc"], atol=0.02)


def test_evaluated_images_are_in_no_calibration(small, command):
    sets, seen = small
    assert command(detectors, "bands", "--out", "d.csv")[0] == 0
    images = pixels.rest_to_unit(sets["mnist"][0])
    assert len(seen) == 6
    for real, labels, scored in seen:
        assert_array_equal(real, images[:600])
        assert_array_equal(labels, sets["mnist"][1][:600])
        known = {image.tobytes() for image in real}
        assert_array_equal(scored[0], images[600:])
        assert not any(image.tobytes() in known for part in scored for image in part)


def test_the_seed_draws_noise_and_digits(small, command, monkeypatch):
    _, seen = small
    monkeypatch.setattr(table, "fitting", lambda classifier: ["max_logit"])
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        code, _, err = command(detectors, "bands", "bands", "--quick", "--out", f"{name}.csv", "--seed", seed)
        assert code == 0, err
    with open("a.csv") as first, open("b.csv") as second:
        text = first.read()
        assert text == second.read() and text.count("\n") == 4  # named twice, evaluated once
    same, again, other = (scored[1:] for _, _, scored in seen)  # KMNIST, noise, digits
    for a, b, c, drawn in zip(same, again, other, (False, True, True), strict=True):
        assert_array_equal(a, b)
        assert np.array_equal(a, c) != drawn


def test_bad_input_is_one_sentence(small, command, monkeypatch):
    with open("a.csv", "w") as file:
        file.write("kept")
    for arguments, message in {
        ("--out", "a.csv"): "a.csv exists: choose another name or --out, or add --overwrite",
        ("--out", "."): "is a folder: give a file name",
        ("--accept", "95"): "--accept is 95.0: give a fraction between 0 and 1",
        ("--accept", "nan"): "--accept is nan",
        ("--seed", "-1"): "--seed is -1",
        ("--acept", "0.9"): "did you mean --accept?",
    }.items():
        code, out, err = command(detectors, "bands", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1 and not out, (arguments, err)
    monkeypatch.setattr(data, "of_card", lambda *_: data.Dataset("rgb", "test", *sets_of_colour(), COLOUR, "", ""))
    code, out, err = command(detectors, "bands", "--out", "n.csv")
    assert code == 2 and "no shipped generator makes images of 32x32x3" in err and not out
    code, out, err = command(detectors, "bands", "--out", "n.csv", "--checkpoint", "mnist")
    assert code == 2 and "mnist generates images of 28x28x1, 10 classes (0, 1, 2, ...), and the classifiers" in err
    assert "take 32x32x3" in err and not out


def test_without_kmnist_the_rest_is_tabulated(small, command, monkeypatch):
    sets, _ = small
    monkeypatch.setattr(table, "fitting", lambda classifier: ["max_logit"])

    def load(name, split, folder):
        if name == "kmnist":
            raise UserError("there is none")
        return data.Dataset(name, split, *sets[name], known.KNOWN["mnist"], "", "nowhere")

    monkeypatch.setattr(data, "load", load)
    code, out, err = command(detectors, "bands", "--quick", "--out", "d.csv")
    assert code == 0 and "note: no column of KMNIST (there is none)" in err and "KMNIST" not in out


@pytest.mark.parametrize(("name", "message"), [("nothing", "no checkpoint 'nothing'"), ("mnist", "no classifier")])
def test_what_is_no_classifier_is_refused(name, message, command):
    code, out, err = command(detectors, name)
    assert code == 2 and message in err and err.count("\n") == 1 and not out


@pytest.mark.slow
def test_lenet5_on_real_digits(command, data_dir):
    if not (data_dir / "kmnist").is_dir():
        pytest.skip("no KMNIST beside MNIST")
    code, _, err = command(detectors, "lenet5", "--quick", "--data-dir", data_dir, "--out", "d.csv")
    assert code == 0, err
    with open("d.csv", newline="") as file:
        rows = {(r["detector"], r["against"]): r for r in csv.DictReader(file)}
    assert len(rows) == 18
    for (detector, against), row in rows.items():
        assert abs(float(row["real_accepted"]) - 95) < 3.5, detector
        auroc = float(row["auroc"])
        # The standard error of 50 % from 500 against 500 is 1.8.
        assert abs(auroc - 50) < 7 if against == "generated digits" else auroc > 75, (detector, against)
