"""Data that the project does not know: everything after the training works by its classes, in grey and in colour."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import cganjax
from cganjax.commands import _image_files as image_files
from cganjax.commands import classify, decoy, interpolate, sample
from cganjax.commands._class_labels import file_name_of, parse_labels
from cganjax.commands._same_images import shipped_for
from cganjax.spec import ImageSpec
from cganjax.types import UserError
from experiments import read_back, robustness, ship, study

CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
OTHERS = ("Ärmel", "日本", "naïve café", "red, white", "C++", "C", "../x")
NAMES = ("T-shirt/top", "ankle boot", "Ärmel")  # of the set that is drawn here
KEY = jax.random.key(0)
# A generator of two steps makes images that may well be rejected before the attack.
pytestmark = pytest.mark.filterwarnings("ignore:rejected_before")


# --- classes as people write them -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, names, expected",
    [
        ("ankle boot, shirt", CLOTHES, [9, 6]),
        ("t-shirt top Ankle-Boot", CLOTHES, [0, 9]),
        ("T-shirt/top,9,,1 0", CLOTHES, [0, 9, 1, 0]),
        ("red,white C red, White", OTHERS, [3, 5, 3]),
        ("a\u0308rmel 日本 NAI\u0308VE CAFE\u0301", OTHERS, [0, 1, 2]),  # as folders of macOS have it
        ("c++ ../x c", OTHERS, [4, 6, 5]),
    ],
)
def test_names_with_slashes_commas_and_any_letters(text, names, expected):
    assert parse_labels(text, names).tolist() == expected


@pytest.mark.parametrize(
    "text, names, said",
    [
        ("ankel boot", CLOTHES, "'ankel boot' at position 0 is not a class (did you mean ankle boot?)"),
        ("bag ankel boot bag", CLOTHES, "'ankel boot' at position 1 is not a class (did you mean ankle boot?)"),
        ("ankel", CLOTHES, "'ankel' at position 0 is not a class (did you mean ankle boot?)"),
        ("boot", CLOTHES, "did you mean ankle boot?"),
        ("tshirt", CLOTHES, "'tshirt' at position 0 is not a class (did you mean shirt or T-shirt/top?)"),
        ("hat", CLOTHES, "'hat' at position 0 is not a class: expected T-shirt/top, trouser"),
        ("naive cafe", OTHERS, "did you mean naïve café?"),
        ("cat", "0123456789", "'cat' at position 0 is not a class: expected classes from 0 to 9"),
        ("-1", CLOTHES, "'-1' at position 0 is not a class"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_ones(text, names, said):
    with pytest.raises(UserError) as error:
        parse_labels(text, names)
    assert said in str(error.value)


def test_file_names_keep_the_letters_without_their_accents():
    assert file_name_of(["T-shirt/top", "Ärmel"]) == "T-shirt-top-Armel"


# --- files and folders of pictures ------------------------------------------------------------------------------------

GREY = ImageSpec(8, 8, 1, ("a", "b"))


def test_a_folder_of_pictures_is_read_with_its_sub_folders(tmp_path):
    for i, name in enumerate(("b/two.jpg", "a/one.png", "three.PNG", ".hidden/no.png", "b/notes.txt")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(tmp_path / name)
    file = image_files.read(tmp_path, GREY)
    assert file.names == [str(tmp_path / name) for name in ("a/one.png", "b/two.jpg", "three.PNG")]
    assert file.images.shape == (3, 8, 8, 1) and file.note == ""
    assert len(image_files.read(tmp_path, GREY, limit=2).names) == 2
    assert "3 of 3 pictures in" in image_files.read(tmp_path, GREY._replace(height=4)).note
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no picture: give a folder with PNG or JPEG files"):
        image_files.read(tmp_path / "empty", GREY)
    (tmp_path / "a/bad.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="bad.png cannot be read as a picture"):
        image_files.read(tmp_path, GREY)


def test_a_wide_picture_is_padded_or_cropped_as_the_training_images_were(tmp_path):
    picture = np.zeros((8, 16), np.uint8)
    picture[2:6, :4], picture[2:6, 6:10] = 255, 255
    Image.fromarray(picture).save(tmp_path / "wide.png")
    padded, cropped = (image_files.read(tmp_path / "wide.png", GREY, crop=crop).images[0] for crop in (False, True))
    assert_array_equal(np.flatnonzero(padded.sum(axis=(0, 2))), [0, 1, 3, 4])
    assert_array_equal(cropped[..., 0] * 255, picture[:, 4:12])


# --- from a run to decoys ---------------------------------------------------------------------------------------------


def drawn(n, channels, seed=0):
    """Three classes: ink above, ink below, ink everywhere; uint8 [n, 8, 8, channels], int [n]."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = random.integers(0, 60, (n, 8, 8, channels))
    for image, label in zip(images, labels, strict=True):
        image[(slice(1, 4), slice(4, 7), slice(1, 7))[label], 1:7] = random.integers(150, 256)
    return images.astype(np.uint8), labels


