"""An extractor for one's own images: made by one command, kept beside them, found again, and used for them alone."""

import contextlib
import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import own_pictures
import pytest

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import data, evaluation, run_folder, sampling
from cganjax.commands import _own_images
from cganjax.commands import evaluate as evaluate_command
from cganjax.commands import reference as reference_command
from cganjax.evaluation import beside, defaults, networks, places
from cganjax.evaluation import reference as references
from cganjax.run_lock import RunLock
from cganjax.types import UserError

ROWS = evaluation.ROWS
STEPS = 3  # of every training here: one program serves them all


def squares(path, seed=0, count=240, names=("bars", "dots"), side=8):
    """Write an .npz file of small drawings: bars or dots at random places."""
    random = np.random.default_rng(seed)
    images, labels = np.zeros((count, side, side, 1), np.uint8), np.arange(count) % 2
    for image, label, at in zip(images, labels, random.integers(0, side, (count, 2)), strict=True):
        image[at[0]] = random.integers(150, 256)
        if label:
            image[at[0]] = 0
            image[at[0], at[1]] = random.integers(150, 256)
    np.savez(path, images=images, labels=labels, class_names=np.array(names))
    return path


def splits(path):
    return [cganjax.dataset(path, split=split) for split in ("train", "test")]


@pytest.fixture(scope="module", autouse=True)
def promotion():
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory, promotion):
    """A folder with mine.npz, its extractor, and a short run on it."""
    folder = tmp_path_factory.mktemp("home")
    train, test = splits(squares(folder / "mine.npz"))
    made = beside.make(train, test, progress=False, steps=STEPS)
    assert made == folder / "mine.reference" / "extractor"
    config = dataclasses.replace(
        cganjax.recipe("digits"), steps=2, batch_size=8, sample_every=2, checkpoint_every=2, log_every=1
    )
    cganjax.train(config, train, out=folder / "run", progress=False)
    return folder


@pytest.fixture
def own(home, tmp_path):
    """A copy that a test may change."""
    for name in ("mine.reference", "run"):
        shutil.copytree(home / name, tmp_path / name)
    shutil.copy(home / "mine.npz", tmp_path)
    return tmp_path


def record(folder):
    """What a manifest says of the data in a folder."""
    return places.record_of(cganjax.dataset(folder / "mine.npz"))


# --- what is made -----------------------------------------------------------------------------------------------------


def test_both_networks_and_the_reference_are_made_with_digests(home):
    folder = home / "mine.reference"
    assert sorted(p.name for p in folder.iterdir()) == ["classifier", "extractor"]
    for role in ("extractor", "classifier"):
        ckpt.verify(folder / role)
    extractor, classifier = (sampling.load_classifier(folder / role) for role in ("extractor", "classifier"))
    assert "extractor" in extractor.card["roles"] and "judge" in classifier.card["roles"]
    assert references.digest_of(extractor) != references.digest_of(classifier)
    made, train = extractor.card["data"], cganjax.dataset(home / "mine.npz")
    assert (made["fingerprint"], made["images"]) == (train.fingerprint, len(train.images))
    found = references.read(folder / "extractor", extractor)
    assert found.classifier == references.digest_of(classifier)
    assert found.about["split"] == "test" and set(found.rows) == set(ROWS)
    assert all(row["samples"] == len(train.images) for row in found.rows.values())


