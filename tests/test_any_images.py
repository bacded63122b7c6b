"""Images that the package has never seen go the whole way: train, sample, ship, evaluate, attack, without a change."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cganjax

NAMES = ("blue", "green", "red", "stripes")
SIZE = 12


def made_up(n, seed):
    """Coloured squares of four classes: uint8 [n, 12, 12, 3], int [n]."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = random.integers(0, 40, (n, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(0, SIZE - 8, 2)
        rows = slice(top, top + 8, 2 if label == 3 else 1)
        channel = {0: 2, 1: 1, 2: 0}.get(int(label), slice(None))
        image[rows, left : left + 8, channel] = random.integers(180, 256)
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same images as a folder of PNGs, with train/ and test/."""
    root = tmp_path_factory.mktemp("shapes")
    for part, n, seed in (("train", 240, 0), ("test", 80, 1)):
        for i, (image, label) in enumerate(zip(*made_up(n, seed), strict=True)):
            path = root / part / NAMES[label] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


def mode_of(path):
    with Image.open(path) as picture:
        return picture.mode


def settings(*pairs):
    return [part for pair in pairs for part in ("--set", pair)]


GENERATOR = settings(
    "batch_size=16",
    "generator.latent_size=8",
    "generator.embedding=4",
    "generator.hidden=16",
    "generator.width_7=8",
    "generator.width_14=8",
    "discriminator.width_14=8",
    "discriminator.width_7=8",
    "discriminator.hidden=16",
)
CLASSIFIER = settings(
    "batch_size=16", "epoch_steps=20", "classifier.width_14=8", "classifier.width_7=8", "classifier.hidden=8"
)


@pytest.fixture(autouse=True)
def _promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        yield


@pytest.mark.slow
def test_images_never_seen_before_train_sample_evaluate_ship_and_are_attacked(folder, command):
    from cganjax.commands import decoy, evaluate, reference, sample, train
    from experiments import ship

    def done(verb, *arguments):
        code, out, err = command(verb, *arguments)
        assert code == 0, err
        return out

    said = done(train, "--recipe", "digits", "--dataset", folder, *GENERATOR, "--steps", 4, "--out", "runs/shapes")
    assert "240 images" in said
    for seed, out in ((0, "runs/extractor"), (1, "runs/other")):
        done(
            train,
            "--recipe",
            "digits_v1",
            "--dataset",
            folder,
            *CLASSIFIER,
            "--steps",
            80,
            "--seed",
            seed,
            "--out",
            out,
        )

    # The spec travels into manifest and checkpoints.
    manifest = json.loads(Path("runs/shapes/manifest.json").read_text())
    assert manifest["data"]["spec"]["class_names"] == list(NAMES)
    generator, classifier = cganjax.load("runs/shapes"), cganjax.load_classifier("runs/extractor")
    assert generator.spec.shape == classifier.spec.shape == (SIZE, SIZE, 3)
    test = cganjax.dataset(folder, split="test")
    images, labels = test.images / np.float32(255), test.labels
    assert np.mean(np.asarray(classifier(images)).argmax(1) == labels) > 0.9

    # Sampling by name, in colour.
    done(sample, "red", "stripes", "--checkpoint", "runs/shapes", "--out", "some.png")
    assert mode_of("some.png") == "RGB"

    # Evaluation with the extractor's own reference.
    done(reference, "--extractor", "runs/extractor", "--classifier", "runs/other")
    done(
        evaluate,
        "runs/shapes",
        "--extractor",
        "runs/extractor",
        "--classifier",
        "runs/other",
        "--n",
        80,
        "--json",
        "figures.json",
        "--out",
        "pages",
    )
    figures = json.loads(Path("figures.json").read_text())
    assert "frechet" in json.dumps(figures) and "accuracy" in json.dumps(figures)
    assert mode_of("pages/shapes.png") in ("RGB", "RGBA")

    # A shipped checkpoint gives the same images as its run.
    done(ship, "runs/shapes", "--name", "shapes", "--out", "shelf")
    done(ship, "runs/extractor", "--name", "extractor", "--out", "shelf", "--data-dir", folder.parent)
    key = jax.random.key(0)
    np.testing.assert_array_equal(
        cganjax.sample(key, [0, 3], checkpoint="shelf/shapes"), cganjax.sample(key, [0, 3], checkpoint="runs/shapes")
    )

    # Real images are attacked, and the detector of the shipped card rejects them.
    shipped = cganjax.load_classifier("shelf/extractor")
    detector = cganjax.calibrate("msp", shipped, images)
    result = cganjax.decoy(key, images[:8], shipped, epsilon=0.3, detector=detector, steps=5)
    assert result.images.shape == (8, SIZE, SIZE, 3) and np.abs(result.images - images[:8]).max() <= 0.3 + 1e-6
    assert result.confidence.mean() < result.clean_confidence.mean()
    done(
        decoy,
        "blue",
        "green",
        "--checkpoint",
        "shelf/shapes",
        "--target",
        "runs/extractor",
        "--data-dir",
        folder.parent,
        "--epsilon",
        0.1,
        "--out",
        "decoys.png",
    )