SMALL = ("batch_size=12", "generator.latent_size=4", "generator.embedding=2", "generator.hidden=8")
WIDTHS = ("generator.width_7=4", "generator.width_14=4", "discriminator.width_14=4", "discriminator.width_7=4")


@pytest.fixture(scope="module", params=[1, pytest.param(3, marks=pytest.mark.slow)], ids=["grey", "RGB"])
def runs(request, once):
    """A folder with the data set `mine.npz`, a classifier's run and a generator's, of images in grey or in colour."""
    from cganjax import cli
    from cganjax.commands import train

    channels = request.param

    def make(folder):
        images, labels = drawn(240, channels)
        np.savez(folder / "mine.npz", images=images, labels=labels, class_names=np.array(NAMES))
        classifier = ("surrogate_mlp", 60, ("batch_size=12", "epoch_steps=20", "classifier.hidden=16"))
        generator = ("digits", 2, (*SMALL, *WIDTHS, "discriminator.hidden=8"))
        for out, (recipe, steps, settings) in (("cnn", classifier), ("gan", generator)):
            flags = [part for setting in settings for part in ("--set", setting)]
            flags += ["--recipe", recipe, "--dataset", folder / "mine.npz", "--steps", steps, "--out", folder / out]
            with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
                assert cli.execute(train.main, [str(flag) for flag in flags]) == 0

    return once(f"other-data-{channels}", make)


@pytest.fixture
def done(command):
    """What a command says that works."""

    def run(verb, *arguments):
        code, out, err = command(verb, *arguments)
        assert code == 0, err
        return out + err

    return run


@pytest.fixture
def refused(command):
    """The sentence by which a command refuses its input."""

    def run(verb, *arguments):
        code, out, err = command(verb, *arguments)
        assert code == 2 and err.count("\n") == 1, (out, err)
        return err

    return run


SHEETS = ("--samples", 0, "--truncations", 1)


def test_the_whole_way_by_class_names(runs, done, refused):
    # The thresholds of a shipped classifier are of the run's own data.
    done(ship, runs / "cnn", "--name", "my-clothes", "--data-dir", runs)
    target, generator = "my_checkpoints/my-clothes", runs / "gan"
    card = json.loads(Path(target, "card.json").read_text())
    assert card["data"]["name"] == "mine" and card["thresholds"]["msp"]["accepted"] > 0.7

    assert "gan-ankle-boot-Armel-s0.png" in done(sample, "ankle boot, ÄRMEL", "--checkpoint", generator)
    done(sample, "ankle boot", "--checkpoint", generator, "--out", "photos/one.png")
    assert "did you mean ankle boot?" in refused(sample, "ankel boot", "--checkpoint", generator)
    done(interpolate, generator, "--classes", "Ärmel, t-shirt/top", "--out", "some", *SHEETS)
    said = refused(interpolate, generator, "--classes", "Ärmel", "--out", "one", *SHEETS)
    assert "--classes is 'Ärmel': give at least two different classes" in said

    said = done(decoy, "ankle boot, Ärmel", "--real", "--data-dir", runs, "--target", target, "--set", "steps=2")
    assert any(line.startswith("ankle boot: confidence") for line in said.splitlines()) and "digit" not in said
    assert "decoys/my_checkpoints-my-clothes-ankle-boot-Armel-s0.png" in said

    said = done(classify, "photos", "--checkpoint", target)
    assert said.startswith("photos/one.png: ") and any(name in said for name in NAMES)


