"""The commands of the five systems: counts and prompts, classify, robustness, pi, pattern_1010, read_back, AiGcMn."""

import csv
import gzip
import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import TINY
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import compat, data, models, recipes, scores, waiting
from cganjax.commands import _image_files as image_files
from cganjax.commands import sample as sample_command
from cganjax.commands._class_labels import file_name_of, parse_labels
from cganjax.data import known
from cganjax.decoys import robustness
from cganjax.spec import DARK_ON_LIGHT, LIGHT_ON_DARK, ImageSpec
from cganjax.training import config, runs, state
from cganjax.types import UserError, Weights
from experiments import classify, curves, pattern_1010, pi, read_back, sample, ship, train
from experiments import robustness as robustness_command

KEY = jax.random.key(0)


def shelve(folder, recipe, *settings):
    """A shipped checkpoint of a recipe's untrained networks."""
    run = config.override(recipes.load(recipe), settings)
    networks = models.build(run, known.KNOWN[run.dataset])
    parts = {
        part: getattr(networks, part).init(KEY) for part in ("generator", "discriminator") if getattr(networks, part)
    } or {"classifier": networks.classifier.init(KEY)}
    roles = [role for role in ("generator", "discriminator", "classifier") if getattr(networks, role)]
    data_record = {"name": run.dataset, "num_classes": networks.spec.num_classes}  # as before cards had specs
    card = {"name": folder.name, "roles": roles, "steps": 0, "config": config.to_json(run), "data": data_record}
    ckpt.write_shipped(folder, card, parts)
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    root = tmp_path_factory.mktemp("shelf")
    return {name: shelve(root / name, name) for name in ("label_score", "pattern_1010")}


def idx(path, images):
    plain = b"\0\0\x08\x03" + struct.pack(">3I", *images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(plain) if path.suffix == ".gz" else plain)
    return path


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


# --- loading ----------------------------------------------------------------------------------------------------------


def test_lenet5_is_shipped_and_reads_digits():
    lenet5 = cganjax.load_classifier("lenet5")
    assert (lenet5.num_classes, lenet5.scores, lenet5.card["roles"]) == (10, "logits", ["classifier", "target"])
    assert sum(leaf.size for leaf in jax.tree.leaves(lenet5.params)) == 61_706
    images = cganjax.sample(KEY, jnp.arange(100) % 10)
    logits = lenet5(images)
    assert logits.shape == (100, 10) and logits.dtype == jnp.float32
    assert np.mean(logits.argmax(1) == np.arange(100) % 10) > 0.9
    gradient = jax.jit(jax.grad(lambda x: lenet5(x).max(1).sum()))(images)
    assert gradient.shape == images.shape and float(jnp.abs(gradient).max()) > 0
    with pytest.raises(ValueError, match=r"images have shape \(28, 28\)"):
        lenet5(jnp.zeros((28, 28)))


def test_a_discriminator_that_classifies_is_a_classifier(shelf):
    images = jax.random.uniform(KEY, (4, 28, 28, 1))
    classifier = cganjax.load_classifier(shelf["label_score"])
    discriminator = cganjax.load_discriminator(shelf["label_score"])
    assert (classifier.scores, discriminator.scores) == ("sigmoid", "probabilities")
    assert_allclose(jax.nn.sigmoid(classifier(images)), discriminator(images), atol=1e-6)
    assert_allclose(discriminator(images, jnp.arange(4)), discriminator(images))
    assert_allclose(scores.confidences(classifier(images), "sigmoid"), discriminator(images), atol=1e-6)


def test_a_checkpoint_without_the_role_names_those_that_have_it(shelf):
    with pytest.raises(cganjax.CheckpointError, match="holds no classifier: .* one of .*lenet5"):
        cganjax.load_classifier("mnist")
    with pytest.raises(cganjax.CheckpointError, match="holds no generator: .* one of .*mnist"):
        cganjax.load("lenet5")
    with pytest.raises(cganjax.CheckpointError, match="holds no classifier"):
        cganjax.load_classifier(shelf["pattern_1010"])


def test_an_unconditional_discriminator_refuses_labels(shelf):
    discriminator = cganjax.load_discriminator(shelf["pattern_1010"])
    assert discriminator(jnp.zeros((3, 1, 4, 1))).shape == (3, 1)
    with pytest.raises(TypeError, match="unconditional discriminator"):
        discriminator(jnp.zeros((3, 1, 4, 1)), [0, 1, 2])


def test_batch_norm_samples_do_not_depend_on_their_batch(shelf):
    some = cganjax.sample(KEY, [3, 1, 4, 1, 5], checkpoint=shelf["label_score"])
    assert_allclose(cganjax.sample(KEY, [3], checkpoint=shelf["label_score"]), some[:1], atol=2e-5)


# --- sample -----------------------------------------------------------------------------------------------------------


