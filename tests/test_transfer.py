"""Decoys on images of any spec: colour, another size, other classes; and what the studies take their data from."""

import csv
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cganjax
from cganjax import cli, data, decoys, pixels, sampling, scores
from cganjax.commands import decoy as decoy_command
from cganjax.decoys import attacks, by_queries, detectors, pool, transfer, white_box
from cganjax.spec import DARK_ON_LIGHT, ImageSpec
from cganjax.types import UserError
from experiments import detectors as detectors_command
from experiments import other_libraries, read_back, ship, study

KEY = jax.random.key(3)
SPEC = ImageSpec(8, 8, 3, ("cat", "dog", "frog", "ship"))


class Tiny:
    """Linear logits of images of a spec; the features are block means. Its card says that it was trained on "tiny"."""

    scores = "logits"

    def __init__(self, seed=0, spec=SPEC, scale=0.5):
        self.spec, self.image_shape, self.num_classes = spec, spec.shape, spec.num_classes
        quarters = (2, 2, spec.channels, spec.num_classes)
        w = np.random.default_rng(0).normal(size=quarters)
        w += 0.5 * np.random.default_rng(100 + seed).normal(size=quarters)
        # Smooth, so that an image that is turned or shifted a little has a similar gradient.
        w = w.repeat(spec.height // 2, axis=0).repeat(spec.width // 2, axis=1).reshape(-1, spec.num_classes)
        self.weights = self.params = {"w": jnp.asarray(scale * w, jnp.float32)}
        self.card = {"name": f"tiny-{seed}", "data": {"name": "tiny", "num_classes": 4, "spec": spec.to_json()}}

    def __call__(self, images):
        return (jnp.asarray(images).reshape(len(images), -1) - 0.5) @ self.params["w"]

    def features(self, images):
        return jnp.asarray(images).mean(axis=(1, 2))


def some_images(n=12, spec=SPEC, seed=1):
    return np.random.default_rng(seed).uniform(0.2, 0.8, (n, *spec.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def pictures():
    """Images and the classes that the first tiny classifier predicts for them."""
    images = some_images(24)
    return images, np.asarray(Tiny()(images)).argmax(axis=1)


FEW_STEPS = {
    "coordinate": {"rounds": 1, "step": 0.005, "stop": 0.3},
    "ensemble": {"steps": 10},
    "fgsm": {},
    "spsa": {"steps": 2, "samples": 4},
    "square": {"queries": 20},
}


@pytest.mark.parametrize("method", [m for m in attacks.METHODS if not attacks.METHODS[m].latent])
def test_every_method_takes_colour_and_any_size(method):
    images, tiny = some_images(200), Tiny()
    odds = np.asarray(scores.log_odds(tiny(images), "logits"))
    images = images[(odds > 1) & (odds < 3)][:6]  # so sure that a small step does not carry them past the boundary
    result = cganjax.decoy(KEY, images, tiny, epsilon=0.005, method=method, **FEW_STEPS.get(method, {"steps": 2}))
    assert result.images.shape == images.shape
    assert np.abs(result.images - images).max() <= 0.005 + 1e-6
    assert result.confidence.mean() < result.clean_confidence.mean()


def test_every_fitting_detector_takes_colour_and_any_size():
    real, tiny = some_images(80, seed=5), Tiny()
    for name in detectors.fitting(tiny):
        detector = cganjax.calibrate(name, tiny, real)
        assert np.asarray(detector.rejects(some_images(5))).shape == (5,)
        assert detectors.images_needed(name, tiny, SPEC.shape) <= 20


# --- evaluated_on -----------------------------------------------------------------------------------------------------


def test_surrogates_are_attacked_and_the_target_is_measured_in_one_call():
    images, surrogates, target = some_images(), [Tiny(1), Tiny(2)], Tiny(3)
    detector = cganjax.calibrate("msp", target, some_images(100, seed=5))
    given = {"epsilon": 0.01, "steps": 5}
    alone = cganjax.decoy(KEY, images, surrogates, **given)
    result = cganjax.decoy(KEY, images, surrogates, **given, detector=detector, evaluated_on=target)
    assert_array_equal(result.images, alone.images)  # the target was not looked at
    assert_array_equal(result.queries, alone.queries)
    before, after = (np.asarray(jax.nn.softmax(target(x))) for x in (images, result.images))
    assert_allclose(result.clean_confidence, before.max(axis=1), rtol=1e-5)
    assert_allclose(result.confidence, after.max(axis=1), rtol=1e-5)
    assert_array_equal(result.label_kept, before.argmax(axis=1) == after.argmax(axis=1))
    assert_array_equal(result.rejected, np.asarray(detector.rejects(result.images)))
    assert_array_equal(result.clean_rejected, np.asarray(detector.rejects(images)))
    several = cganjax.decoy(
        KEY, images, surrogates[0], **given, detector=[detector] * 2, evaluated_on=[target, Tiny(4)]
    )
    assert several.confidence.shape == several.label_kept.shape == several.rejected.shape == (12, 2)
    part = cganjax.decoy(KEY, images[:3], surrogates, **given, evaluated_on=target)
    assert_allclose(part.images, result.images[:3], atol=1e-6)
    assert part.rejected is None


def test_a_target_of_another_library_is_measured_with_attacks_by_gradients():
    def numpy_target(images):
        return np.asarray(jax.nn.softmax(Tiny(3)(np.asarray(images))))

    given = {"epsilon": 0.01, "steps": 3, "evaluated_on": numpy_target}
    result = cganjax.decoy(KEY, some_images(), Tiny(1), evaluated_scores="probabilities", **given)
    assert result.confidence.max() <= 1
    with pytest.warns(decoys.DecoyWarning, match="probabilities_as_logits"):
        cganjax.decoy(KEY, some_images(), Tiny(1), **given)


@pytest.mark.parametrize("arguments", ["classifier", "evaluated_on", "a list"])
def test_a_generator_is_no_classifier(arguments, shipped_generator):
    generator, given = shipped_generator("mnist"), {"epsilon": 0.1, "steps": 1}
    classifier, name = Tiny(), "evaluated_on"
    if arguments == "evaluated_on":
        given["evaluated_on"] = generator
    else:
        classifier, name = (
            (generator, "classifier") if arguments == "classifier" else ([Tiny(), generator], r"classifier\[1\]")
        )
    with pytest.raises(
        TypeError, match=rf"^{name} is a Generator: expected a callable of images, such as cganjax.load_classifier"
    ):
        cganjax.decoy(KEY, some_images(), classifier, **given)


def test_bad_targets_are_refused_in_one_sentence():
    given = {"epsilon": 0.1, "steps": 1}
    with pytest.raises(TypeError, match="evaluated_on is 'lenet5': expected a callable of images, such as"):
        cganjax.decoy(KEY, some_images(), Tiny(), evaluated_on="lenet5", **given)
    with pytest.raises(ValueError, match="evaluated_scores is of use with evaluated_on= alone"):
        cganjax.decoy(KEY, some_images(), Tiny(), evaluated_scores="logits", **given)


# --- ink_only ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("polarity", ["none", "light_on_dark", "dark_on_light"])
def test_ink_only_changes_the_pixels_that_have_ink_by_the_polarity_of_the_spec(polarity):
    spec = ImageSpec.numbered(6, 6, 1, 4)
    tiny = Tiny(spec=spec if polarity == "none" else spec._replace(polarity=polarity))
    if polarity == "none":
        del tiny.spec
    images = np.random.default_rng(0).choice([0.0, 0.05, 0.5, 0.95, 1.0], (8, *spec.shape)).astype(np.float32)
    changed = cganjax.decoy(KEY, images, tiny, epsilon=0.05, ink_only=True, steps=3).images != images
    ink = images < 0.9 if polarity == DARK_ON_LIGHT else images > 0.1
    assert not changed[~ink].any() and changed[ink].any()


def test_ink_only_refuses_colour_and_two_polarities():
    with pytest.raises(ValueError, match="ink_only was asked for on images of 3 channels: only grey drawings have ink"):
        cganjax.decoy(KEY, some_images(), Tiny(), epsilon=0.1, ink_only=True)
    light = ImageSpec.numbered(6, 6, 1, 4)
    both = [Tiny(spec=light), Tiny(spec=light._replace(polarity=DARK_ON_LIGHT))]
    with pytest.raises(ValueError, match="classifiers of light and of dark drawings"):
        cganjax.decoy(KEY, some_images(spec=light), both, epsilon=0.1, ink_only=True)


# --- the library below the studies ------------------------------------------------------------------------------------


def test_usable_images_are_classified_correctly_and_accepted(pictures):
    images, labels = pictures
    wrong = (labels + (np.arange(24) < 5)) % 4
    strict = types.SimpleNamespace(rejects=lambda x: np.arange(len(x)) % 2 == 1)
    assert_array_equal(pool.usable(Tiny(), images, wrong), np.arange(24) >= 5)
    assert_array_equal(pool.usable(Tiny(), images, wrong, strict), (np.arange(24) >= 5) & (np.arange(24) % 2 == 0))
    confidence = np.asarray(jax.nn.softmax(Tiny()(images))).max(axis=1)
    assert_array_equal(pool.usable(Tiny(), images, wrong, strict, above=0.8), confidence > 0.8)


def test_noise_is_within_epsilon_and_its_own_for_each_image():
    images = some_images()
    found = pool.noise(KEY, images, 0.1)
    assert 0.09 < np.abs(found - images).max() <= 0.1 + 1e-6
    assert_array_equal(pool.noise(KEY, images[:2], 0.1), found[:2])


@pytest.mark.slow
def test_a_transfer_table_in_colour_goes_on_from_its_store(pictures, tmp_path, monkeypatch):
    images, labels = pictures
    surrogates, real = {"a": Tiny(1), "b": Tiny(2)}, some_images(100, seed=5)
    real_labels = np.asarray(Tiny()(real)).argmax(axis=1)
    targets = [transfer.target("t", Tiny(3), real, real_labels, images, labels)]
    held_out = [transfer.target("h", Tiny(4), real, real_labels, images, labels, confidence_only=True)]
    assert targets[0].confidence == "msp" and list(held_out[0].detectors) == ["msp"]
    plan = transfer.plan(surrogates, {"t": targets[0].classifier})
    assert [a.name for a in plan] == ["random noise", "all surrogates", "a", "b", "white box: t"]
    store = transfer.Store(tmp_path, KEY, images, 0)
    rows = transfer.rows_of_clean(targets, held_out)
    for attack in plan:
        rows += transfer.rows_of_attack(attack, 0.01, store.decoys(attack, 0.01), labels, targets, held_out)
    found = {(r.attack, r.target, r.detector): r for r in rows}
    assert ("white box: t", "h", transfer.CLASSES) not in found and ("a", "h", transfer.CLASSES) in found
    made = store.decoys(plan[1], 0.01)
    after = np.asarray(jax.nn.softmax(Tiny(3)(made)))
    counted = targets[0].correct & targets[0].accepted["msp"]
    row = found["all surrogates", "t", "msp"]
    assert row.counted == counted.sum()
    assert_allclose(row.classified, 100 * (after.argmax(axis=1) == labels)[counted].mean())
    monkeypatch.setattr(decoys.craft, "decoy", None)  # from here on, nothing is attacked again
    assert_array_equal(transfer.Store(tmp_path, KEY, images, 0).decoys(plan[1], 0.01), made)
    with pytest.raises(TypeError):  # other images are other decoys
        transfer.Store(tmp_path, KEY, images[:5], 0).decoys(plan[1], 0.01)


def test_rows_of_the_other_studies_in_colour(pictures):
    images, labels = pictures
    detector = cganjax.calibrate("msp", Tiny(), some_images(100, seed=5))
    of = white_box.Images(None, np.zeros((24, 2)), labels, images)
    counted = white_box.usable(Tiny(), of, detector)
    setting = white_box.Setting("pgd", 0.01, {"steps": 2})
    row = white_box.row(KEY, "tiny", Tiny(), detector, Tiny(4), of, counted, setting, 0)
    assert (row.images, row.counted, row.method) == (24, int(counted.sum()), "pgd")
    rows = [
        *by_queries.rows(
            KEY,
            "tiny",
            Tiny(),
            detector,
            Tiny(4),
            images,
            labels,
            accuracy=1.0,
            epsilon=0.1,
            queries=by_queries.LEAST_QUERIES,
            seed=0,
        )
    ]
    assert [r.method for r in rows] == ["noise", "square", "spsa"] and rows[0].queries == 0
    assert float(rows[1].confidence) < float(rows[0].confidence)


def test_models_of_other_libraries_take_colour(pictures):
    images, labels = pictures
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    assert other_libraries.pytorch(images, labels, epochs=1)(images).shape == (24, 4)


# --- the data of the card ---------------------------------------------------------------------------------------------


def tiny_set(name="tiny", split="test", spec=SPEC, n=200):
    images = np.round(255 * some_images(n, spec, seed=7)).astype(np.uint8)
    labels = np.arange(n, dtype=np.int32) % spec.num_classes
    return data.Dataset(name, split, images, labels, spec, "", "memory")


def test_the_data_set_of_a_card_is_loaded_or_refused(monkeypatch):
    card = {"name": "mine", "data": {"name": "digits", "num_classes": 10}}
    assert data.of_card(card, "test").name == "digits"
    with pytest.raises(UserError):
        data.of_card({"name": "mine", "data": {"name": "fashion_mnist", "num_classes": 10}}, "test", "nowhere")


def test_studies_take_their_real_images_from_the_card(monkeypatch):
    monkeypatch.setattr(data, "of_card", lambda card, split, data_dir: tiny_set(card["data"]["name"], split))
    real = study.real_images({"a": Tiny(1), "b": Tiny(2)}, None)
    assert (real.name, real.spec, real.calibration, real.noun) == ("tiny", SPEC, 100, "images")
    with pytest.raises(UserError, match="b takes images of 6x6x1, 4 classes .* and a of 8x8x3, 4 classes"):
        study.real_images({"a": Tiny(), "b": Tiny(spec=ImageSpec.numbered(6, 6, 1, 4))}, None)


def test_kmnist_is_a_row_for_images_of_its_shape_alone(capsys):
    real = study.Real("tiny", SPEC, some_images(4), np.zeros(4), 2)
    assert study.kmnist(real, None, lacking="row") is None
    assert "note: no row of KMNIST (its images are 28x28x1, 10 classes" in capsys.readouterr().err


def test_thresholds_and_real_rows_come_from_the_data_of_the_run(monkeypatch):
    """Neither `ship` nor `read_back` takes another data set than the one in the card."""
    asked = []

    def of_card(card, split, data_dir):
        asked.append((card["data"]["name"], split, data_dir))
        return tiny_set()

    monkeypatch.setattr(data, "of_card", of_card)
    monkeypatch.setattr(sampling, "load_classifier", lambda name: Tiny())
    found = ship._thresholds("run", "there")
    assert asked == [("tiny", "test", "there")] and set(found) == {"energy", "max_logit", "msp", "odin"}
    assert all(0.7 < row["accepted"] <= 1 for row in found.values())
    generator = types.SimpleNamespace(
        num_classes=4, spec=SPEC, image_shape=SPEC.shape, card=Tiny().card | {"roles": [], "steps": 1}
    )
    monkeypatch.setattr(sampling, "load", lambda name: generator)
    monkeypatch.setattr(sampling, "sample_from", lambda g, key, labels: some_images(len(labels)))
    monkeypatch.setattr(read_back, "N", 40)
    assert read_back.main(["tiny", "--by", "lenet5", "--data-dir", "there"]) == cli.DONE
    assert asked[1] == ("tiny", "test", Path("there"))
    generator.spec = SPEC._replace(height=28, width=28)
    with pytest.raises(UserError, match="lenet5 takes images of 8x8x3, 4 classes .*, and tiny generates"):
        read_back.main(["tiny", "--by", "lenet5"])
    with pytest.raises(UserError, match="no shipped classifier takes images of 28x28x3, 4 classes .*: give --by"):
        read_back.main(["tiny"])


def of_files(tmp_path, n=400):
    """A tiny classifier whose card names a file of images and has no thresholds."""
    images = np.round(255 * some_images(n, seed=7)).astype(np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=np.arange(n) % 4)
    train, tiny = data.dataset(tmp_path / "own.npz", split="train"), Tiny()
    about = {name: getattr(train, name) for name in ("name", "split", "num_classes", "fingerprint", "place")}
    spec = tiny.spec = train.spec
    tiny.card = {"name": "mine", "data": about | {"spec": spec.to_json()}}
    return tiny


def test_a_target_without_thresholds_is_calibrated_on_the_data_of_its_card(tmp_path, capsys):
    given = {"detector": "msp", "accept": None, "data_dir": None, "target": "mine"}
    tiny, args = of_files(tmp_path), types.SimpleNamespace(**given, real=False)
    test = data.of_card(tiny.card, "test")
    found = decoy_command._detector(args, tiny)
    assert found.threshold == cganjax.calibrate("msp", tiny, pixels.rest_to_unit(test.images)).threshold
    (line,) = capsys.readouterr().out.splitlines()
    half = pixels.rest_to_unit(test.images[: len(test.images) // 2])  # of --real, which attacks images of the others
    found = decoy_command._detector(types.SimpleNamespace(**given, real=True), tiny)
    assert found.threshold == cganjax.calibrate("msp", tiny, half).threshold
    capsys.readouterr()
    assert line.startswith("the card of mine has no thresholds: msp is calibrated on own, from ")
    tiny.card["thresholds"] = {"msp": {"threshold": -0.5}}
    assert decoy_command._detector(args, tiny).threshold == -0.5
    assert not capsys.readouterr().out
    del tiny.card["thresholds"]
    (tmp_path / "own.npz").unlink()
    with pytest.raises(UserError, match=r"the card of mine has no thresholds, and detector msp was .* \(--data-dir\)"):
        decoy_command._detector(args, tiny)


def test_a_shipped_card_names_no_folder_of_the_machine_and_leads_to_its_data(tmp_path):
    card = of_files(tmp_path).card
    test = data.of_card(card, "test")
    shipped = ship._without_place(card)
    assert str(tmp_path) not in str(shipped) and str(tmp_path) in str(card)
    assert data.of_card(shipped, "test", tmp_path).fingerprint == test.fingerprint
    given = {"name": "mine", "data": card["data"] | {"place": data.record.GIVEN}}
    assert ship._without_place(given) == given


def test_quick_detectors_calibrate_on_enough_images_for_many_features(monkeypatch, command):
    """`label-score` has 1,024 features, and --quick calibrates on 1,000 images unless a detector needs more."""

    class Wide(Tiny):
        def features(self, images):
            return jnp.tile(jnp.asarray(images).reshape(len(images), -1), (1, 3))[:, :512]

    monkeypatch.setattr(data, "of_card", lambda card, split, data_dir: tiny_set(n=2600))
    monkeypatch.setattr(sampling, "load_classifier", lambda name: Wide())
    monkeypatch.setattr(sampling, "load", lambda name: types.SimpleNamespace(num_classes=4, spec=SPEC))
    monkeypatch.setattr(sampling, "sample", lambda key, labels, checkpoint: some_images(len(labels)))
    code, out, err = command(detectors_command, "wide", "--quick", "--checkpoint", "any", "--out", "d.csv")
    assert code == 0, err
    with open("d.csv", newline="") as file:
        rows = {(r["detector"], r["against"]): r for r in csv.DictReader(file)}
    assert rows["msp", "uniform noise"]["calibrated"] == "1000"
    assert rows["mahalanobis", "uniform noise"]["calibrated"] == "1300"  # all there are, of 2 * (2 * 512 + 1)
    assert ("msp", "generated images") in rows and "no column of KMNIST" in err
    monkeypatch.setattr(data, "of_card", lambda card, split, data_dir: tiny_set(n=1200))
    code, out, err = command(detectors_command, "wide", "--quick", "--checkpoint", "any", "--out", "few.csv")
    assert code == 0 and "note: no row of mahalanobis for wide: it needs more than 600 images" in err
    assert "mahalanobis" not in out