def test_decoy_says_what_to_give_for_other_data(runs, refused):
    target, generator = ("--target", runs / "cnn"), ("--checkpoint", runs / "gan")
    np.savez("two.npz", images=np.zeros((2, 8, 8), np.uint8))
    for flags, message in (
        ((), "no images were given: give LABELS"),
        (("ankle boot",), "no shipped generator makes images of 8x8x"),
        (("ankel boot", *generator), "'ankel boot' at position 0 is not a class (did you mean ankle boot?)"),
        (
            ("3", "--checkpoint", "mnist"),
            "(T-shirt/top, ankle boot, Ärmel), and mnist generates 28x28x1, 10 classes (0",
        ),
        (("Ärmel", "--surrogates", "all"), "no shipped surrogate takes images of"),
        (("Ärmel", *generator, "--surrogates", "lenet5"), "lenet5 takes images of 28x28x1"),
        (("Ärmel", "--images", "two.npz"), "--images attacks files of yours: give no LABELS"),
        (("Ärmel", "--real", *generator), "give one of them"),
        (("Ärmel", "--limit", 3), "--limit is about the files of --images"),
        (("--images", "two.npz", "--limit", 0), "--limit is 0: give at least 1"),
        (("--images", "two.npz", "--method", "latent"), "files have none"),
        (("Ärmel, " * 99, "--real", "--data-dir", runs), "99 images of Ärmel were asked for, and mine has"),
    ):
        assert message in refused(decoy, *flags, *target), message


@pytest.mark.slow
def test_more_of_the_way_and_the_studies(runs, done, refused):
    target, generator = runs / "cnn", runs / "gan"
    done(ship, generator, "--name", "my-gan")
    done(interpolate, generator, "--classes", "Ärmel, t-shirt/top", "--out", "some", *SHEETS)
    done(interpolate, "my_checkpoints/my-gan", "--out", "all", *SHEETS)
    heights = []
    for folder in ("some", "all"):
        with Image.open(f"{folder}/latents.png") as sheet:
            heights.append(sheet.size[1])
    assert heights[0] < heights[1]

    done(sample, "ankle boot", "Ärmel", "--checkpoint", generator, "--out", "two.npz")
    done(sample, "ankle boot", "--checkpoint", generator, "--out", "photos/one.png")
    attack = ("--target", target, "--data-dir", runs, "--set", "steps=2")
    assert "T-shirt/top: confidence" in done(decoy, "t-shirt/top", "--checkpoint", generator, *attack)
    said = done(decoy, "--images", "two.npz", "photos", *attack)
    assert "two.npz[1]: confidence" in said and "photos/one.png: confidence" in said

    done(robustness, target, "--data-dir", runs, "--epsilons", 0, 0.2, "--out", "rob")
    assert "published" not in Path("rob/curve.csv").read_text()
    assert "give --by, a classifier of them" in refused(read_back, generator)
    assert "real test images" in done(read_back, generator, "--by", target, "--data-dir", runs)


def test_decoys_from_python_by_the_thresholds_of_own_data(runs):
    test = cganjax.dataset(runs / "mine.npz", split="test")
    images, classifier = test.images / np.float32(255), cganjax.load_classifier(runs / "cnn")
    assert classifier.spec.class_names == NAMES
    assert np.mean(np.asarray(classifier(images)).argmax(axis=1) == test.labels) > 0.8
    detector = cganjax.calibrate("msp", classifier, images)
    assert 0.9 <= 1 - np.mean(np.asarray(detector.rejects(images))) <= 1
    result = cganjax.decoy(KEY, images[:6], classifier, epsilon=0.3, detector=detector, steps=3)
    assert (result.confidence <= result.clean_confidence).all() and result.rejected.shape == (6,)


# --- defaults that follow the data ------------------------------------------------------------------------------------


def test_shipped_networks_are_found_by_shape_and_classes():
    digits = ImageSpec.numbered(28, 28, 1, 10)
    assert shipped_for(digits, "generator")[0] == "mnist"
    assert {"onlooker"} == {*study.of_role("onlooker")} == {*study.of_role("onlooker", digits)}
    other = digits._replace(class_names=tuple("abcdefghij"))  # of the same shape
    assert shipped_for(other, "generator") == []
    with pytest.raises(UserError, match=r"no shipped target takes images of 28x28x1, 10 classes \(a, b, c, ...\)"):
        study.of_role("target", other)