def test_an_unconditional_checkpoint_takes_a_count(shelf, command):
    where = shelf["pattern_1010"]
    assert cganjax.sample(KEY, n=3, checkpoint=where).shape == (3, 1, 4, 1)
    with pytest.raises(TypeError, match="labels were given to an unconditional checkpoint"):
        cganjax.sample(KEY, [1, 2], checkpoint=where)
    code, out, err = command(sample, "--checkpoint", where, "--random", "7", "--out", "x.npz")
    assert (code, err) == (0, "") and "7 images" in out
    with np.load("x.npz") as arrays:
        assert arrays.files == ["images"] and arrays["images"].shape == (7, 1, 4, 1)
    for arguments, said in (
        (["3"], "takes no labels and CLASS 3 was given: give --random N"),
        (["--per-class", "2"], "--per-class"),
        ([], "no count was given"),
    ):
        code, _, err = command(sample, "--checkpoint", where, *arguments)
        assert code == 2 and said in err


def test_the_prompt_prints_ds_highest_output(shelf, command, monkeypatch):
    lines = iter(["0 7", ""])
    monkeypatch.setattr("builtins.input", lambda text: next(lines))
    code, out, _ = command(sample, "--checkpoint", shelf["label_score"])
    assert code == 0
    discriminator = cganjax.load_discriminator(shelf["label_score"])
    key = jax.random.fold_in(cganjax.rng.stream(cganjax.rng.root(0), "prompt"), 0)
    outputs = discriminator(cganjax.sample(key, [0, 7], checkpoint=shelf["label_score"]))
    for row in np.asarray(outputs):
        assert f"D's highest output {row.max():.4f} (class {row.argmax()})" in out


# --- train and ship ---------------------------------------------------------------------------------------------------

