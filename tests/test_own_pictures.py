"""Folders of pictures as users have them: of several sizes and modes, resized, read again by a record, or refused."""

import json
import shutil
import time
from pathlib import Path

import jax
import numpy as np
import own_pictures
import pytest
from PIL import ExifTags, Image

from cganjax import data, memory, waiting
from cganjax.data import decoded, known, pictures
from cganjax.types import BadArgument, DataError, UserError

SPLITS = ("train", "test")


@pytest.fixture(autouse=True)
def _nothing_kept():
    decoded._last.clear()


@pytest.fixture(autouse=True)
def _promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """48 pictures of three classes and eight sizes. Copy it before changing it."""
    return own_pictures.photos(tmp_path_factory.mktemp("own") / "photos", n=48)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def a_folder(folder, *shapes, classes=("a", "b")):
    """A PNG of each of these shapes in each class, all different."""
    for k, name in enumerate(classes):
        for i, shape in enumerate(shapes):
            save(folder / name / f"{i}.png", noise(*shape, seed=100 * k + i))
    return folder


def one(path, size):
    """The pixels of a single picture."""
    return decoded.decode([path], size).images[0]


def refused(*arguments, **named):
    """What is said of a data set that is refused: one sentence."""
    with pytest.raises(UserError) as error:
        data.dataset(*arguments, **named)
    text = str(error.value)
    assert "\n" not in text and not text.endswith("."), text
    return text


# --- one size: as it is -----------------------------------------------------------------------------------------------


def test_images_of_one_size_keep_their_bits_and_fingerprints(tmp_path):
    folder = tmp_path / "mine"
    for i in range(24):
        shape = (6, 5) if i % 5 else (6, 5, 3)
        save(
            folder / "ab"[i % 2] / f"{i:02}.png",
            (np.arange(np.prod(shape)) * (i + 1) % 251).astype(np.uint8).reshape(shape),
        )
    found = {split: data.dataset(folder, split=split) for split in SPLITS}
    assert {split: (d.images.shape, d.fingerprint[:16]) for split, d in found.items()} == {
        "train": ((20, 6, 5, 3), "263b3ecec61fb90c"),
        "test": ((4, 6, 5, 3), "f2d8e46585715126"),
    }
    assert all(
        d.size is None and d.notes == ("19 of 24 images are grey: all were read as RGB",) for d in found.values()
    )


def test_the_size_that_pictures_have_changes_nothing(tmp_path):
    folder = a_folder(tmp_path / "mine", *[(12, 12, 3)] * 3)
    as_it_is, asked = data.dataset(folder, split="all"), data.dataset(folder, split="all", size=12)
    assert asked._replace(size=None).fingerprint == as_it_is.fingerprint and (as_it_is.size, asked.size) == (None, 12)
    assert asked.notes == as_it_is.notes == ()


# --- several sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "side"), [(None, 32), (32, 32), (20, 20), (64, 64)])
def test_several_sizes_are_cropped_and_resized_and_a_note_says_so(photos, size, side):
    found = data.dataset(photos, split="all", size=size)
    assert (found.images.shape, found.size) == ((48, side, side, 3), side)
    advice = "; --size N chooses another size" if size is None else ""
    assert found.notes == (
        "images of 8 sizes, from 30x40 to 240x180 pixels: each was cropped to its centre square and resized to "
        f"{side}x{side}{advice}",
        "12 of 48 images are grey: all were read as RGB",
    )
    assert found.spec.class_names == ("balls", "fields", "towers")


def test_without_a_size_it_is_as_with_the_one_that_was_taken(photos):
    for split in SPLITS:
        assert data.dataset(photos, split=split).fingerprint == data.dataset(photos, split=split, size=32).fingerprint


@pytest.mark.parametrize(
    ("shape", "said"),
    [((12, 12), "images of 12x12 pixels: each was resized"), ((9, 12), "12x9 pixels: each was cropped to its centre")],
)
def test_the_note_about_one_size(tmp_path, shape, said):
    (note,) = data.dataset(a_folder(tmp_path / "mine", shape, shape), split="all", size=8).notes
    assert said in note and note.endswith("resized to 8x8")


def test_the_centre_square_is_kept_and_nothing_else(tmp_path):
    for height, width in ((40, 90), (90, 40), (41, 90)):
        image = np.zeros((height, width), np.uint8)
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image[top : top + side, left : left + side] = 200
        assert (one(save(tmp_path / "a.png", image), 16) == 200).all(), (height, width)
        decoded._last.clear()


