"""`decoy`: what it checks, measures again and warns of; and its commands, on real classifiers."""

import csv
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cganjax
from cganjax import decoys, sampling
from cganjax import scores as scores_of
from cganjax.commands import decoy as decoy_command
from cganjax.decoys import attacks, detectors
from cganjax.decoys.attacks import norms, objectives
from experiments import other_libraries, transfer, white_box

KEY = jax.random.key(3)
LABELS = np.arange(20) % 10


@pytest.fixture(scope="module")
def digits():
    return np.asarray(cganjax.sample(jax.random.key(5), LABELS))


@pytest.fixture(scope="module")
def lenet5():
    classifier = sampling.load_classifier("lenet5")
    return classifier, detectors.from_card("msp", classifier)


@pytest.mark.slow
def test_lenet5_rejects_what_it_still_classifies_correctly(lenet5, digits):
    classifier, detector = lenet5
    result = cganjax.decoy(KEY, digits, classifier, epsilon=0.2, detector=detector)
    assert not result.warnings
    assert result.clean_rejected.mean() < 0.2 and result.rejected.mean() > 0.9 and result.label_kept.mean() > 0.9
    assert_array_equal(result.rejected, np.asarray(detector.rejects(result.images)))
    assert_allclose(result.confidence, scores_of.confidences_of(classifier, result.images).max(axis=1), rtol=1e-5)
    assert np.abs(result.images - digits).max() <= 0.2 + 1e-6
    both = cganjax.decoy(KEY, digits[:4], classifier, epsilon=0.1, detector=[detector, detector])
    assert both.rejected.shape == both.clean_rejected.shape == (4, 2)


@pytest.mark.slow
def test_minimal_finds_the_smallest_epsilon(lenet5, digits):
    classifier, detector = lenet5
    result = cganjax.decoy(KEY, digits, classifier, epsilon=0.3, detector=detector, minimal=True, method="bim")
    found = np.isfinite(result.epsilon)
    assert found.mean() > 0.9 and np.all(result.rejected[found])
    assert np.all(np.abs(result.images - digits).max(axis=(1, 2, 3))[found] <= result.epsilon[found] + 1e-6)
    moved = found & (result.epsilon > 0.01)
    less = cganjax.decoy(
        KEY, digits[moved], classifier, epsilon=0.8 * result.epsilon[moved], detector=detector, method="bim"
    )
    assert less.rejected.mean() < 0.2
    assert result.queries.min() > 21 * 8
    none = cganjax.decoy(KEY, digits, classifier, epsilon=0.001, detector=detector, minimal=True)
    assert np.isnan(none.epsilon[~none.clean_rejected]).mean() > 0.8


def test_label_scores_own_discriminator_is_a_classifier_of_sigmoids(digits):
    classifier = sampling.load_classifier("label-score")
    result = cganjax.decoy(KEY, digits, classifier, epsilon=0.1)
    usable = result.clean_confidence > 0.5
    assert usable.sum() >= 10 and np.all(result.confidence[usable] < 0.5)
    features = classifier.features(digits)
    last = classifier.params["Dense_1"]
    assert_allclose(features @ last["kernel"] + last["bias"][None], classifier(digits), atol=1e-4)


@pytest.mark.slow
def test_an_ensemble_of_mixed_kinds_is_attacked_together(lenet5, digits):
    other = sampling.load_classifier("label-score")
    result = cganjax.decoy(KEY, digits[:6], [lenet5[0], other], epsilon=0.2, steps=10)
    assert result.confidence.shape == result.clean_confidence.shape == result.label_kept.shape == (6, 2)
    assert np.all(result.confidence.mean(axis=0) < result.clean_confidence.mean(axis=0) - 0.05)