# recipe -> settings under which its run takes seconds, on the embedded digits.
SMALL_RUNS = {
    "label_score": ["batch_size=2", "log_every=1", "sample_every=2", "checkpoint_every=1"],
    "mlp_gan": ["batch_size=2", "log_every=1", "sample_every=2", "checkpoint_every=1"],
    "lenet5": ["batch_size=8", "log_every=1", "epoch_steps=2", "checkpoint_every=1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", SMALL_RUNS)
def test_a_system_trains_resumes_and_ships(recipe, command):
    sets = [part for setting in SMALL_RUNS[recipe] for part in ("--set", setting)]
    common = ["--recipe", recipe, "--dataset", "digits", "--steps", "3", *sets]
    assert command(train, *common, "--out", "whole")[0] == 0
    assert command(train, *common, "--out", "parts", "--stop-after", "1")[0] == 0
    code, out, _ = command(train, *common, "--out", "parts")
    assert code == 0 and "from step 1 to 3 of 3" in out
    lines = [Path(run, "metrics.jsonl").read_text() for run in ("whole", "parts")]
    assert lines[0] == lines[1]
    rows = [json.loads(line) for line in lines[0].splitlines()]
    if recipe == "lenet5":
        assert [row["step"] for row in rows if "test_accuracy" in row] == [2, 3]
        assert len(next(row for row in rows if "test_accuracy" in row)["test_accuracy_by_class"]) == 10
        loaded = [cganjax.load_classifier(run).params for run in ("whole", "parts")]
    else:
        assert {"loss_generator", "loss_discriminator", "score_real", "score_fake"} <= rows[-1].keys()
        assert sorted(p.name for p in Path("whole/samples").iterdir()) == ["000000.png", "000002.png", "000003.png"]
        loaded = [cganjax.load(run).weights for run in ("whole", "parts")]
    jax.tree.map(assert_array_equal, *loaded)
    assert Path("whole/curves.png").stat().st_size > 5000

    code, out, err = command(ship, "whole", "--name", "shipped_one", "--out", "shelf")
    assert (code, err) == (0, "")
    card = ckpt.read_card(Path("shelf/shipped-one"))
    wanted = {
        "label_score": ["generator", "discriminator", "classifier"],
        "mlp_gan": ["generator"],
        "lenet5": ["classifier"],
    }
    assert card["roles"] == wanted[recipe]
    assert Path("shelf/shipped-one/grid.png").exists() == ("generator" in card["roles"])
    load = cganjax.load_classifier if recipe == "lenet5" else cganjax.load
    jax.tree.map(assert_array_equal, load("shelf/shipped-one").weights, load("whole").weights)


def test_pattern_1010_trains_by_the_same_command(command):
    code, out, _ = command(train, "--recipe", "pattern_1010", "--steps", "20", "--set", "checkpoint_every=10")
    assert code == 0 and "pattern_1010 (train), 10000 images, from drawn" in out
    assert cganjax.sample(KEY, n=2, checkpoint="runs/pattern_1010-s0").shape == (2, 1, 4, 1)


def test_keep_best_by_the_command(train_tiny, monkeypatch):
    losses = iter([0.5, 0.9])
    save = runs.Run.save

    def spy(self, step, now):
        self.metrics.rows[-1]["loss_generator"] = next(losses)
        save(self, step, now)

    monkeypatch.setattr(runs.Run, "save", spy)
    assert train_tiny("--out", "run", "--keep", "best")[0] == 0
    assert cganjax.load("run").card["steps"] == 3
    assert cganjax.load("run/checkpoints/6").card["steps"] == 6
    code, _, err = train_tiny("--keep", "some")
    assert code == 2 and "--keep is 'some': give best, or a number" in err


# --- classify ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def seven():
    """A seven by the flagship, uint8 [28, 28], ink = 255."""
    image = np.asarray(cganjax.sample(KEY, [7]))[0, ..., 0]
    return np.round(image * 255).astype(np.uint8)


def test_classify_reads_pictures_of_either_ink_and_idx(command, seven, tmp_path):
    Image.fromarray(seven).save("light.png")
    Image.fromarray(255 - seven).save("dark.png")
    clear = Image.merge("LA", (Image.new("L", (28, 28), 0), Image.fromarray(seven)))  # black ink on nothing
    clear.save("clear.png")
    Image.fromarray(255 - np.pad(seven, ((0, 0), (2, 2))).repeat(4, 0).repeat(4, 1)).convert("RGB").save("wide.png")
    Image.fromarray(seven.astype(np.uint16) * 257).save("deep.png")  # 16 bits a pixel
    idx(tmp_path / "x-idx3-ubyte.gz", np.stack([seven, np.zeros_like(seven)]))
    code, out, err = command(classify, "light.png", "dark.png", "clear.png", "wide.png", "deep.png", "x-idx3-ubyte.gz")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 7
    names = ("light.png", "dark.png", "clear.png", "wide.png", "deep.png", "x-idx3-ubyte.gz[0]")
    for name, line in zip(names, lines, strict=False):
        assert line.startswith(f"{name}: 7  confidence ")
    assert lines[0].split()[-1] == lines[1].split()[-1] == lines[4].split()[-1] == lines[5].split()[-1]
    assert "wide.png is 112x128, resized to 28x28" in err
    assert len(command(classify, "x-idx3-ubyte.gz", "--limit", "1")[1].splitlines()) == 1
    code, out, _ = command(classify, "light.png", "--ink", "dark")
    assert code == 0 and out.startswith("light.png: ") and out != lines[0] + "\n"
    assert command(classify, "light.png", "--ink", "light")[1] == lines[0] + "\n"


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("x.png", b"nothing", "x.png cannot be read as a picture (cannot identify image file)"),
        ("x-idx3-ubyte", b"\0\0\x08\x03\0\0", "is cut short within its header"),
        ("x-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x01\x05", "holds labels: give the file of images"),
        ("x-idx3-ubyte", b"\0\0\x08\x03" + struct.pack(">3I", 0, 28, 28), "holds no image"),
        ("x.npz", b"nothing", "x.npz cannot be read as arrays"),
        ("x.npz", npz(a=np.zeros(3), b=np.zeros(3)), "x.npz holds a, b: expected an array called images"),
        ("x.npz", npz(images=np.zeros((1, 28, 28, 2))), "of shape (1, 28, 28, 2): expected [N, H, W]"),
        ("x.npz", npz(images=np.full((1, 28, 28), 7)), "holds int64 images: expected uint8, or floats in [0, 1]"),
        ("x.npz", npz(images=np.full((1, 28, 28), 7.0)), "x.npz: images lie in [7, 7]: expected [0, 1]"),
        ("x.npz", npz(images=np.array([None])), "x.npz cannot be read as arrays"),
        ("x.npz", npz(images=np.zeros((0, 28, 28), np.uint8)), "holds no image"),
        (None, None, "nothing.png is not a file"),
    ],
)
def test_classify_refuses_what_is_no_image(command, seven, name, content, said):
    Image.fromarray(seven).save("good.png")
    if content is not None:
        Path(name).write_bytes(content)
    code, out, err = command(classify, "good.png", name or "nothing.png")
    assert code == 2 and said in err and out == "", "nothing is printed of a call with a bad file"


