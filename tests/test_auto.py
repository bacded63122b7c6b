"""Recipe `auto`, and `cganjax train DATA`: what is chosen, what is said, how it resumes, and what it ends with."""

import dataclasses
import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cganjax
from cganjax import recipes, reproduction
from cganjax.commands import _own_images
from cganjax.evaluation import beside
from cganjax.recipes import auto
from cganjax.spec import ImageSpec
from cganjax.training import config as cfg
from cganjax.types import CheckpointError, UserError
from experiments import train

ROOT = Path(__file__).resolve().parents[1]
SPEC = ImageSpec(28, 28, 1, ("bag", "shirt", "trouser"))
NAMES = ("bright", "dark", "half")
TINY = (
    "steps=4",
    "augment=0",
    "batch_size=16",
    "generator.latent_size=4",
    "generator.hidden=8",
    "generator.width_7=4",
    "generator.width_14=4",
    "discriminator.width_7=4",
    "discriminator.width_14=4",
    "discriminator.hidden=8",
    "checkpoint_every=2",
    "sample_every=2",
)
FLAGS = [word for pair in TINY for word in ("--set", pair)]


def squares(n, seed=0):
    """Images of three classes that differ by their brightness: uint8 [n, 8, 8, 1], int [n]."""
    random, labels = np.random.default_rng(seed), np.arange(n) % 3
    images = random.integers(0, 60, (n, 8, 8, 1)) + np.array([190, 0, 90])[labels, None, None, None]
    return images.astype(np.uint8), labels


def write_folder(root, n, seed=0):
    for i, (image, label) in enumerate(zip(*squares(n, seed), strict=True)):
        path = root / NAMES[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    return root


@pytest.fixture
def my_images(tmp_path):
    return write_folder(tmp_path / "my_images", 60)


@pytest.fixture
def few_steps(monkeypatch):
    """The classifiers of the evaluation, with so few steps that they only serve to go the way."""
    monkeypatch.setattr(beside, "make", functools.partial(beside.make, steps=3))


@pytest.fixture(autouse=True)
def _promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        yield


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_the_table_on_the_page_is_the_rule():
    rows = re.findall(r"^ +([\d,]+) +(\d+) +([\d,]+) +(0\.\d+) +\d+ min$", recipes.page("auto"), re.MULTILINE)
    assert len(rows) == 6
    for images, batch_size, steps, augment in rows:
        chosen = auto.choose(SPEC, int(images.replace(",", "")))
        said = (int(batch_size), int(steps.replace(",", "")), float(augment))
        assert (chosen.batch_size, chosen.steps, chosen.augment) == said, images


@pytest.mark.parametrize("heading", ["Source", "Command", "Hardware", "Time", "Result"])
def test_the_page_says_what_every_page_says(heading):
    assert re.search(rf"^{heading} ", recipes.page("auto"), re.MULTILINE)


@pytest.mark.parametrize("images", [20, 21, 63, 64, 129, 1_000, 19_999, 10**6])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (8, 12, 1)])
def test_what_is_chosen_can_be_trained(images, shape):
    spec = ImageSpec(*shape, SPEC.class_names)
    config = cfg.check(dataclasses.replace(auto.choose(spec, images), dataset="mine"))
    assert config.batch_size <= images / 2 and config.sample_every < config.steps
    jax.eval_shape(cganjax.trainer(config, spec).init, jax.random.key(0))
    assert config == cfg.from_json(cfg.to_json(config))


def test_from_python_it_needs_a_data_set():
    images, labels = squares(60)
    dataset = cganjax.dataset(images=images, labels=labels, class_names=NAMES, name="squares")
    config = cganjax.recipe("auto", dataset)
    assert (config.recipe, config.dataset, config.batch_size) == ("auto", "squares", 16)
    assert cganjax.recipe("digits", dataset) == cganjax.recipe("digits"), "others do not look at it"
    for call in (cganjax.recipe, cganjax.train, functools.partial(cganjax.trainer, spec=SPEC)):
        with pytest.raises(UserError, match=r"none were given: give a data set too, as in cganjax.recipe\('auto', "):
            call("auto")
    with pytest.raises(TypeError, match="dataset is of type ndarray: give a Dataset"):
        cganjax.recipe("auto", images)


@pytest.mark.parametrize(
    "labels, said",
    [
        (
            np.arange(19) % 2,
            r"mine has 19 images to train on \(split train\): expected at least 20, because",
        ),
        (
            np.minimum(np.arange(30), 1),
            r"has one image of class 'cat' to train on \(split train\): expected at least 2 of each class",
        ),
        (np.arange(30) % 2 + 1, "has no image of class 'cat'"),
    ],
)
def test_a_set_that_is_too_small_is_told_why(labels, said):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 1), np.uint8)
    mine = cganjax.dataset(images=images, labels=labels, class_names=["cat", "dog", "owl"][: max(2, labels.max() + 1)])
    with pytest.raises(UserError, match=said):
        cganjax.train("auto", mine._replace(name="mine"))