def test_other_libraries_models_are_attacked_by_queries(digits):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=300).fit(digits.reshape(20, -1), LABELS)
    for method in ("square", "spsa", "coordinate"):
        settings = {"square": {"queries": 60}, "spsa": {"steps": 5, "samples": 10}, "coordinate": {"rounds": 1}}[method]
        result = cganjax.decoy(
            KEY,
            digits[:5],
            lambda x: model.predict_proba(np.asarray(x).reshape(len(x), -1)),
            epsilon=0.1,
            scores="probabilities",
            method=method,
            **settings,
        )
        assert result.confidence.mean() < result.clean_confidence.mean() - 0.01, method
    with pytest.raises(TypeError, match=r"cannot be traced by JAX.*take a method of queries, coordinate, spsa, square"):
        cganjax.decoy(KEY, digits, lambda x: model.predict_proba(np.asarray(x).reshape(len(x), -1)), epsilon=0.1)


def test_classifiers_without_a_hash_and_probabilities_of_one_are_attacked(lenet5, digits):
    class Record(dict):  # a dict has no hash
        def __call__(self, images):
            return jax.nn.softmax(3.0 * lenet5[0](images))

    result = cganjax.decoy(KEY, digits, Record(), epsilon=0.2, scores="probabilities", keep_label=False)
    assert not result.warnings and (np.abs(result.images - digits).max(axis=(1, 2, 3)) > 0.05).all()
    assert result.confidence.mean() < result.clean_confidence.mean() - 0.1


@pytest.mark.slow
def test_minimal_raises_no_warning_of_its_own(lenet5, digits):
    result = cganjax.decoy(KEY, digits[:6], lenet5[0], epsilon=0.3, detector=lenet5[1], minimal=True, steps=5)
    assert result.warnings == ()


# --- warnings and errors ---------------------------------------------------------------------------------------------


class Flat:
    """A classifier whose outputs jump: no gradient anywhere."""

    def __call__(self, images):
        return jnp.round(20 * jnp.asarray(images).mean(axis=(1, 2, 3)))[:, None] * jnp.array([[1.0, 0.0, -1.0]])


@pytest.mark.slow
def test_each_warning_is_raised_where_it_should_be_and_explained(lenet5, digits):
    classifier, detector = lenet5
    random = np.random.default_rng(0)

    def dice(images):
        return random.normal(size=(len(images), 10))

    def softmax(images):
        return jax.nn.softmax(classifier(images))

    strict = detector._replace(threshold=0.0)
    cases = {
        "zero_gradient": (Flat(), {}),
        "random_classifier": (dice, {"method": "square", "queries": 5}),
        "probabilities_as_logits": (softmax, {"steps": 2}),
        "rejected_before": (classifier, {"detector": strict, "steps": 2}),
        # A step up in disguise: the sign of the gradient is turned.
        "noise_beats_gradient": (jax.custom_vjp(classifier.__call__), {"method": "fgsm", "keep_label": False}),
    }
    cases["noise_beats_gradient"][0].defvjp(
        lambda x: (classifier(x), x), lambda x, g: (-jax.vjp(classifier.__call__, x)[1](g)[0],)
    )
    assert set(cases) == set(decoys.WARNINGS)
    for name, (victim, settings) in cases.items():
        with pytest.warns(decoys.DecoyWarning, match=name):
            result = cganjax.decoy(KEY, digits, victim, epsilon=0.1, **settings)
        assert name in result.warnings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cganjax.decoy(KEY, digits, classifier, epsilon=0.1, detector=detector).warnings == ()
    from pathlib import Path

    page = (Path(__file__).parents[1] / "docs/how-to/decoy-warnings.md").read_text()
    assert all(f"## {name}" in page for name in decoys.WARNINGS)