PETS = ImageSpec(8, 8, 3, ("cat", "polar bear", "T-shirt/top", "dog"))
PENCIL = ImageSpec.numbered(8, 4, 1, 3, polarity=DARK_ON_LIGHT)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Untrained networks for RGB images of named classes: a generator and a classifier, as shipped checkpoints."""
    root, small = tmp_path_factory.mktemp("pets"), config.override(recipes.load("digits"), TINY)
    generator = models.build(small, PETS).generator.init(KEY)
    classes = config.override(recipes.load("surrogate_mlp"), ["classifier.hidden=8"])
    classifier = models.build(classes, PETS).classifier.init(KEY)
    for name, run, weights in (("generator", small, generator), ("classifier", classes, classifier)):
        card = {"name": f"pet-{name}", "roles": [name], "steps": 0, "config": config.to_json(run)}
        ckpt.write_shipped(root / name, card | {"data": {"name": "pets", "spec": PETS.to_json()}}, {name: weights})
    return root


def test_classify_prints_names_and_resizes_to_any_spec(command, pets, tmp_path):
    Image.new("RGB", (20, 10), (255, 0, 0)).save("red.png")
    Image.new("L", (8, 8), 200).save("grey.png")
    colours = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.savez("x.npz", images=colours, labels=np.zeros(3))
    np.save("large.npy", np.float32([[[0.5] * 9] * 9]))
    where = pets / "classifier"
    code, out, err = command(classify, "red.png", "grey.png", "x.npz", "large.npy", "--checkpoint", where)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 6
    assert err.splitlines() == [
        "note: red.png is 10x20, resized to 8x8",
        "note: the images of large.npy are from grey to RGB and resized from 9x9 to 8x8",
    ]
    answers = np.asarray(cganjax.load_classifier(where)(colours / np.float32(255))).argmax(axis=1)
    for i, k in enumerate(answers):
        assert lines[2 + i].startswith(f"x.npz[{i}]: {PETS.class_names[k]}  confidence 0.")
    assert len(command(classify, "x.npz", "--checkpoint", where, "--limit", "2")[1].splitlines()) == 2
    code, _, err = command(classify, "red.png", "--checkpoint", where, "--ink", "dark")
    assert code == 2 and "takes RGB images" in err


def test_pictures_follow_the_colour_and_polarity_of_a_spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 12), (255, 0, 0)).save("red.png")
    (image,) = image_files.read(Path("red.png"), PETS).images
    assert_array_equal(image, np.broadcast_to(np.float32([1, 0, 0]), (8, 8, 3)))
    (image,) = image_files.read(Path("red.png"), PENCIL).images
    assert image.shape == (8, 4, 1) and np.ptp(image) == 0 and abs(image.mean() - 0.299) < 0.01
    drawn = np.full((8, 4), 255, np.uint8)
    drawn[2:6, 2:4] = 0
    Image.fromarray(drawn).save("dark.png")
    Image.fromarray(255 - drawn).save("light.png")
    dark, light = drawn[..., None] / np.float32(255), 1 - drawn[..., None] / np.float32(255)
    for spec, ink, name, expected in (
        (PENCIL, "auto", "dark.png", dark),
        (PENCIL, "dark", "dark.png", dark),
        (PENCIL, "light", "light.png", dark),
        (PENCIL._replace(polarity=LIGHT_ON_DARK), "auto", "dark.png", light),
        (PENCIL._replace(polarity=LIGHT_ON_DARK), "auto", "light.png", light),
    ):
        assert_array_equal(image_files.read(Path(name), spec, ink).images[0], expected)
    idx(tmp_path / "x-idx3-ubyte", drawn[None])
    file = image_files.read(tmp_path / "x-idx3-ubyte", PENCIL._replace(height=4, width=2))
    assert file.images.shape == (1, 4, 2, 1) and "resized from 8x4 to 4x2" in file.note
    assert_array_equal(file.images[0], dark[::2, ::2])
    assert image_files.read(tmp_path / "x-idx3-ubyte", PENCIL).note == ""


# --- classes by name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, names, expected",
    [
        ("3141", "0123456789", [3, 1, 4, 1]),
        ("3 1,4  1", "0123456789", [3, 1, 4, 1]),
        ("cat dog", PETS.class_names, [0, 3]),
        ("Polar Bear cat", PETS.class_names, [1, 0]),
        ("dog, polar_bear,t-shirt/TOP", PETS.class_names, [3, 1, 2]),
        ("cat 3 10", PETS.class_names, [0, 3, 1, 0]),
        ("HELLO", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", [7, 4, 11, 11, 14]),
        ("11 3", tuple(map(str, range(12))), [11, 3]),
        ("38 8", ("3", "8"), [0, 1, 1]),
        ("a A", ("A", "a"), [1, 0]),
        ("sea, blue", ("sea, blue", "sea"), [0]),
    ],
)
def test_classes_are_given_by_name_or_number(text, names, expected):
    assert parse_labels(text, names).tolist() == expected


@pytest.mark.parametrize(
    "text, names, said",
    [
        ("12a", "0123456789", "'a' at position 2 is not a class: expected classes from 0 to 9, such as 0 1 2 3"),
        ("5", "012", "'5' at position 0 is not a class: expected classes from 0 to 2"),
        ("11 12", tuple(map(str, range(12))), "'12' at position 1"),
        ("9" * 5000, tuple(map(str, range(12))), "at position 0"),
        (
            "cat dgo",
            PETS.class_names,
            "'dgo' at position 1 is not a class (did you mean dog?): expected cat, polar bear, ",
        ),
        ("polar", PETS.class_names, "or a number from 0 to 3"),
        ("4", PETS.class_names, "'4' at position 0"),
        ("0", ("3", "8"), "'0' at position 0 is not a class: expected 3, 8"),
        ("x", tuple(f"class {k}" for k in range(1000)), "class 11, ... (1,000 in all), or a number from 0 to 999"),
        (" ", PETS.class_names, "' ' names no class: expected cat"),
    ],
)
def test_what_is_no_class_is_named_with_the_known_ones(text, names, said):
    with pytest.raises(UserError) as error:
        parse_labels(text, names)
    assert said in str(error.value)


def test_the_old_name_for_digits():
    assert sample_command.parse_digits("3141", 10).tolist() == [3, 1, 4, 1]


def test_file_names_are_safe():
    for names, expected in (("314", "314"), (["../../x", "a b"], "x-a-b"), (["日本"], ""), (["x" * 99], "x" * 40)):
        assert file_name_of(names) == expected


def test_samples_of_named_classes(command, pets, monkeypatch):
    where = pets / "generator"
    assert command(sample, "polar bear", "t-shirt/top", "cat", "--checkpoint", where)[0] == 0
    with Image.open("samples/pet-generator-polar-bear-T-shirt-top-cat-s0.png") as picture:
        assert picture.mode == "RGB" and picture.size == (2 * 32, 2 * 12)
        sheet = np.asarray(picture)
    images = np.asarray(cganjax.sample(KEY, [1, 2, 0], checkpoint=where))
    assert_array_equal(sheet[4:20:2, 4:20:2], np.round(images[0] * 255))
    code, _, err = command(sample, "horse", "--checkpoint", where)
    assert code == 2 and "expected cat, polar bear, T-shirt/top, dog, or a number from 0 to 3" in err
    assert command(sample, "--per-class", "3", "--checkpoint", where, "--out", "named.png")[0] == 0
    assert command(sample, "--per-class", "3", "--checkpoint", where, "--out", "plain.png", "--columns", "4")[0] == 0
    with Image.open("named.png") as named, Image.open("plain.png") as plain:
        assert named.size[0] > 2 * 32 + 20 and plain.size == (2 * 42, 2 * 32)
    lines = iter(["dog T-shirt/top", "mouse", ""])
    monkeypatch.setattr("builtins.input", lambda text: next(lines))
    code, out, _ = command(sample, "--checkpoint", where)
    assert code == 0 and "dog: samples/dog-s0-0-0.png" in out
    assert "T-shirt/top: samples/T-shirt-top-s0-0-1.png" in out and "'mouse' at position 0 is not a class" in out


# --- robustness -------------------------------------------------------------------------------------------------------


def linear(images):
    """Two classes by the sum of pixels against a threshold, so that FGSM is known by hand."""
    total = images.sum(axis=(1, 2, 3))
    return jnp.stack([jnp.zeros_like(total), 4 * (total - 2.0)], axis=1)


@pytest.mark.parametrize("loss", robustness.LOSSES)
def test_fgsm_by_hand(loss):
    images = jnp.array([[0.9, 0.9, 0.9, 0.9], [0.2, 0.2, 0.2, 0.2]]).reshape(2, 2, 2, 1)
    labels = jnp.array([1, 0])
    attacked = robustness.fgsm(linear, images, labels, jnp.array([0.0, 0.1, 0.5]), robustness.LOSSES[loss])
    assert attacked.shape == (3, 2, 2, 2, 1)
    assert_allclose(attacked[0], images)
    assert_allclose(attacked[1, 0], 0.8, atol=1e-6)
    if loss == "cross_entropy":
        assert_allclose(attacked[2, 1], 0.7, atol=1e-6)
    else:  # the logit of class 0 is constant, and only that one is seen
        assert_allclose(attacked[2, 1], 0.2, atol=1e-6)
    assert_allclose(robustness.fgsm(linear, images, labels, jnp.array([1.0]))[0, 1], 1.0)  # clipped


def test_the_curve_keeps_wrong_images_wrong():
    images = np.float32([0.9, 0.55, 0.2, 0.55]).reshape(4, 1, 1, 1) * np.ones((1, 2, 2, 1), np.float32)
    labels = np.array([1, 1, 0, 0])  # the last is wrong before the attack
    curve = robustness.curve(linear, images, labels, (0.0, 0.1, 0.2, 0.45), chunk=3)
    assert_allclose(curve.accuracy, [0.75, 0.5, 0.5, 0.0])
    assert curve.clean.tolist() == [1, 1, 0, 1]
    with pytest.raises(ValueError, match="4 images and 3 labels"):
        robustness.curve(linear, images, labels[:3])


def test_pgd_reaches_what_no_single_step_can():
    images = np.float32([0.9, 0.55, 0.2, 0.55]).reshape(4, 1, 1, 1) * np.ones((1, 2, 2, 1), np.float32)
    labels, epsilons = np.array([1, 1, 0, 0]), (0.0, 0.1, 0.2, 0.45)
    # Of a linear classifier the two are the same.
    for chunk in (3, 500):
        found = robustness.pgd_accuracy(KEY, linear, images, labels, epsilons, steps=10, chunk=chunk)
        assert_allclose(found, [0.75, 0.5, 0.5, 0.0])

    def narrow(images):  # wrong close to 0.6 alone, which a single long step leaps over
        x = images.mean(axis=(1, 2, 3))
        return jnp.stack([jnp.zeros_like(x), jnp.abs(x - 0.6) - 0.05], axis=1)

    image = np.full((8, 1, 1, 1), 0.5, np.float32)
    assert robustness.curve(narrow, image, np.ones(8, int), (0.4,)).accuracy == 1.0
    assert robustness.pgd_accuracy(KEY, narrow, image, np.ones(8, int), (0.4,), steps=40) == 0.0


def test_the_two_losses_against_their_definitions():
    logits, labels = jax.random.normal(KEY, (5, 3)), jnp.array([0, 1, 2, 1, 0])
    assert_allclose(robustness.nll_of_logits(logits, labels), [-logits[i, k] for i, k in enumerate(labels)])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    want = [-np.log(p[i, k]) for i, k in enumerate(labels)]
    assert_allclose(robustness.cross_entropy(logits, labels), want, rtol=1e-5)


@pytest.mark.slow
def test_the_robustness_command(command, data_dir):
    code, out, _ = command(
        robustness_command, "lenet5", "--images", "200", "--data-dir", data_dir, "--out", "rob", "--pgd", "5"
    )
    assert code == 0 and "PyTorch's FGSM tutorial" in out
    with open("rob/curve.csv") as file:
        table = {row[0]: [float(v) for v in row[1:]] for row in list(csv.reader(file))[1:]}
    ours = table["lenet5, cross_entropy"]
    assert ours[0] > 97 and ours[-1] < 50 and all(a >= b - 2 for a, b in zip(ours, ours[1:], strict=False))
    assert table["lenet5, published"][-1] == 15.96
    assert table["lenet5, PGD-5"][0] == ours[0] and table["lenet5, PGD-5"][-1] < ours[-1]
    for name in ("curve", "examples-cross_entropy", "examples-nll_of_logits"):
        with Image.open(f"rob/{name}.png") as picture:
            assert picture.size[0] > 300
    code, _, err = command(robustness_command, "--images", "200", "--data-dir", data_dir, "--out", "rob")
    assert code == 2 and "rob/curve.csv exists" in err
    code, _, err = command(robustness_command, "mnist", "--data-dir", data_dir)
    assert code == 2 and "holds no classifier" in err
    code, _, err = command(robustness_command, "--epsilons", "0", "25")
    assert code == 2 and "--epsilons has 25.0: give sizes within 0 and 1" in err
    code, _, err = command(robustness_command, "lenet5", "--size", "8")
    assert code == 2 and "--size is 8, and it is of the pictures of a folder: name that by --dataset" in err


# --- pi, AiGcMn, pattern_1010, read_back ------------------------------------------------------------------------------


def test_aigcmn_takes_every_kind_of_labels_and_repeats_by_seed():
    labels = [3, 1, 4, 1] * 16
    first = compat.AiGcMn(seed=5)
    a, b = first.generator(labels), first.generator(np.array(labels))
    assert a.shape == (64, 1, 28, 28) and a.dtype == np.float32 and type(a) is np.ndarray
    assert -1 <= a.min() < -0.99 and 0.9 < a.max() <= 1
    assert np.abs(a - b).max() > 0.1, "each call draws new noise"
    again = compat.AiGcMn("mnist", 5)
    assert_array_equal(again.generator(jnp.array(labels)), a)
    assert_array_equal(again.generator(tuple(labels)), b)
    assert np.abs(compat.AiGcMn(seed=6).generator(labels) - a).max() > 0.1
    lenet5 = cganjax.load_classifier("lenet5")
    assert np.mean(lenet5(a.transpose(0, 2, 3, 1) * 0.5 + 0.5).argmax(1) == np.array(labels)) > 0.9
    assert first.generator([7]).shape == (1, 1, 28, 28)


def test_aigcmn_takes_a_pytorch_tensor():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    labels = torch.tensor([3, 1, 4])
    assert_array_equal(compat.AiGcMn().generator(labels), compat.AiGcMn().generator([3, 1, 4]))
    with pytest.raises(TypeError, match="labels are float32"):
        compat.AiGcMn().generator(torch.tensor([3.0, 1.0]))


@pytest.mark.parametrize(
    "labels, kind, said",
    [
        ([1.5], TypeError, "labels are float64: expected integers from 0 to 9"),
        (["3"], TypeError, "expected integers"),
        ([3, 10], ValueError, r"labels\[1\] is 10: expected an integer from 0 to 9"),
        ([-1], ValueError, r"labels\[0\] is -1"),
        ([[1, 2]], ValueError, "labels have shape"),
    ],
)
def test_aigcmn_refuses_other_labels(labels, kind, said):
    with pytest.raises(kind, match=said):
        compat.AiGcMn().generator(labels)


def test_aigcmn_refuses_other_seeds_and_checkpoints(shelf):
    for seed, kind in ((-1, ValueError), (2**32, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="seed is"):
            compat.AiGcMn(seed=seed)
    with pytest.raises(TypeError, match="takes no labels"):
        compat.AiGcMn(str(shelf["pattern_1010"]))


def test_pi_draws_grids_of_the_first_64_digits(command, shelf):
    code, out, _ = command(pi, "--grids", "2", "--out", "pi")
    assert code == 0 and "64 digits of pi from mnist, 2 times: pi/grid-01.png and on" in out
    sheets = []
    for name in ("grid-01", "grid-02"):
        with Image.open(f"pi/{name}.png") as picture:
            sheets.append(np.asarray(picture))
    assert sheets[0].shape == (2 * (8 * 30 + 2),) * 2
    assert (sheets[0] != sheets[1]).any()
    digits = 1 - np.stack(
        [sheets[0][::2, ::2][2 + 30 * r : 30 + 30 * r, 2 + 30 * c : 30 + 30 * c] for r in range(8) for c in range(8)]
    ) / np.float32(255)
    read = cganjax.load_classifier("lenet5")(digits[..., None].astype(np.float32)).argmax(1)
    assert np.mean(read == np.array([int(d) for d in pi.PI])) > 0.9
    assert len(pi.PI) == 64 and pi.PI.startswith("31415926535897932384")
    code, _, err = command(pi, "--grids", "2", "--out", "pi")
    assert code == 2 and "pi/grid-01.png exists" in err and "--overwrite" in err
    code, _, err = command(pi, "--checkpoint", shelf["pattern_1010"])
    assert code == 2 and "takes no labels" in err


def test_pattern_1010_succeeds_from_most_seeds_and_its_loss_settles(command, monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.0)
    code, out, err = command(pattern_1010, "--seeds", "20", "--out", "p")
    under_way = [f"{what}: compiling, then training ..." for what in ("D alone", "GAN, one seed", "GAN, 20 seeds")]
    assert [line for line in err.splitlines() if line.endswith(" ...")] == under_way
    assert code == 0
    result = json.loads(Path("p/result.json").read_text())
    assert result["share_1010"] >= 0.9
    assert abs(result["loss_discriminator_last_tenth"] - 0.25) < 0.03
    assert result["discriminator_alone"]["real"] > 0.7 and result["discriminator_alone"]["noise"] < 0.3
    outputs = np.array(result["outputs"])
    assert outputs.shape == (11, 4) and pattern_1010.succeeds(outputs[-1]) and not pattern_1010.succeeds(outputs[0])
    assert {p.name for p in Path("p").iterdir()} == {"strip.png", "seeds.png", "curves.png", "result.json"}
    code, _, err = command(pattern_1010, "--steps", "15")
    assert code == 2 and "--steps is 15: give a multiple of 10" in err


def test_a_round_of_pattern_1010_is_a_step_of_train():
    run_config = config.override(recipes.load("pattern_1010"), ["steps=10"])
    outcome = pattern_1010.play(KEY, run_config)
    from cganjax import rng
    from cganjax.training import algorithms
    from cganjax.types import Batch

    trainer = algorithms.build(run_config, models.build(run_config, known.KNOWN[run_config.dataset]))
    now, step, d_loss = trainer.init(KEY), jax.jit(trainer.step), []
    for i in range(10):
        real = data.bright_dark(jax.random.fold_in(rng.stream(KEY, "data"), i), 1)
        now, info = step(KEY, now, Batch(real, jnp.zeros(1, jnp.int32)))
        d_loss.append(info.loss_discriminator)
    assert_allclose(outcome.loss_discriminator, d_loss, rtol=1e-5)
    assert isinstance(now, state.GANState)


def test_succeeds_by_hand():
    rows = jnp.array([[0.7, 0.3, 1.0, 0.0], [0.69, 0.0, 1.0, 0.0], [1.0, 0.31, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    assert pattern_1010.succeeds(rows).tolist() == [True, False, False, False]


def test_drawn_rows_lie_where_they_should():
    rows = np.asarray(data.bright_dark(KEY, 1000)).reshape(1000, 4)
    assert (rows[:, 0::2] >= 0.8).all() and (rows[:, 0::2] <= 1).all()
    assert (rows[:, 1::2] >= 0).all() and (rows[:, 1::2] <= 0.2).all()
    assert_allclose(rows.mean(0), [0.9, 0.1, 0.9, 0.1], atol=0.01)
    dataset = data.load("pattern_1010")
    assert dataset.images.dtype == np.float32 and dataset.images.shape == (10_000, 1, 4, 1)


def test_read_back_counts_by_hand(shelf, command):
    class Constant:
        def __call__(self, images):
            return jnp.tile(jnp.eye(10)[3], (len(images), 1))

    images = np.stack([np.full((2, 2, 1), v, np.float32) for v in (0, 1, 0.5, 0.5)])
    row = read_back.figures(images, np.array([3, 3, 5, 5]), {"three": Constant()})
    assert row == {"std": 0.25, "three": {"accuracy": 0.5, "by_class": [1.0, 0.0]}}
    code, _, err = command(read_back, shelf["pattern_1010"])
    assert code == 2 and "takes no labels, so none can be read back" in err


def test_read_back_of_the_flagship(command):
    code, out, _ = command(read_back, "mnist", "--json", "x.json")
    (row,) = json.loads(Path("x.json").read_text())["rows"].values()
    assert code == 0 and row["lenet5"]["accuracy"] > 0.97 and 0.1 < row["std"] < 0.2


def test_confidences_of_each_kind():
    numbers = jnp.array([[1.0, -2.0, 0.5]])
    assert_allclose(scores.confidences(numbers, "logits").sum(), 1, rtol=1e-6)
    assert_allclose(scores.confidences(numbers, "sigmoid"), 1 / (1 + np.exp(-numbers)), rtol=1e-6)
    assert_allclose(scores.confidences(numbers, "probabilities"), numbers)


def test_weights_are_read_with_their_statistics(shelf):
    weights = cganjax.load(shelf["label_score"]).weights
    assert isinstance(weights, Weights) and set(weights.statistics) == {"BatchNorm_0", "BatchNorm_1", "BatchNorm_2"}


def test_doctor_tries_every_role(command, shelf, monkeypatch):
    from cganjax import health
    from cganjax.commands import doctor

    monkeypatch.setattr(ckpt, "shipped", lambda: {"one": shelf["label_score"], "two": shelf["pattern_1010"]})
    monkeypatch.setattr(ckpt, "find", lambda name: {"one": shelf["label_score"], "two": shelf["pattern_1010"]}[name])
    monkeypatch.setattr(health, "CHECKS", {"checkpoints": health.CHECKS["checkpoints"]})
    code, out, _ = command(doctor)
    assert code == 0
    for said in (
        "generator, image (28, 28, 1)",
        "discriminator, output (10,)",
        "classifier, output (10,)",
        "generator, image (1, 4, 1)",
        "discriminator, output (1,)",
    ):
        assert said in out


def test_compat_is_there_after_a_plain_import():
    code = "import cganjax; print(cganjax.compat.AiGcMn.__name__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "AiGcMn\n"


@pytest.mark.parametrize("name", ["label_score", "pattern_1010"])
def test_float32_where_the_user_has_64_bits(shelf, name):
    asked = {"n": 2} if name == "pattern_1010" else {"labels": [1, 2]}
    with jax.enable_x64(True):
        images = cganjax.sample(jax.random.key(1), **asked, checkpoint=shelf[name])
        assert images.dtype == jnp.float32
        assert cganjax.load_discriminator(shelf[name])(images).dtype == jnp.float32


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--recipe", "mlp_gan", "--set", "target=one_hot"], "target is one_hot, but family mlp_gan takes no labels"),
        (
            ["--recipe", "label_score", "--set", "family=mlp_gan"],
            "target is one_hot, but family mlp_gan takes no labels",
        ),
        (["--recipe", "label_score", "--set", "family=lenet5"], "family lenet5 builds no generators"),
        (["--recipe", "lenet5", "--set", "family=mlp_gan"], "family mlp_gan builds no classifiers"),
        (["--recipe", "lenet5", "--set", "momentum=1"], "momentum is 1.0: it must be 0 or more, below 1"),
        (["--recipe", "mlp_gan", "--set", "loss=hinge"], "loss is hinge: it must be one of bce, mse"),
        (["--recipe", "mlp_gan", "--set", "share_fake=maybe"], "share_fake=maybe: expected true or false"),
    ],
)
def test_settings_that_cannot_work_get_one_sentence(command, arguments, said, tmp_path):
    for more in ([], ["--dry-run"]):
        code, _, err = command(train, *arguments, *more)
        assert code == 2 and said in err and not (tmp_path / "runs").exists()


def test_curves_of_a_part_of_a_run(command, tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    code, out, err = command(curves, "run", "--to", "4")
    assert (code, err) == (0, "") and out == "run/curves-0-4.png\n"
    with Image.open("run/curves-0-4.png") as picture:
        assert picture.size[0] > 300
    refused = {
        ("run", "--to", "4"): "exists",
        ("run", "--from", "7"): "no metrics of steps 7 to 6",
        ("nowhere",): "nowhere holds no metrics.jsonl",
    }
    for arguments, said in refused.items():
        code, _, err = command(curves, *arguments)
        assert code == 2 and said in err