def test_a_data_set_that_has_a_recipe_gets_it():
    assert recipes.of_data("mnist") == "mnist" and recipes.of_data("digits") == "digits"
    assert recipes.of_data("my_images/") == recipes.of_data("kmnist") == "auto"
    assert {*map(recipes.of_data, recipes.OF_DATA)} <= {*recipes.names()}


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_is_chosen(command, my_images):
    code, out, err = command(train, "my_images/", "--dry-run")
    assert (code, err) == (0, "") and "run folder runs/my_images-auto-s0" in out
    *_, images, networks, training = out.splitlines()
    assert images == "images: 51 to train on (split train), 8x8 grey, 17 of each of 3 classes (bright, dark, half)"
    assert re.fullmatch(r"networks: \w+, 0\.\d\d million parameters in the generator, 0\.\d\d million .*", networks)
    chosen = auto.choose(SPEC, 51)
    assert training.startswith(f"training: {chosen.steps:,} steps of 16 images, each image about ")


@pytest.mark.parametrize(
    "arguments, recipe, dataset",
    [
        ([], "mnist", "mnist"),
        (["digits"], "digits", "digits"),
        (["--dataset", "digits"], "digits", "digits"),
        (["--recipe", "mnist_fast", "digits"], "mnist_fast", "digits"),
    ],
)
def test_the_data_set_decides_the_recipe_unless_one_is_named(command, arguments, recipe, dataset):
    code, out, _ = command(train, *arguments, "--dry-run")
    values = dict(line.split()[:2] for line in out.splitlines() if line.startswith(("recipe ", "dataset ")))
    assert code == 0 and values == {"recipe": recipe, "dataset": dataset} and f"run folder runs/{recipe}-s0" in out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["my_images/", "--dataset", "mnist"], "DATA (my_images/) and --dataset (mnist) were given together"),
        (["--recipe", "auto"], "none were given: give DATA"),
        (["--recipe", "lenet5", "--evaluate"], "recipe lenet5 trains a classifier: leave it out"),
        (["nowhere/"], "nowhere does not exist"),
        (["one/"], "holds one class folder (a): expected at least two"),
        (["few/"], "has 15 images to train on (split train): expected at least 20"),
        (
            ["my_images/", "--split", "train[:10]"],
            "has 10 images to train on (split train[:10]): expected at least 20",
        ),
        (["my_images/", "--set", "size=16"], "--set size was given, and recipe auto chooses its settings by images"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_before_any_training(command, arguments, said, my_images, tmp_path):
    (tmp_path / "one/a").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "one/a/1.png")
    write_folder(tmp_path / "few", 18)
    code, _, err = command(train, *arguments)
    assert code == 2 and said in err and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_run_is_resumed_with_the_settings_that_it_began_with(command, my_images, monkeypatch):
    line = ["my_images/", *FLAGS, "--no-evaluate"]
    code, out, err = command(train, *line, "--stop-after", "2")
    assert code == 0 and "the same command resumes, with a later --stop-after" in out, err
    now = auto.choose
    monkeypatch.setattr(auto, "choose", lambda *of: dataclasses.replace(now(*of), ema_decay=0.5))  # a later version
    code, out, err = command(train, *line)
    assert code == 0 and "from step 2 to 4 of 4" in out, err

    # Nothing of what follows trains.
    def damaged(*of, **options):
        raise CheckpointError("card.json is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(beside, "find", damaged)
        code, out, err = command(train, "my_images/")
    assert (code, err) == (0, "warning: the samples were not evaluated: card.json is damaged\n") and "for more" in out
    assert command(train, "my_images/", "--no-evaluate")[1].endswith("at step 4 of 4: nothing to do\n"), "no flag again"
    code, _, err = command(train, *line, "--steps", "9")
    assert code == 2 and "holds a run with steps 4, and steps 9 was asked for" in err
    run = cganjax.train("auto", cganjax.dataset("my_images/"), out="runs/my_images-auto-s0")
    assert (run.begun, run.step, run.config.ema_decay) == (4, 4, 0.999), "from Python too"
    monkeypatch.chdir("runs")
    recorded = reproduction.read(Path("my_images-auto-s0"))
    assert len(reproduction.images(recorded, None, None).images) == 51, "`reproduce` finds them from any place"
    monkeypatch.chdir("..")

    # What prevents the evaluation is a warning: the training has done its work.
    def refuse(*of, **options):
        raise UserError("there is no place for it")

    monkeypatch.setattr(beside, "make", refuse)
    code, out, err = command(train, "my_images/")
    assert code == 0 and err == "warning: the samples were not evaluated: there is no place for it\n"
    assert "for more:\n  cganjax sample --checkpoint runs/my_images-auto-s0 'bright, dark, half'" in out

    write_folder(my_images, 66)  # more images than before
    code, _, err = command(train, *line)
    assert code == 2 and "was trained on other images than those of the folder my_images" in err
    with pytest.raises(UserError, match="was trained on other images"):
        cganjax.train("auto", cganjax.dataset("my_images/"), out="runs/my_images-auto-s0")


# --- what it ends with ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_ends_with_an_evaluation_and_the_commands_for_more(command, my_images, few_steps, tmp_path):
    write_folder(my_images, 150)
    code, out, err = command(train, "my_images/", *FLAGS, "--data-dir", ".")
    assert code == 0, err
    assert (tmp_path / "my_images.reference").is_dir()
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("evaluation: ") and " real " in line)
    assert re.fullmatch(
        r"evaluation: 12\d samples, and 12\d training images as real ones, against 2\d test images of my_images, by "
        r"my_images-extractor, made from .*my_images on its 12\d training images",
        lines[start],
    )
    names = [line.split()[0] for line in lines[start + 2 : start + 8]]
    assert names == ["accuracy", "frechet", "precision", "recall", "coverage", "pixel_std"]
    assert all(len(re.findall(r"\d\.\d{3}", line)) == 2 for line in lines[start + 2 : start + 8])
    assert lines[start + 8].startswith("memorisation: a sample lies nearer to a training image than a test image does")
    more = lines[lines.index("for more:") + 1 :]
    assert more[0] == "  cganjax sample --checkpoint runs/my_images-auto-s0 'bright, dark, half'"
    assert more[1] == "  cganjax evaluate runs/my_images-auto-s0 --data-dir ."
    decoy = " --target my_images.reference/classifier --checkpoint runs/my_images-auto-s0"
    assert more[2] == f"  cganjax decoy 'bright, dark, half'{decoy}"
    assert more[3].endswith(" --extend-to 8")

    code, out, err = command(train, "my_images/", "--data-dir", ".")
    assert code == 0 and "nothing to do" in out and "memorisation: " in out, "it is measured again"
    assert "training the extractor" not in out, "by the same classifiers"