def test_sizes_and_steps_follow_the_number_of_images():
    def dataset(count, side=28, split="train"):
        images = np.zeros((count, side, side, 1), np.uint8)
        return data.Dataset("x", split, images, np.zeros(count), cganjax.ImageSpec(side, side, 1, ("a", "b")), "", "")

    seen = []
    for count, features in ((60, 8), (417, 32), (60_000, 128)):
        extractor, classifier = beside.plan(dataset(count), dataset(max(10, count // 6))).values()
        assert extractor.classifier["hidden"] == features and 2 * features <= max(16, count // 6)
        assert max(extractor.batch_size, classifier.batch_size) <= count and extractor.mirror == 0
        assert extractor.seed != classifier.seed and extractor.family != classifier.family
        seen.append(extractor.steps * extractor.batch_size)
    assert seen == sorted(seen) and seen[1] < 50_000
    odd = beside.plan(dataset(100, 10), dataset(20, 10)).values()
    assert [config.family for config in odd] == ["mlp", "mlp"]  # of sides that cannot be halved twice


def test_few_images_leave_metrics_out_and_say_so(tmp_path, capsys):
    train, test = splits(squares(tmp_path / "few.npz", count=60, side=10))
    beside.make(train, test, steps=2)
    out = capsys.readouterr().out
    assert "1 of 3: training the extractor: mlp (hidden 8, depth 2), 2 steps of 12 images" in out
    assert "3 of 3: measuring the real images" in out
    assert "memorisation is left out of the rows: it needs at least 60 images of the reference" in out
    assert "kid is left out" in out and "frechet is left out" not in out


# --- where it is, and whose it is -------------------------------------------------------------------------------------


def test_find_gives_what_was_made_for_these_images_alone(own):
    mine = record(own)
    extractor = own / "mine.reference" / "extractor"
    assert beside.find(mine) == extractor
    part = cganjax.dataset(own / "mine.npz", split="train[20:]")
    assert beside.find(places.record_of(part)) == extractor  # other rows of the same images
    assert beside.find(mine | {"place": "given arrays"}) is None
    moved = mine | {"place": "/elsewhere/mine.npz"}
    assert beside.find(moved) is None and beside.find(moved, own) == extractor
    squares(own / "mine.npz", seed=1)
    with pytest.warns(beside.OtherImages, match=r"mine.reference was made from other images than mine \(train\), so"):
        assert beside.find(record(own)) is None
    with pytest.warns(beside.OtherImages, match=r"make it again by cganjax reference .*mine.npz --overwrite"):
        assert beside.find(places.record_of(cganjax.dataset(own / "mine.npz", split="train[20:]"))) is None


def test_an_unfinished_one_does_not_count(own):
    (own / "mine.reference/extractor" / ckpt.REFERENCE).unlink()
    assert beside.find(record(own)) is None


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("/x/my_images", "/x/my_images.reference"),
        ("/x/v1.2", "/x/v1.2.reference"),
        ("/x/mine.npz", "/x/mine.reference"),
        ("", "/data/mine.reference"),
    ],
)
def test_the_place_beside_the_data(place, folder):
    record = {"name": "mine", "place": place}
    assert places.folder_for(record, "/data") == Path(folder)
    resized = Path(folder.replace(".reference", ".64.reference"))
    assert places.folder_for(record | {"size": 64}, "/data") == resized, "each size has an extractor of its own"


def test_what_is_shipped_is_for_its_data_set_alone():
    """Not for every set of ten classes that are called 0 to 9."""
    card = ckpt.checkpoints()[evaluation.EXTRACTOR]["data"]
    spec = {"spec": cganjax.ImageSpec.numbered(28, 28, 1, 10).to_json()}
    assert defaults.extractor_for(card | {"split": "train[:500]", "fingerprint": "x"}) == evaluation.EXTRACTOR
    assert defaults.extractor_for(card | {"name": "copy", "place": "/copy"}) == evaluation.EXTRACTOR
    assert defaults.extractor_for({"name": "digits", "num_classes": 10}) == evaluation.EXTRACTOR
    others = (
        {"name": "kuzushiji", "split": "train", "fingerprint": "x", "place": "/kuzushiji"} | spec,
        {"name": "mnist", "split": "train", "fingerprint": "x", "place": "/mine/mnist"} | spec,
        {"name": "mnist", "split": "train", "fingerprint": "other files under this name"} | spec,
        {"name": "numbers", "split": "train[:9]", "fingerprint": "x"} | spec,
        {"name": "mnist", "num_classes": 9},
    )
    for other in others:
        assert defaults.extractor_for(other) is None and defaults.classifier_for(other) is None, other


def test_a_new_shipped_extractor_needs_a_folder_alone(home, tmp_path, monkeypatch):
    """Of two data sets with the same shape and class names, each has its own."""
    other, _ = splits(squares(tmp_path / "other.npz", seed=5))
    for name, dataset in (("mine-v1", cganjax.dataset(home / "mine.npz")), ("other-v1", other)):
        folder = tmp_path / "shelf" / name
        shutil.copytree(home / "mine.reference/extractor", folder)
        card = ckpt.read_card(folder)
        parts = ckpt.read_weights(folder, card)
        ckpt.write_shipped(folder, card | {"name": name, "data": places.record_of(dataset) | {"place": ""}}, parts)
    monkeypatch.setattr(ckpt, "_SHELVES", (tmp_path / "shelf",))
    assert defaults.extractor_for(places.record_of(other)) == "other-v1"
    assert defaults.extractor_for(record(home)) == "mine-v1"
    figures = cganjax.evaluate(np.random.default_rng(0).random((300, 8, 8, 1)), metrics=["prdc"], real=other)
    assert figures["extractor"]["name"] == "other-v1"


# --- the commands -----------------------------------------------------------------------------------------------------


def test_evaluate_says_which_extractor_it_took_and_how_good_it_is(command, home):
    code, out, err = command(evaluate_command, home / "run", "--json", "a.json")
    assert (code, err) == (0, ""), err
    assert f"features by mine-extractor, made from {home / 'mine.npz'} on its 201 training images, SHA-256" in out
    assert "accuracy by mine-classifier, made with mine-extractor, SHA-256" in out
    assert "mine-extractor classifies" in out and "% of the test images of mine correctly; 201 real images have" in out
    assert "memorised_pixels" not in out and "memorisation is left out" in out  # of 40 test images
    written = json.loads(Path("a.json").read_text())
    assert set(written["rows"]) == set(ROWS) and written["samples"] == 201  # as many as there are training images
    assert written["extractor"]["chosen"].startswith("made from")
    quality = written["extractor_quality"]
    assert 0 < quality["test_accuracy"] <= 1 and quality["frechet_of_real"] == written["rows"][ROWS[0]]["frechet"]
    assert Path("runs/evaluate/run.png").stat().st_size > 1000


def test_evaluate_goes_by_the_stored_reference_if_the_images_are_gone(command, own):
    named = ("--extractor", own / "mine.reference")
    manifest = ckpt.read_card(own / "mine.reference/extractor")
    parts = ckpt.read_weights(own / "mine.reference/extractor", manifest)
    manifest["data"]["place"] = str(own / "gone.npz")
    ckpt.write_shipped(own / "mine.reference/extractor", manifest, parts)
    code, out, err = command(evaluate_command, own / "run", *named, "--metrics", "frechet", "accuracy")
    assert (code, err) == (0, ""), err
    assert "the images are not read: mine-extractor was trained on mine" in out
    assert "features by mine-extractor, named by you" in out and "accuracy by mine-classifier, made with" in out


def test_reference_makes_both_and_evaluate_takes_them_from_elsewhere(command, own, monkeypatch):
    monkeypatch.setattr(beside, "plan", few_steps(beside.plan))
    code, _, err = command(reference_command, own / "mine.npz")
    assert code == 2 and "mine.reference exists, made from" in err and "add --overwrite" in err
    code, _, err = command(reference_command, own / "mine.npz", "--out", own)
    assert code == 2 and "holds something else than a reference: give another folder by --out DIR" in err
    code, out, err = command(reference_command, own / "mine.npz", "--out", own / "else")
    assert (code, err) == (0, "") and f"{own / 'else'}: cganjax evaluate RUN --extractor {own / 'else'} uses it" in out
    assert places.extractor_in(own / "else") == own / "else/extractor" and places.is_whole(own / "else")


def test_pictures_are_resized_as_asked_for_and_as_their_runs_were(command, tmp_path, monkeypatch):
    """--size reaches the images of `reference` and of `evaluate`; records keep it, and so the extractor is found."""
    folder, size = own_pictures.photos(tmp_path / "photos", n=120), 12
    monkeypatch.setattr(beside, "plan", few_steps(beside.plan))
    code, out, err = command(reference_command, "photos/", "--size", size)
    assert code == 0 and "training and 18 test images of 12x12x3" in out, out + err
    extractor = tmp_path / "photos.12.reference/extractor"
    assert ckpt.read_card(extractor)["data"]["size"] == size
    for split in ("train", "train[9:]"):  # for the second one the images are read again
        resized = places.record_of(cganjax.dataset(folder, split=split, size=size))
        assert beside.find(resized) == extractor
    assert beside.find(places.record_of(cganjax.dataset(folder))) is None, "of 32x32"

    generators = {"run": SimpleNamespace(card={"data": resized})}
    for flags, side in (([], size), (["--size", "20"], 20)):
        args = evaluate_command.parser("evaluate").parse_args(["run", "--dataset", "photos/", *flags])
        assert evaluate_command._compared_with(args, generators).spec.shape == (side, side, 3)


def few_steps(plan):
    def planned(*datasets):
        return {role: dataclasses.replace(config, steps=STEPS) for role, config in plan(*datasets).items()}

    return planned


def test_an_interrupted_making_leaves_nothing_and_keeps_the_old(own, monkeypatch):
    train, test = splits(own / "mine.npz")
    before = {p: p.read_bytes() for p in (own / "mine.reference").rglob("*") if p.is_file()}

    def stop(folder, *arguments):
        folder.mkdir()
        (folder / ckpt.CARD).write_text("half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(beside, "_train", stop)
    for settings in ({"overwrite": True}, {"out": own / "new"}):
        with pytest.raises(KeyboardInterrupt):
            beside.make(train, test, progress=False, **settings)
    assert before == {p: p.read_bytes() for p in (own / "mine.reference").rglob("*") if p.is_file()}
    assert [p.name for p in (own / "mine.reference").iterdir() if p.suffix] == [] and not (own / "new").exists()


def test_what_a_killed_making_left_goes_and_only_one_process_writes(own, monkeypatch):
    train, test = splits(own / "mine.npz")
    target = own / "mine.reference"
    (target / "extractor.part/classifier").mkdir(parents=True)
    held = RunLock(target)
    with pytest.raises(UserError, match="mine.reference is in use by process"):
        beside.make(train, test, progress=False, overwrite=True)
    held.release()
    (target / run_folder.LOCK).write_text("of a killed process")

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(beside, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        beside.make(train, test, progress=False, overwrite=True)
    assert sorted(p.name for p in target.iterdir()) == ["classifier", "extractor"]


def test_a_kill_while_the_new_one_replaces_the_old_leaves_one_or_none(own, monkeypatch):
    mine, target = record(own), own / "mine.reference"
    replace, seen = os.replace, []
    for acts in range(5):
        part = target / "extractor.part"
        for role in ("extractor", "classifier"):
            shutil.copytree(own / "mine.reference.copy" / role if seen else target / role, part / role)
        if not seen:
            shutil.copytree(target, own / "mine.reference.copy", ignore=shutil.ignore_patterns("*.part"))
        left = iter(range(acts))

        def killed(*paths):
            next(left)  # noqa: B023
            replace(*paths)

        with monkeypatch.context() as patch, contextlib.suppress(StopIteration):
            patch.setattr(beside.os, "replace", killed)
            beside._move(part, target)
        seen.append(beside.find(mine) is not None)
        if seen[-1]:
            sampling.load_classifier(beside.find(mine))
            sampling.load_classifier(places.classifier_beside(beside.find(mine)))
        shutil.rmtree(target)
        shutil.copytree(own / "mine.reference.copy", target)
    assert seen == [True, False, False, False, True]


# --- what is refused, in one sentence ---------------------------------------------------------------------------------


def test_the_extractor_of_earlier_images_is_not_used_for_those_that_are_there_now(own):
    """Also if the generator was trained on the earlier ones."""
    generator = sampling.load(own / "run")
    generator.card["data"]["place"] = str(own / "mine.npz")
    assert networks.choose({"run": generator}, dataset=cganjax.dataset(own / "mine.npz")).beside_data
    squares(own / "mine.npz", seed=1)
    with pytest.warns(beside.OtherImages), pytest.raises(UserError, match="there is no extractor for such images"):
        networks.choose({"run": generator}, dataset=cganjax.dataset(own / "mine.npz"))


def test_the_evaluation_after_a_training_says_what_it_compares_with(home):
    generator, (train, test) = sampling.load(home / "run"), splits(home / "mine.npz")
    said = next(_own_images.evaluation(generator, train, test, None))
    assert "against 39 test images of mine, by mine-extractor, made from" in said
    with pytest.raises(UserError, match="mine.reference was made with other test images: make it again by cganjax ref"):
        next(_own_images.evaluation(generator, train, test._replace(fingerprint="other"), None))


def test_without_an_extractor_the_command_that_makes_one_is_named(command, home, own):
    shutil.rmtree(own / "mine.reference")
    generator = sampling.load(own / "run")
    generator.card["data"]["place"] = str(own / "mine.npz")
    with pytest.raises(UserError, match=rf"make one by cganjax reference {own}/mine.npz; or name one by"):
        networks.choose({"run": generator})
    code, _, err = command(evaluate_command, home / "run", "--extractor", "digits-v1")
    assert code == 2 and "generates images of (8, 8, 1), and digits-v1 takes (28, 28, 1): give an --extractor" in err


@pytest.mark.parametrize("file", ["card.json", "weights.npz", "reference.json", "reference.npz"])
def test_damaged_files_beside_the_data_are_named(command, own, file):
    path = own / "mine.reference/extractor" / file
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    code, _, err = command(evaluate_command, own / "run", "--extractor", own / "mine.reference", "--n", "200")
    assert code == 2 and err.count("\n") == 1 and str(path) in err, err
    assert "cganjax reference DATA --overwrite makes all files in" in err


def test_a_place_that_cannot_be_written_asks_for_another(own, command):
    train, test = splits(own / "mine.npz")
    (own / "file").write_text("")
    with pytest.raises(UserError, match=r"write elsewhere by --out DIR, and then give evaluate --extr"):
        beside.make(train, test, out=own / "file/x", progress=False)
    code, _, err = command(reference_command, "digits")
    assert code == 2 and "digits lies in no folder, so there is no place beside it: say where to write by --out" in err
    code, _, err = command(reference_command, own / "mine.npz", "--extractor", "digits-v1")
    assert code == 2 and "and --extractor was given: give DATA alone" in err
    code, _, err = command(reference_command, "--extractor", "digits-v1", "--out", "x")
    assert code == 2 and "--out was given without DATA" in err