BAD = {
    "range": ({"images": np.full((2, 28, 28, 1), 255.0)}, ValueError, "look like 0..255: divide by 255"),
    "signed": ({"images": np.full((2, 28, 28, 1), -1.0)}, ValueError, r"look like \[-1, 1\]"),
    "shape": ({"images": np.zeros((2, 28, 28))}, ValueError, r"expected \[N, H, W, C\]"),
    "empty": ({"images": np.zeros((0, 28, 28, 1))}, ValueError, "at least one"),
    "negative": ({"epsilon": -0.1}, ValueError, "epsilon is -0.1: expected 0 to 1"),
    "absurd": ({"epsilon": 25.5}, ValueError, "epsilon is 25.5: expected 0 to 1"),
    "absurd l2": ({"epsilon": 99, "norm": "l2"}, ValueError, "expected 0 to 28"),
    "nan": ({"epsilon": np.nan}, ValueError, "epsilon is nan"),
    "epsilons": ({"epsilon": [0.1] * 3}, ValueError, r"shape \(3,\): expected one number, or 20, one per image"),
    "method": ({"method": "pdg"}, ValueError, "unknown method 'pdg': known are auto, bim, coordinate, di"),
    "objective": ({"objective": "low"}, ValueError, "unknown objective 'low': known are auto, confidence"),
    "norm": ({"norm": "l1"}, ValueError, "unknown norm 'l1': known are linf, l2"),
    "setting": ({"stpes": 3}, TypeError, "method pgd has no setting 'stpes': it has steps, share"),
    "detector": ({"detector": "msp"}, TypeError, r"detector is 'msp', which is not calibrated: make one by cganjax"),
    "labels": ({"labels": [1] * 20}, ValueError, "method pgd moves no latent and does not use labels=: leave it out"),
    "z": ({"z": 0, "method": "fgsm"}, ValueError, "method fgsm moves no latent and does not use z="),
    "square l2": ({"method": "square", "norm": "l2"}, ValueError, "works in norm linf"),
    "latent": ({"method": "latent", "epsilon": 0}, ValueError, "moves latents: give generator=, z= and labels="),
    "minimal": ({"minimal": True}, ValueError, "without a detector"),
    "output": ({"classifier": lambda x: jnp.sum(x, (1, 2, 3))}, ValueError, r"gives shape \(20,\) for 20 images"),
    "one class": ({"classifier": lambda x: jnp.sum(x, (1, 2))}, ValueError, r"gives shape \(20, 1\)"),
    "NaN": ({"classifier": lambda x: jnp.full((len(x), 3), jnp.nan)}, ValueError, "gives NaN or infinity for 20 of 20"),
    "no classifier": ({"classifier": []}, TypeError, "expected a callable of images, or a list"),
    "scores": ({"scores": "odds"}, ValueError, "expected one of logits, sigmoid, probabilities"),
    "chunk": ({"chunk": 0}, ValueError, "chunk is 0"),
    "steps": ({"steps": 0}, ValueError, "steps is 0: expected a whole number of at least 1"),
    "share": ({"share": -1}, ValueError, "share is -1: expected a number above 0"),
    "share of NaN": ({"share": np.nan}, ValueError, "share is nan"),
    "momentum": (
        {"method": "mi", "momentum": "much"},
        ValueError,
        "momentum is 'much': expected a number of",
    ),
    "one query": (
        {"method": "square", "queries": 1},
        ValueError,
        "queries is 1: expected a whole number",
    ),
    "steps of 40.0": ({"steps": 40.0}, ValueError, "steps is 40.0"),
    "coordinate": ({"method": "coordinate", "objective": "uniform"}, ValueError, "lowers the highest confidence"),
    "probabilities": ({"scores": "probabilities"}, ValueError, "was said to give probabilities: expected"),
    "reference": ({"method": "coordinate", "reference": "old"}, ValueError, "expected current or clean"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case, lenet5, digits):
    changed, error, message = BAD[case]
    given = {"images": digits, "classifier": lenet5[0], "epsilon": 0.1} | changed
    with pytest.raises(error, match=message):
        cganjax.decoy(KEY, given.pop("images"), given.pop("classifier"), **given)


def test_latents_must_be_those_of_the_images(digits):
    generator, classifier = cganjax.load("mnist"), sampling.load_classifier("lenet5")
    z = jax.random.normal(KEY, (20, generator.latent_size))
    given = {"generator": generator, "z": z, "labels": LABELS, "method": "latent"}
    with pytest.raises(ValueError, match="images are not generator"):
        cganjax.decoy(KEY, digits, classifier, epsilon=0, **given)
    with pytest.raises(ValueError, match="method latent adds no pixel noise"):
        cganjax.decoy(KEY, np.asarray(generator(z, LABELS)), classifier, epsilon=0.1, **given)
    with pytest.raises(ValueError, match="moves no latent and does not use generator=, z=, labels="):
        cganjax.decoy(KEY, digits, classifier, epsilon=0.1, **(given | {"method": "pgd"}))
    for wrong, error, message in (
        ({"labels": LABELS + 0.5}, TypeError, "labels are float.*: expected integers"),
        ({"labels": LABELS + 1}, ValueError, r"labels\[9\] is 10: expected an integer from 0 to 9"),
        ({"labels": LABELS[:3]}, ValueError, r"z has shape \(20, \d+\) and labels \(3,\), for 20 images"),
        ({"z": z[0]}, ValueError, "for 20 images: expected"),
    ):
        with pytest.raises(error, match=message):
            cganjax.decoy(KEY, digits, classifier, epsilon=0, **(given | wrong))


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_decoy_command_prints_each_digit_and_writes_a_sheet(command, tmp_path):
    code, out, err = command(decoy_command, "314", "--seed", 1)
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["3", "1", "4"]
    assert all("->" in line and ("rejected" in line or "accepted" in line) for line in lines[:3])
    assert (tmp_path / lines[-1]).stat().st_size > 5000
    again = command(decoy_command, "314", "--seed", 1)[1].splitlines()
    assert again[:3] == lines[:3] and again[-1] != lines[-1]  # the same decoys, and no file lost
    code, out, _ = command(
        decoy_command,
        "31",
        "--target",
        "lenet5",
        "--surrogates",
        "surrogate-mlp",
        "surrogate-cnn",
        "--epsilon",
        0.2,
        "--set",
        "steps=3",
        "--out",
        "mine.png",
    )
    assert code == 0 and "of surrogate-mlp, surrogate-cnn" in out and (tmp_path / "mine.png").exists()
    code, out, _ = command(decoy_command, "7", "--target", "lenet5", "--method", "latent", "--set", "steps=2")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["3", "--method", "pdg"], "unknown method 'pdg': known are auto"),
        (["3", "--epsilon", "-1"], "epsilon is -1.0: expected 0 to 1"),
        (["3x"], "'x' at position 1 is not a class"),
        (["3", "--target", "mnist"], "holds no classifier"),
        (["3", "--target", "nothing"], "no checkpoint 'nothing'"),
        (["3", "--detector", "knn"], "has thresholds for energy, max_logit, max_sigmoid"),
        (["3", "--detector", "mps"], "unknown detector 'mps'"),
        (["3", "--set", "steps"], "give it as key=value"),
        (["3", "--set", "stpes=3"], "has no setting 'stpes'"),
        (["3", "--surrogates", "label-score"], "is the target and among the surrogates"),
        (["3", "--out", "a.jpg"], "ends in .png"),
        (["3", "--accept", "0.9"], "--accept needs real images"),
        (["3", "--checkpoint", "lenet5"], "holds no generator"),
    ],
)
def test_the_decoy_command_refuses_in_one_sentence(arguments, message, command):
    code, out, err = command(decoy_command, *arguments)
    assert code == 2 and message in err and err.count("\n") == 1 and not out