def test_resizing_averages(tmp_path):
    """Every second pixel white: without a filter, all of the small image would be white, or black."""
    board = np.indices((128, 128)).sum(0) % 2 * np.uint8(255)
    assert np.abs(one(save(tmp_path / "a.png", board.astype(np.uint8)), 16).astype(int) - 127.5).max() < 2
    # A ramp stays one: its small pixels are the means of their areas.
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[:, None], (128, 128))
    small = one(save(tmp_path / "b.png", np.ascontiguousarray(ramp)), 16)[..., 0]
    np.testing.assert_allclose(small[2:-2, 3], ramp[:, 0].reshape(16, 8).mean(1)[2:-2], atol=0.5)


@pytest.mark.parametrize(("size", "side"), [((1200, 900), 32), ((601, 803), 64), ((777, 333), 16), ((120, 90), 32)])
def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path, size, side):
    width, height = size
    picture = own_pictures._DRAW["towers"](np.random.default_rng(0), width, height)
    path = save(tmp_path / "a.jpg", picture.clip(0, 255).astype(np.uint8), quality=95)
    whole = pictures.read(path, lambda image: image.copy())
    shape, full = pictures.read_reduced(path, 3 * side, lambda image, full: (image.size, full))
    assert full == whole.size == size and min(shape) >= min(3 * side, min(size))
    assert shape[0] < width or min(size) < 6 * side
    crop = min(size)
    left, top = (width - crop) // 2, (height - crop) // 2
    square = whole.crop((left, top, left + crop, top + crop)).resize((side, side), Image.Resampling.LANCZOS)
    apart = np.abs(one(path, side).astype(int) - np.asarray(square).astype(int))
    assert apart.max() <= 8 and apart.mean() < 0.6


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_turned_pictures_are_made_upright_before_they_are_cropped(tmp_path, kind, orientation):
    """The lower third of the upright picture is dark."""
    upright = Image.fromarray(np.full((300, 200, 3), 220, np.uint8))
    upright.paste((10, 10, 10), (0, 200, 200, 300))
    back = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = upright if orientation == 1 else upright.transpose(back[orientation])
    path = save(tmp_path / f"a.{kind}", stored, exif=exif)
    assert pictures.read_reduced(path, 48, lambda image, full: full) == (200, 300)
    small = one(path, 16).astype(int).mean((1, 2))  # the square is rows 50 to 250, so the dark is a quarter
    assert (small[:11] > 200).all() and (small[13:] < 30).all()


def test_each_mode_is_resized(tmp_path):
    """16-bit grey, palette, transparent, 1-bit and CMYK: a half of 51 (grey), or of red, beside white."""
    grey = np.full((60, 80), 255, np.uint8)
    grey[:, :40] = 51
    rgb = np.stack([np.full_like(grey, 255), np.where(grey == 51, 0, 255), np.where(grey == 51, 0, 255)], -1).astype(
        np.uint8
    )
    alpha = np.where(grey == 51, 255, 0).astype(np.uint8)
    left = {"grey": (51,), "red": (255, 0, 0)}
    for name, image, expected in (
        ("16.png", Image.fromarray(grey.astype(np.uint16) * 257), left["grey"]),
        ("palette.png", Image.fromarray(rgb).quantize(4), left["red"]),
        ("grey_palette.png", Image.fromarray(grey).convert("P"), left["grey"]),
        ("alpha.png", Image.fromarray(np.dstack([rgb, alpha])), left["red"]),
        ("bit.png", Image.fromarray(grey > 100), (0,)),
        ("cmyk.jpg", Image.fromarray(rgb).convert("CMYK"), left["red"]),
    ):
        small = one(save(tmp_path / name, image), 12)
        assert small.shape == (12, 12, len(expected)), name
        assert np.abs(small[:, :5].astype(int) - expected).max() < 6 and small[:, 7:].min() > 250, name


def test_train_and_test_folders_are_kept(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "mine/train")
    own_pictures.photos(tmp_path / "mine/test", n=12, seed=1, sizes=((50, 70),))
    found = [data.dataset(tmp_path / "mine", split=split) for split in SPLITS]
    assert [d.images.shape for d in found] == [(48, 32, 32, 3), (12, 32, 32, 3)]
    assert "images of 9 sizes" in found[0].notes[0] and found[0].notes == found[1].notes


def test_a_data_set_is_decoded_once_for_both_parts_and_again_if_a_file_changes(photos, tmp_path, monkeypatch):
    folder, read = shutil.copytree(photos, tmp_path / "mine"), []
    reader = pictures.read_reduced
    monkeypatch.setattr(pictures, "read_reduced", lambda path, *rest: read.append(path) or reader(path, *rest))
    before = [data.dataset(folder, split=split, size=16) for split in SPLITS]
    assert len(read) == 48 and sum(len(d.images) for d in before) == 48
    save(read[0], noise(50, 50, seed=9))
    after = data.dataset(folder, split="all", size=16)
    assert len(read) == 96 and len(after.images) == 48
    data.dataset(folder, size=20)
    assert len(read) == 144