def test_the_sentence_on_memorisation():
    random = np.random.default_rng(0)
    training, unseen, samples = (random.random((n, 8, 8, 1), np.float32) for n in (200, 60, 300))
    assert "no sign" in _own_images.memorisation(samples, training, unseen)
    copies = training[random.integers(0, 200, 300)]
    said = _own_images.memorisation(copies + 0.01 * samples, training, unseen)
    assert "in 100% of all pairs" in said and "copies of training images" in said
    half = np.concatenate([copies[:150], samples[:150]])
    assert "memorised in part" in _own_images.memorisation(half, training, unseen)
    assert "at least 20 test images" in _own_images.memorisation(samples, training, unseen[:19])


def test_the_fraction_of_pairs_counts_pairs():
    random = np.random.default_rng(1)
    mine, theirs = random.integers(0, 9, 40), random.integers(2, 12, 30)
    pairs = [(a < b) + 0.5 * (a == b) for a in mine for b in theirs]
    np.testing.assert_allclose(_own_images.fraction_below(mine, theirs), np.mean(pairs))


@pytest.mark.slow
def test_the_whole_command_is_interrupted_and_goes_on(tmp_path):
    """As a user would: the networks that it chooses, Ctrl-C, and the same command again."""
    write_folder(tmp_path / "my_images", 150)
    line = [sys.executable, "-m", "cganjax", "train", "my_images/", "--steps", "40", "--set", "checkpoint_every=10"]
    env = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        line, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        log = tmp_path / "runs/my_images-auto-s0/metrics.jsonl"
        while not (log.exists() and log.read_text()):
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        said = run.stdout.read()
    assert run.returncode == 130 and "the same command resumes" in said and "evaluation" not in said
    again = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "to 40 of 40" in again.stdout and "memorisation: " in again.stdout
    (grid,) = re.findall(r"^samples: (.*)$", again.stdout, re.MULTILINE)
    with Image.open(tmp_path / grid) as picture:
        assert picture.size[0] > picture.size[1], "three rows of ten samples"
    sample = next(text for text in again.stdout.splitlines() if text.startswith("  cganjax sample "))
    words = [sys.executable, "-m", *sample.split("'")[0].split(), sample.split("'")[1], "--out", "some.png"]
    assert subprocess.run(words, cwd=tmp_path, env=env).returncode == 0 and (tmp_path / "some.png").exists()