def test_the_help_of_decoy_names_every_method_objective_and_norm_and_starts_no_backend():
    code = """
import contextlib, io
from cganjax.commands import decoy
said = io.StringIO()
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
    decoy.main(['--help'])
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
print(said.getvalue())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = " ".join(done.stdout.split())
    assert f"auto (pgd, or ensemble for surrogates), {', '.join(attacks.METHODS)}" in said
    assert ", ".join(objectives.OBJECTIVES) in said and " or ".join(norms.NORMS) in said


@pytest.mark.slow
def test_transfer_makes_its_table_and_goes_on_from_kept_decoys(command, data_dir, tmp_path, monkeypatch):
    in_onnx = other_libraries.Model(lambda images, labels: other_libraries.mlp_in_onnx(images[:1000], labels[:1000]))
    absent = other_libraries.Model(None, ("no_such_library",), "pip install it")
    monkeypatch.setattr(other_libraries, "MODELS", {"MLP in ONNX": in_onnx, "other": absent})
    flags = [
        "--n",
        20,
        "--epsilons",
        0.2,
        "--surrogates",
        "surrogate-mlp",
        "--targets",
        "lenet5",
        "--onlookers",
        "onlooker",
        "--outside",
        "--data-dir",
        data_dir,
        "--out",
        "t",
    ]
    code, out, err = command(transfer, *flags)
    assert code == 0, err
    assert {p.suffix for p in (tmp_path / "t").iterdir()} == {".csv", ".png", ""}
    table = (tmp_path / "t/table.csv").read_text().splitlines()
    assert table[0] == "attack,epsilon,judge,detector,rejected,read,counted"
    found = {line.split(",")[0] for line in table[1:]}
    assert {"random noise", "all surrogates", "surrogate-mlp", "white box: lenet5", "real digits"} <= found
    assert "other is left out: no_such_library not installed (pip install it)" in out
    rejected = {
        (row["attack"], row["epsilon"]): float(row["rejected"])
        for row in csv.DictReader(table)
        if (row["judge"], row["detector"]) == ("MLP in ONNX", "msp")
    }
    assert rejected["all surrogates", "0.200"] > rejected["random noise", "0.200"]
    detector_rows = {line.split(",")[3] for line in table if line.startswith("all surrogates,0.2")}
    assert detector_rows == {"msp", "energy", "knn", "mahalanobis", "max_logit", "odin", "reads"}
    kept = sorted((tmp_path / "t/decoys").iterdir())
    stamps = [p.stat().st_mtime_ns for p in kept]
    assert command(transfer, *flags)[0] == 2  # the table is not lost unasked
    code, again, err = command(transfer, *flags, "--overwrite")
    assert code == 0, err
    assert [p.stat().st_mtime_ns for p in kept] == stamps
    assert (tmp_path / "t/table.csv").read_text().splitlines() == table
    quick = [f for f in flags if f not in ("--outside", "t")] + ["q", "--quick"]
    code, _, err = command(transfer, *quick)
    assert code == 0, err
    rows = list(csv.DictReader((tmp_path / "q/table.csv").read_text().splitlines()))
    assert {row["detector"] for row in rows} == {"msp", "reads"}
    assert {row["attack"] for row in rows if row["epsilon"] == "0.200"} == {"random noise", "all surrogates"}
    code, _, err = command(transfer, "--surrogates", "lenet5", "--targets", "lenet5", "--data-dir", data_dir)
    assert code == 2 and "lenet5: given as surrogates and as targets" in err


@pytest.mark.slow
def test_white_box_goes_on_with_its_table(command, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(white_box, "ROWS", {"lenet5": [("fgsm", 0.1, {}), ("latent", 0.0, {"steps": 2})]})
    code, out, err = command(white_box, "--n", 10, "--out", "w.csv", "--data-dir", data_dir, "--targets", "lenet5")
    assert code == 0, err
    before = (tmp_path / "w.csv").read_text()
    assert before.count("\n") == 3 and before.splitlines()[1].startswith("lenet5,fgsm,0.1,0,10,")
    assert command(white_box, "--n", 10, "--out", "w.csv", "--data-dir", data_dir, "--targets", "lenet5")[0] == 0
    assert (tmp_path / "w.csv").read_text() == before