# --- what the commands print ------------------------------------------------------------------------------------------


def test_reading_many_pictures_says_how_many_are_left(capsys, monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.0)
    monkeypatch.setattr(waiting, "AGAIN", 0.02)
    with waiting.Waiting("reading the data"):
        for _ in waiting.counted(range(2000), "pictures read"):
            time.sleep(0.0002)
    assert any(
        line.startswith("reading the data ...") and " of 2,000, about " in line and line.endswith("s left)")
        for line in capsys.readouterr().err.splitlines()
    )
    assert [*waiting.counted([1, 2], "alone")] == [1, 2] and not waiting._open


# --- from the command to the record and back --------------------------------------------------------------------------

RECIPE = [
    "--recipe",
    "surrogate_mlp",
    "--set",
    "batch_size=8",
    "--set",
    "classifier.hidden=8",
    "--set",
    "epoch_steps=2",
]


def test_a_run_on_resized_pictures_is_resumed_reproduced_and_read_again(photos, command, tmp_path):
    from cganjax.commands import reproduce
    from experiments import train

    folder = shutil.copytree(photos, tmp_path / "photos")
    line = (*RECIPE, "--dataset", "photos/", "--size", 12, "--steps", 4, "--out", "run")
    code, out, err = command(train, *line, "--stop-after", 2)
    assert code == 0 and "warning: images of 8 sizes, from 30x40 to 240x180 pixels: each was cropped" in err
    code, _, err = command(train, *line)
    assert code == 0, err
    config, manifest = (json.loads(Path(f"run/{name}.json").read_text()) for name in ("config", "manifest"))
    assert (config["size"], manifest["data"]["size"], manifest["steps"]) == (12, 12, 4)
    from cganjax import sampling
    from cganjax.evaluation import reference

    extractor = sampling.load_classifier("run")
    card, expected = extractor.card, data.dataset(folder, split="test", size=12)
    assert card["data"]["size"] == 12
    for source in (None, "photos/"):
        assert reference.splits(extractor, source, None)[0].fingerprint == expected.fingerprint
    with pytest.raises(UserError, match="--size goes with --dataset"):
        reference.splits(extractor, None, None, 12)
    assert data.of_card(card, "test").fingerprint == expected.fingerprint
    folder.rename(tmp_path / "moved")
    assert data.of_card(card, "test", tmp_path / "moved").fingerprint == expected.fingerprint
    code, out, err = command(reproduce, "run", "--steps", 2, "--dataset", "moved/")
    assert code == 0, out + err
    code, _, err = command(reproduce, "run", "--steps", 2, "--dataset", "moved/", "--size", 16)
    assert code == 2 and "holds other images" in err


def test_the_size_that_was_chosen_is_recorded_too(photos, tmp_path):
    from cganjax.training import config as cfg
    from cganjax.training import manifest, session

    dataset = data.dataset(photos)
    config = session._resolve("digits", dataset, None, None)
    assert config.size == 32 and manifest.manifest(config, dataset, [])["data"]["size"] == 32
    plain = data.dataset("digits")
    assert "size" not in manifest.manifest(cfg.check(config), plain, [])["data"]
    assert [part.size for part in data.divide(dataset)] == [32, 32]


@pytest.mark.parametrize("layout", ["{}.npz", "{0}/{0}.npz"])
def test_cifar10_small_is_found_by_name_with_its_classes(tmp_path, layout):
    images, labels = noise(20, 32, 32, 3), np.arange(20) % 10
    path = tmp_path / layout.format("cifar10_small")
    path.parent.mkdir(exist_ok=True)
    np.savez(path, x_train=images, y_train=labels, x_test=images[::-1], y_test=labels[::-1])
    found = data.load("cifar10_small", "train", tmp_path)
    assert (found.name, found.spec.shape, found.spec.class_names[:2]) == (
        "cifar10_small",
        (32, 32, 3),
        ("airplane", "automobile"),
    )
    (tmp_path / "none").mkdir()
    for where in (None, tmp_path / "none"):
        assert "put IDX files or cifar10_small.npz there" in refused("cifar10_small", data_dir=where)
    assert found.spec.class_names[9] == "truck" and found.spec == known.KNOWN["cifar10_small"]


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 3, 1025, -32, True, 32.0, "32"])
def test_a_bad_size_is_one_sentence(photos, size, command):
    from experiments import train

    assert f"size is {size!r}: expected a whole number of at least 4, at most 1024" in refused(photos, size=size)
    if type(size) is int:
        code, _, err = command(train, *RECIPE, "--dataset", photos, "--size", size)
        assert code == 2 and f"argument --size: '{size}' is no whole number from 4 to 1,024" in err


