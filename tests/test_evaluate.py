"""`cganjax.evaluate`, the shipped reference, and the commands: on a shelf of our own, made of embedded digits."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import data, digests, evaluation, models, pixels, sampling
from cganjax.commands import evaluate as evaluate_command
from cganjax.commands import reference as reference_command
from cganjax.evaluation import reference as references
from cganjax.evaluation import rows as rows_of
from cganjax.evaluation.metrics import frechet, kernel
from cganjax.spec import ImageSpec

N = 1000
FAST = ("accuracy", "diversity", "frechet", "frechet_by_class", "frechet_train", "kid_by_class", "prdc")


@pytest.fixture(scope="module")
def splits():
    """The embedded digits; the larger split is what is compared with."""
    train, test = (data.load("digits", split) for split in ("train", "test"))
    return {"test": train, "train": test}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, splits):
    """An extractor with a reference of embedded digits."""
    folder = tmp_path_factory.mktemp("shelf") / "surrogate-cnn"
    shutil.copytree(ckpt.find("surrogate-cnn"), folder)
    extractor, classifier = sampling.load_classifier(folder), sampling.load_classifier("lenet5")
    test, train = (references.real_images(splits[s], (28, 28, 1), s) for s in ("test", "train"))
    exact = references.with_train(extractor, references.of_real(extractor, test), train)
    exact = exact._replace(classifier=references.digest_of(classifier))
    names = ("accuracy", "frechet", "frechet_train", "memorisation", "prdc")
    rows = rows_of.measure_rows(exact, exact, train, test[:2], extractor, classifier, 1500, 0, names=names)
    references.write(folder, exact._replace(rows=rows), extractor)
    return {"folder": folder, "extractor": extractor, "exact": exact}


@pytest.fixture(scope="module")
def drawn():
    labels = np.arange(N) % 10
    return np.asarray(cganjax.sample(jax.random.key(0), labels)), labels


@pytest.fixture(scope="module")
def measure(shelf):
    def run(images, labels=None, **settings):
        settings = {"metrics": FAST, "extractor": shelf["folder"], "classifier": "lenet5"} | settings
        return cganjax.evaluate(images, labels, **settings)

    return run


@pytest.fixture(scope="module")
def figures(measure, drawn):
    return measure(*drawn)


def without_time(found):
    return {k: v for k, v in found.items() if k != "seconds"}


# --- what it says -----------------------------------------------------------------------------------------------------


def test_figures_are_plain_numbers_with_all_that_pins_them(figures, shelf):
    json.dumps(figures, allow_nan=False)
    for name in ("accuracy", "frechet", "frechet_train", "precision", "recall", "density", "coverage"):
        low, high = figures["intervals"][name]
        assert low < figures[name] < high, name
    for name in ("accuracy_by_class", "frechet_by_class", "kid_by_class", "pixel_std_by_class", "confusion"):
        assert len(figures[name]) == 10
    assert (figures["samples"], figures["seed"], figures["metrics"]) == (N, 0, list(FAST))
    assert figures["extractor"]["sha256"] == ckpt.read_card(shelf["folder"])["weights"]["sha256"]
    assert figures["classifier"]["name"] == "lenet5" and figures["judge"] == figures["classifier"]
    assert figures["reference"] == {"name": "digits", "split": "train", "images": 1500} | {
        "fingerprint": figures["reference"]["fingerprint"]
    }
    assert set(figures["rows"]) == set(rows_of.ROWS)
    assert set(figures["seconds"]) == {"features", "classifier", *FAST}
    assert figures["left_out"] == {}


def test_figures_are_those_of_the_metrics(figures, shelf, drawn):
    assert_allclose(np.mean(shelf["exact"].features ** 2), 1.0)
    features = shelf["exact"].scale * references.features_of(shelf["extractor"], drawn[0])
    want = frechet.frechet(features, shelf["exact"].features)
    # The shipped features are float16: what that moves is far below what 1,000 images can tell.
    assert_allclose(figures["frechet"], want, rtol=1e-4)
    low, high = figures["intervals"]["frechet"]
    assert abs(figures["frechet"] - want) < 1e-3 * (high - low)


def test_float16_moves_kid_little(shelf):
    exact = shelf["exact"].features
    shipped = references.read(shelf["folder"], shelf["extractor"]).features
    other = exact[::2] * 1.05
    assert_allclose(kernel.mmd2(shipped, other), kernel.mmd2(exact, other), rtol=2e-3)


def test_neither_order_nor_kind_of_the_arrays_matters(measure, drawn, figures):
    order = np.random.default_rng(0).permutation(N)
    assert without_time(measure(drawn[0][order], drawn[1][order])) == without_time(figures)
    assert without_time(measure(jax.numpy.asarray(drawn[0]), list(drawn[1]))) == without_time(figures)


def test_a_seed_moves_intervals_alone(measure, drawn):
    one, other = (measure(*drawn, metrics=["frechet", "accuracy"], seed=seed) for seed in (0, 1))
    assert one["frechet"] == other["frechet"] and one["intervals"]["accuracy"] == other["intervals"]["accuracy"]
    assert one["intervals"]["frechet"] != other["intervals"]["frechet"]


def test_known_failures_are_seen(measure, drawn):
    images, labels = drawn
    # Against other samples of the same generator, which are as good as samples can be.
    others = (np.asarray(cganjax.sample(jax.random.key(1), labels)), labels)
    settings = {"real": others, "metrics": [name for name in FAST if name != "frechet_train"]}
    figures = measure(images, labels, **settings)
    one_each = measure(images[:10][labels], labels, **settings)
    shuffled = measure(images, np.random.default_rng(0).permutation(labels), **settings)
    noise = np.random.default_rng(0).normal(0, 0.3, images.shape)
    noisy = measure(np.clip(images + noise, 0, 1), labels, **settings)
    assert one_each["recall"] < 0.01 < figures["recall"] and one_each["coverage"] < figures["coverage"]
    assert one_each["pixel_std"] == one_each["feature_distance"] == 0 < 0.1 < figures["pixel_std"]
    assert one_each["frechet"] > figures["frechet"] and one_each["accuracy"] == 1.0
    assert shuffled["accuracy"] < 0.2 < 0.9 < figures["accuracy"]
    assert abs(shuffled["frechet"] / figures["frechet"] - 1) < 1e-9
    assert min(np.array(shuffled["frechet_by_class"]) / figures["frechet_by_class"]) > 1
    assert noisy["frechet"] > figures["frechet"] and noisy["precision"] < figures["precision"]


def test_defaults_take_what_the_data_allow(measure, drawn):
    found = measure(*drawn, metrics=None)
    assert set(found["metrics"]) == {*FAST, "kid"}
    assert found["left_out"] == {"memorisation": "needs train=, the generator's training images and their labels"}
    assert found["kid_std"] > 0 and found["intervals"]["kid"][0] < found["kid"]
    found = measure(drawn[0], metrics=None)
    assert (
        set(found["metrics"]) == {"frechet", "frechet_train", "kid", "prdc"}
        and found["classifier"] is found["judge"] is None
    )
    assert set(found["left_out"]) == {"accuracy", "diversity", "frechet_by_class", "kid_by_class", "memorisation"}


def test_given_data_take_the_place_of_the_shipped(measure, drawn, splits):
    test, train = splits["test"], splits["train"]
    pair = (pixels.rest_to_unit(test.images), test.labels)
    names = ["frechet", "frechet_train", "memorisation", "prdc"]
    shipped = measure(*drawn, metrics=names, train=train)  # the distances of the test images are shipped
    given = measure(*drawn, metrics=names, real=pair, train=train)
    assert shipped["train"]["images"] == 297 and given["reference"]["name"] == "given" and given["rows"] == {}
    for name in ("frechet", "frechet_train", "precision", "nearest_real_pixels", "nearest_real_features"):
        assert_allclose(given[name], shipped[name], rtol=1e-3)
    assert given["memorised_pixels"] == shipped["memorised_pixels"] < 0.5
    copied = pixels.rest_to_unit(np.repeat(train.images, 4, axis=0)), np.repeat(train.labels, 4)
    copies = measure(*copied, metrics=["memorisation"], train=train)
    assert copies["memorised_pixels"] == copies["memorised_features"] == 1 and copies["nearest_pixels"] == 0
    with pytest.raises(ValueError, match="memorisation needs real= beside train="):
        measure(*drawn, metrics=["memorisation"], train=(drawn[0][:300], drawn[1][:300]))


@pytest.mark.slow
def test_the_trained_metrics_are_available_by_evaluate(measure, drawn, splits, monkeypatch):
    import dataclasses

    from cganjax.evaluation.metrics import cas, training, two_sample

    tiny = dataclasses.replace(training.RECIPE, steps=2, classifier={"width_14": 2, "width_7": 2, "hidden": 4})
    for module, name in ((cas, "cas"), (two_sample, "two_sample")):
        whole = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, whole=whole, **k: whole(*a, **k, recipe=tiny))
    with jax.numpy_dtype_promotion("standard"):
        found = measure(*drawn, metrics=["cas", "two_sample"], real=splits["test"])
    assert 0 <= found["cas"] <= 1 and len(found["cas_by_class"]) == 10 and 0 <= found["two_sample"] <= 1
    with pytest.raises(ValueError, match="cas needs real="):
        measure(*drawn, metrics=["cas"])


# --- bad input --------------------------------------------------------------------------------------------------------


def test_bad_input_is_one_clear_sentence(measure, drawn):
    images, labels = drawn
    nan = images.copy()
    nan[3, 4, 5] = np.nan
    wrong = {
        r"images have shape \(1000, 28, 28\): expected \[N, 28, 28, 1\]": (images[..., 0], labels),
        r"images have shape \(0, 28, 28, 1\)": (images[:0], labels[:0]),
        r"they look like \[-1, 1\]: take x / 2 \+ 0.5": (images * 2 - 1, labels),
        r"they look like 0..255: divide by 255": ((images * 255).astype(np.uint8), labels),
        "they hold NaN": (nan, labels),
        "1,000 images and 999 labels were given": (images, labels[:-1]),
        r"labels\[0\] is 10: expected an integer from 0 to 9": (images, labels + 10),
        "all 1,000 images are the same one": (np.repeat(images[:1], N, axis=0), labels),
        "every image is constant": (np.ones_like(images) * np.linspace(0, 1, N)[:, None, None, None], labels),
        "expected floats": (images.astype("U4"), labels),
    }
    for message, (x, y) in wrong.items():
        with pytest.raises(ValueError, match=message):
            measure(x, y)
    with pytest.raises(TypeError, match="expected integers"):
        measure(images, labels + 0.5)
    for bad in (-1, 0.5, 2**32, True):
        with pytest.raises(ValueError, match="expected a whole number"):
            measure(images, labels, seed=bad)
    with pytest.raises(FileNotFoundError, match="no checkpoint 'digits-v0': give .*lenet5"):
        measure(images, labels, extractor="digits-v0")


def test_too_few_images_name_the_metric_and_what_it_needs(measure, drawn):
    images, labels = drawn
    said = (
        "64 images are too few",
        "frechet needs at least 65 images;",
        "at least 65 images per class, and class 4 has 6",
    )
    with pytest.raises(ValueError, match=".*".join(said)):
        measure(images[:64], labels[:64])
    with pytest.raises(ValueError, match="kid needs at least 1,000 images. Give more, or choose others by metrics="):
        measure(images[:999], labels[:999], metrics=["kid", "accuracy"])
    assert measure(images[:1], labels[:1], metrics=["accuracy"])["samples"] == 1
    with pytest.raises(ValueError, match="frechet_by_class needs at least 65 images per class, and class 9 has 0"):
        measure(images, labels % 9, metrics=["frechet_by_class"])


def test_unknown_metrics_and_data_of_another_kind(measure, drawn):
    with pytest.raises(ValueError, match="unknown metric 'fid': known are accuracy, cas, .*two_sample"):
        measure(*drawn, metrics=["fid"])
    with pytest.raises(ValueError, match="no metric was given"):
        measure(*drawn, metrics=[])
    with pytest.raises(TypeError, match="train is ndarray: expected a pair"):
        measure(*drawn, train=drawn[0])
    with pytest.raises(ValueError, match="real: images lie in .*divide by 255"):
        measure(*drawn, real=(drawn[0] * 255, drawn[1]))
    with pytest.raises(ValueError, match=r"train: labels\[1\] is 10: expected an integer"):
        measure(*drawn, train=(drawn[0], drawn[1] + 9))
    with pytest.raises(ValueError, match="real has 1000 images and labels of shape"):
        measure(*drawn, real=(drawn[0], drawn[1][:5]))
    with pytest.raises(ValueError, match="accuracy needs labels"):
        measure(drawn[0], metrics=["accuracy"])
    with pytest.raises(ValueError, match="lenet5 has no stored reference: give real="):
        measure(*drawn, extractor="lenet5")


# --- the shipped reference --------------------------------------------------------------------------------------------


def test_a_reference_comes_back_as_it_was_written(shelf):
    back, exact = references.read(shelf["folder"], shelf["extractor"]), shelf["exact"]
    assert_allclose(back.features, exact.features, rtol=1e-3, atol=1e-7)
    assert frechet.frechet(back.features, exact.features) < 1e-5
    assert_allclose(back.train.statistics.covariance, exact.train.statistics.covariance)
    assert_allclose(back.train.nearest_pixels, exact.train.nearest_pixels, rtol=1e-6)
    assert (back.labels == exact.labels).all() and back.images is None
    floor = back.rows["real images"]
    assert floor["memorised_pixels"] == pytest.approx(0.01, abs=0.001) and floor["frechet_train"] > 0
    assert back.rows["one image a class"]["recall"] == 0


def test_a_damaged_or_foreign_reference_is_named(shelf, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(shelf["folder"], folder)
    read = lambda: references.read(folder, shelf["extractor"])  # noqa: E731
    whole = (folder / references.ARRAYS).read_bytes()
    (folder / references.ARRAYS).write_bytes(whole[:-1])
    with pytest.raises(cganjax.CheckpointError, match="reference.npz is damaged: its SHA-256"):
        read()
    (folder / references.ARRAYS).unlink()
    with pytest.raises(cganjax.CheckpointError, match="reference.npz cannot be read"):
        read()
    with pytest.raises(cganjax.CheckpointError, match="made for other weights"):
        references.read(folder, sampling.load_classifier("surrogate-mlp"))
    card = json.loads((folder / references.CARD).read_text())
    (folder / references.CARD).write_text(json.dumps(digests.sealed(card | {"format": 0})))
    with pytest.raises(cganjax.CheckpointError, match="reference.json has the format 0, and this version reads 1 to 2"):
        read()
    (folder / references.CARD).unlink()
    assert read() is None


def test_rows_of_another_classifier_lack_its_accuracies(measure, drawn):
    found = measure(*drawn, metrics=["frechet"], classifier="onlooker")
    assert "accuracy" not in found["rows"]["real images"] and "frechet" in found["rows"]["real images"]


def test_the_shipped_extractor_needs_no_data(drawn):
    found = cganjax.evaluate(*drawn, metrics=("accuracy", "frechet", "prdc"))
    assert found["reference"]["images"] == 10_000 and found["rows"]["real images"]["frechet"] < found["frechet"]
    assert found["accuracy"] > 0.95 and found["extractor"]["name"] != found["classifier"]["name"]


# --- the commands -----------------------------------------------------------------------------------------------------


def test_evaluate_needs_no_data_and_writes_a_page(command, shelf):
    networks = ("--extractor", shelf["folder"], "--classifier", "lenet5")
    asked = ("--metrics", "accuracy", "frechet", "prdc", "frechet_by_class")
    code, out, err = command(evaluate_command, "mnist", *networks, *asked, "--n", N, "--json", "a.json")
    assert (code, err) == (0, ""), err
    assert "SHA-256" in out and "runs/evaluate/mnist.png" in out and "sampling" in out
    written = json.loads(Path("a.json").read_text())
    assert set(written["rows"]) == set(rows_of.ROWS)
    assert written["checkpoints"]["mnist"]["samples"] == N and written["seed"] == 0
    for arguments, said in (
        ((), "runs/evaluate/mnist.png exists"),
        (("--out", "b", "--metrics", "fid"), "unknown metric 'fid'"),
        (("--out", "b", "--metrics", "memorisation"), "memorisation needs --data-dir"),
        (("--out", "b", "--n", 20), "frechet needs at least 65 images"),
        (("--out", "b", "--reference", "train"), "say where the data lie"),
        (("--out", "b", "--cas"), "cas needs --data-dir"),
    ):
        code, _, err = command(evaluate_command, "mnist", *networks, *arguments)
        assert code == 2 and said in err, err
    both = ("--extractor", shelf["folder"], "--judge", shelf["folder"], "--out", "c")  # the former name
    code, _, err = command(evaluate_command, "mnist", *both, *asked)
    assert code == 2 and "is the extractor and the reference classifier" in err
    Path("one").mkdir()
    for name in ("mnist", "one/mnist"):
        shutil.copytree(ckpt.find("mnist"), name)
    code, _, err = command(evaluate_command, "mnist", "one/mnist", *networks, "--out", "c")
    assert code == 2 and "two have the same last name" in err
    code, _, err = command(evaluate_command, "lenet5", *networks)
    assert code == 2 and "holds no generator" in err


def test_a_reference_without_rows_is_said(command, shelf, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(shelf["folder"], folder)
    card = json.loads((folder / references.CARD).read_text())
    (folder / references.CARD).write_text(json.dumps(digests.sealed(card | {"rows": {}})))
    code, out, err = command(evaluate_command, "--extractor", folder, "--n", 20, "--metrics", "prdc")
    assert (code, err) == (0, ""), err
    assert "there is no column of real images: the reference of" in out and f"--extractor {folder} --overwrite" in out


def test_evaluate_with_data_measures_its_own_rows(command, shelf):
    networks = ("--extractor", shelf["folder"], "--classifier", "lenet5", "--dataset", "digits")
    code, out, err = command(evaluate_command, *networks, "--n", 300, "--metrics", "memorisation", "prdc", "accuracy")
    assert (code, err) == (0, ""), err
    assert "memorised_pixels" in out and "one image a class" in out
    arguments = ("--n", 300, "--metrics", "prdc", "--reference", "train", "--out", "b")
    code, out, err = command(evaluate_command, *networks, *arguments)
    assert (code, err) == (0, "") and "digits train" in out, err
    assert "was trained on" not in out  # of other data


@pytest.mark.parametrize(
    ("split", "seen"),
    {
        "train": True,
        "train[10000:]": False,
        "train[9999:]": True,
        "train[:5000]": True,
        "test": False,
        "all": True,
    }.items(),
)
def test_images_to_choose_by_are_not_those_of_the_training(split, seen):
    about = {"name": "mnist", "split": "train", "images": 10000}
    assert evaluate_command.has_seen({"name": "mnist", "split": split}, about) is seen
    assert not evaluate_command.has_seen({"name": "kmnist", "split": split}, about)


def test_reference_writes_beside_a_shipped_extractor_alone(command, shelf, tmp_path):
    code, _, err = command(reference_command, "--extractor", shelf["folder"], "--judge", "lenet5")
    assert code == 2 and "reference.json exists" in err
    (tmp_path / "run").mkdir()
    code, _, err = command(reference_command, "--extractor", tmp_path / "run", "--judge", "lenet5")
    assert code == 2 and "no shipped checkpoint" in err


# --- other images and other classes -----------------------------------------------------------------------------------


def test_labels_above_255_do_not_wrap(tmp_path):
    """Of up to 256 classes the stored bytes and the order are those of always."""
    random = np.random.default_rng(0)
    features, extractor = random.normal(size=(600, 4)), SimpleNamespace(card={"name": "x", "weights": {"sha256": "0"}})
    train = references.Train(frechet.statistics(features), {"images": 9}, None, None, None, np.ones(600), np.ones(600))
    for classes, kind in ((256, np.uint8), (300, np.uint16)):
        labels = np.arange(600) % classes
        references.write(tmp_path, references.Reference({}, features, labels, 1.0, train=train), extractor)
        assert (references.read(tmp_path, extractor).labels == labels).all()
        assert np.load(tmp_path / references.ARRAYS)["labels"].dtype == kind
    with pytest.raises(ValueError, match=r"labels are in 0..70000: expected 0..65535"):
        references.label_type(np.array([0, 70_000]))

    images = random.uniform(size=(40, 2, 2, 1)).astype(np.float32)
    labels = np.arange(40) % 10 + 246
    digests = [hashlib.md5(x.tobytes() + bytes([y])).digest() for x, y in zip(images, labels, strict=True)]
    assert evaluation.canonical_order(images, labels).tolist() == np.argsort(digests).tolist()
    one, other = (evaluation.canonical_order(np.zeros((2, 1, 1, 1)), np.array(pair)) for pair in ((1, 257), (257, 1)))
    assert one.tolist() == other[::-1].tolist()  # the labels decide, not the order that was given


COLOURS = ("red", "green", "blue", "grey")
SPEC = ImageSpec(12, 12, 3, COLOURS)


def ship(folder, roles, config, record, seed):
    """A shipped checkpoint of random weights."""
    networks = models.build(models.Settings.of(config), SPEC)
    parts = {r: getattr(networks, r).init(jax.random.key(seed)) for r in roles if getattr(networks, r, None)}
    card = {"name": folder.name, "roles": list(roles), "config": config, "data": record, "steps": 0}
    ckpt.write_shipped(folder, card, parts)
    return folder


@pytest.fixture(scope="session")
def coloured(tmp_path_factory):
    """12x12x3 images in four named classes, and networks of random weights for them."""
    folder, random = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    tint = np.array([[1, 0.2, 0.2], [0.2, 1, 0.2], [0.2, 0.2, 1], [0.6, 0.6, 0.6]])
    arrays = {"class_names": np.array(COLOURS)}
    for split, n in (("train", 400), ("test", 200)):
        labels = np.arange(n) % 4
        arrays[f"x_{split}"] = (255 * tint[labels][:, None, None] * random.random((n, 12, 12, 1))).astype(np.uint8)
        arrays[f"y_{split}"] = labels
    np.savez(folder / "blobs.npz", **arrays)
    train = data.dataset(folder / "blobs.npz", split="train")
    record = {"name": train.name, "split": "train", "images": 400, "num_classes": 4, "fingerprint": train.fingerprint}
    record |= {"spec": SPEC.to_json(), "place": str(folder / "blobs.npz")}
    cnn = {"family": "cnn", "classifier": {"width_14": 4, "width_7": 4, "hidden": 8}}
    widths = {"width_14": 4, "width_7": 4, "hidden": 8}
    gan = {
        "family": "depth_to_space",
        "discriminator": widths,
        "generator": widths | {"latent_size": 4, "embedding": 4},
    }
    return {
        "data": folder / "blobs.npz",
        "extractor": ship(folder / "extractor", ("classifier", "extractor"), cnn, record, 0),
        "classifier": ship(folder / "other", ("classifier",), cnn, record, 1),
        "generator": ship(folder / "generator", ("generator",), gan, record, 2),
    }


def test_a_reference_of_few_images_leaves_frechet_out(command, coloured, tmp_path):
    """And nothing is written before all is measured."""
    whole = dict(np.load(coloured["data"]))
    folder = tmp_path / "extractor"
    shutil.copytree(coloured["extractor"], folder)
    for name, test, train in (("few", 8, 400), ("none", 8, 5)):
        parts = {"test": test, "train": train}
        np.savez(
            tmp_path / f"{name}.npz",
            class_names=whole["class_names"],
            **{f"{kind}_{part}": whole[f"{kind}_{part}"][:n] for part, n in parts.items() for kind in "xy"},
        )
    networks = ("--extractor", folder, "--classifier", coloured["classifier"])
    code, _, err = command(reference_command, *networks, "--dataset", tmp_path / "none.npz")
    assert code == 2 and "error: none: the Frechet distance needs at least 9 images and 5 were given" in err
    assert not (folder / references.CARD).exists() and not (folder / references.ARRAYS).exists()
    code, out, err = command(reference_command, *networks, "--dataset", tmp_path / "few.npz")
    assert (code, err) == (0, ""), err
    assert (
        "frechet is left out of the rows: it needs at least 9 images of the reference, and the reference has 8" in out
    )
    assert "frechet_train is left out of the rows: it needs at least 9 images" in out
    found = references.read(folder, sampling.load_classifier(folder))
    assert "precision" in found.rows["real images"] and "frechet_train" not in found.rows["real images"]


def test_evaluate_without_an_extractor_takes_the_one_of_the_shape(drawn, coloured):
    images = np.random.default_rng(0).random((20, 12, 16, 3))
    said = r"images have shape \(20, 12, 16, 3\), and no shipped extractor takes images of 12x16x3: make one by "
    with pytest.raises(ValueError, match=said + r"cganjax reference DATA, and give extractor='DATA.reference'"):
        cganjax.evaluate(images, np.arange(20) % 4)
    with pytest.raises(ValueError, match=r"images have shape \(1000, 28, 28\): expected \[N, H, W, C\]"):
        cganjax.evaluate(drawn[0][..., 0], drawn[1])
    assert cganjax.evaluate(*drawn, metrics="prdc")["extractor"]["name"] == evaluation.EXTRACTOR


def test_advice_names_data_that_can_be_found():
    from cganjax.evaluation import defaults

    assert defaults.advice({"name": "x", "place": "/my data/x.npz"}) == "make one by cganjax reference '/my data/x.npz'"
    assert defaults.advice({"name": "x", "place": ""}) == "make one by cganjax reference x"
    assert "np.savez" in defaults.advice({"name": "x", "place": "given arrays"})


def test_an_interrupted_reference_writes_nothing(command, coloured, tmp_path, monkeypatch):
    """A bug of ours keeps its traceback, too."""
    folder = tmp_path / "extractor"
    shutil.copytree(coloured["extractor"], folder)

    def fail(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr(rows_of, "measure_rows", fail)
    with pytest.raises(ValueError, match="a bug"):
        command(
            reference_command,
            "--extractor",
            folder,
            "--classifier",
            coloured["classifier"],
            "--dataset",
            coloured["data"],
        )
    assert not (folder / references.CARD).exists() and not (folder / references.ARRAYS).exists()


def test_coloured_images_of_named_classes_are_measured_and_drawn(command, coloured):
    networks = ("--extractor", coloured["extractor"], "--classifier", coloured["classifier"])
    code, _, err = command(evaluate_command, coloured["generator"], "--n", 200)
    assert code == 2 and "images of 12x12x3, 4 classes (blobs), and there is no extractor for such images" in err
    assert f"make one by cganjax reference {coloured['data']}; or name one by --extractor" in err
    code, _, err = command(evaluate_command, coloured["generator"], *networks, "--n", 200)
    assert code == 2 and "has no stored reference for --reference test: say where the data lie" in err
    code, out, err = command(reference_command, *networks)
    assert (code, err) == (0, ""), err
    assert "reference.json" in out and "kid is left out of the rows: it needs at least 1,000 images" in out

    measured = (coloured["generator"], *networks, "--n", 200)
    code, out, err = command(evaluate_command, *measured, "--json", "a.json")
    assert (code, err) == (0, ""), err
    assert "kid is left out" in out and "s left)" in out and "runs/evaluate/generator.png" in out
    written = json.loads(Path("a.json").read_text())
    assert {"accuracy", "frechet", "frechet_by_class", "precision"} <= set(
        written["checkpoints"][str(coloured["generator"])]
    )
    assert set(written["rows"]) == set(rows_of.ROWS) and written["classifier"] == written["judge"]

    # Of training images the page has strips and no bars: what is coloured in it are the images.
    of_data = ("--dataset", coloured["data"], "--metrics", "memorisation", "--out", "colour")
    code, _, err = command(evaluate_command, *measured, *of_data)
    assert (code, err) == (0, ""), err
    page = np.asarray(Image.open("colour/generator.png").convert("RGB")).astype(int)
    assert (np.ptp(page, axis=2) > 60).sum() > 100


def test_metrics_that_train_say_which_sizes_they_take():
    reference = references.Reference({}, np.ones((2000, 4)), np.arange(2000) % 4, 1.0, np.zeros((2000, 10, 12, 3)))
    odd = SPEC._replace(height=10)
    names, left_out = evaluation.fitting(("prdc", "cas", "two_sample"), False, True, reference, spec=odd)
    assert names == ("prdc",) and set(left_out) == {"cas", "two_sample"}
    assert evaluation.fitting(("cas", "two_sample"), True, True, reference, spec=SPEC)[1] == {}
    with pytest.raises(ValueError, match="cas trains a classifier, and family cnn cannot be built .* divisible by 4"):
        evaluation.fitting(("cas",), True, True, reference, spec=odd)


def test_classes_with_too_few_images_leave_metrics_by_class_out():
    labels = np.arange(1000) % 300
    names, left_out = evaluation.check_enough(("prdc", "frechet_by_class"), False, labels, 1000, 300, 64)
    assert names == ("prdc",) and "at least 65 images per class, and class 100 has 3" in left_out["frechet_by_class"]
    with pytest.raises(ValueError, match="frechet_by_class needs at least 65"):
        evaluation.check_enough(("frechet_by_class",), True, labels, 1000, 300, 64)
    few = references.Reference({}, np.ones((300, 64)), np.arange(300), 1.0)
    names, left_out = evaluation.fitting(("frechet", "kid", "frechet_by_class"), False, True, few)
    assert names == ("frechet",) and left_out["kid"].endswith("images of the reference, and the reference has 300")


def test_the_former_name_of_the_classifier_is_an_alias(measure, drawn):
    by_judge = measure(*drawn, metrics=["accuracy"], classifier=None, judge="lenet5")
    assert by_judge["classifier"]["name"] == "lenet5"
    with pytest.raises(ValueError, match="classifier= and judge= were given together"):
        measure(*drawn, metrics=["accuracy"], judge="lenet5")