@pytest.mark.parametrize("source", ["digits", "mine.npz", "arrays"])
def test_only_folders_are_resized(tmp_path, source):
    images, labels = noise(12, 8, 9, 1), np.arange(12) % 2
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    given = {"images": images, "labels": labels} if source == "arrays" else {"source": source}
    given |= {"source": tmp_path / source} if source == "mine.npz" else {}
    said = refused(**given, size=32)
    pixels = "28x28" if source == "digits" else "9x8"
    assert (
        said.startswith("size is 32 and ") and f"has images of {pixels} pixels: only the pictures of a folder" in said
    )
    if source == "digits":
        assert data.dataset(source, size=28).fingerprint == data.dataset(source).fingerprint


def test_networks_that_refuse_a_size_recommend_another(command, tmp_path):
    from experiments import train

    a_folder(tmp_path / "mine", *[(30, 30)] * 12)
    for more in ((), ("--dry-run",)):
        code, _, err = command(train, "--recipe", "digits", "--dataset", "mine/", *more)
        assert code == 2 and "30x30x1, 2 classes: it supports a height and a width divisible by 4" in err
        assert "--size 32" in err and err.count("error:") == 1
    code, _, err = command(train, "--recipe", "digits", "--dataset", "mine/", "--size", 32, "--dry-run")
    assert code == 2 and "batch_size is 64 but mine (train) holds 20 images" in err
    assert "choose a smaller batch, such as --set batch_size=16" in err


def test_pictures_that_do_not_fit_into_the_memory_are_refused_at_the_first(tmp_path, monkeypatch):
    folder = a_folder(tmp_path / "mine", *[(50, 50, 3)] * 3)
    monkeypatch.setattr(memory, "_of_machine", lambda: 100_000)
    monkeypatch.setattr(memory, "_of_limits", lambda: [])
    with pytest.raises(
        BadArgument,
        match="6 images of 50x50 pixels, such as .*a/0.png, need 132 KiB and 98 KiB are free: --size 32 makes them",
    ):
        data.dataset(folder)
    assert data.dataset(folder, size=32).size == 32
    grey_first = a_folder(tmp_path / "grey", (50, 50), *[(50, 50, 3)] * 2)
    with pytest.raises(BadArgument, match="6 images of 50x50 pixels, such as .*a/1.png, need 132 KiB"):
        data.dataset(grey_first)  # all become RGB
    # Of several sizes they fit, because they become smaller; that some are turned is a difference too.
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for name, image, options in (("a/first.jpg", noise(50, 60, 3), {}), ("b/z.jpg", noise(50, 60, 3), {"exif": exif})):
        save(tmp_path / "several" / name, image, **options)
        save(tmp_path / "several" / name.replace(".", "2."), noise(50, 60, 3, seed=1), **options)
    assert data.dataset(tmp_path / "several").size == 32


def test_more_than_1000_classes_are_refused_before_a_picture_is_read(tmp_path):
    for k in range(1001):
        (tmp_path / f"mine/{k:04}").mkdir(parents=True)
        (tmp_path / f"mine/{k:04}/a.png").write_text("no image")
    said = refused(tmp_path / "mine")
    assert "mine holds 1,001 class folders: expected at most 1,000; join some, or remove them" in said


def _one_class(folder):
    shutil.rmtree(folder / "b")


def _empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def _no_images(folder):
    for path in folder.glob("*/*"):
        path.unlink()


def _broken(folder):
    path = folder / "b/0.png"
    path.write_bytes(path.read_bytes()[:60])


def _broken_jpeg(folder):
    path = save(folder / "a/large.jpg", noise(200, 300, 3))
    path.write_bytes(path.read_bytes()[:9000])


BAD = {
    r"holds one class folder \(a\): expected at least two; put the images of each class into a folder of": _one_class,
    "mine holds no sub-folder: put PNG or JPEG files into one sub-folder per class": _empty,
    "the class folder .*a holds no PNG or JPEG file: add images or remove the folder": _no_images,
    r"b/0.png cannot be read as an image \(.*\): replace or remove it": _broken,
    r"large.jpg cannot be read as an image \(image file is truncated.*\): replace or remove it": _broken_jpeg,
}


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("said", BAD)
def test_folders_that_are_refused(tmp_path, said, size):
    folder = a_folder(tmp_path / "mine", (8, 8), (20, 30, 3))
    BAD[said](folder)
    refused(folder, size=size)
    with pytest.raises(DataError, match=said):
        data.dataset(folder, size=size)
