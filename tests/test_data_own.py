"""The user's own images: folders, .npz files, arrays, registered sets; and back from a card to its data set."""

import copy
import doctest
import importlib
import pickle
import pkgutil

import numpy as np
import pytest
from PIL import Image
from test_data import write_idx

from cganjax import data
from cganjax.data import record, sources, splits
from cganjax.spec import ImageSpec
from cganjax.types import CheckpointError, DataError, DataTypeError, UserError

NAMES = ("apple", "bird", "cat")


@pytest.fixture(autouse=True)
def _registered_sets(monkeypatch):
    """What a test registers ends with it."""
    monkeypatch.setattr(sources, "LOADERS", dict(sources.LOADERS))


def some(channels=1, n=36, size=(6, 5), seed=0):
    """n images of three classes: uint8 [N, H, W, C], int [N]."""
    images = np.random.default_rng(seed).integers(0, 256, (n, *size, channels), np.uint8)
    return images, np.arange(n) % 3


def write_png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path)
    return path


def write_folder(folder, images, labels, names=NAMES, order=None):
    """One PNG file per image, in an order that its file name shows."""
    for i, k in enumerate(np.arange(len(images)) if order is None else order):
        write_png(folder / names[labels[k]] / f"{i:03}.png", images[k])
    return folder


def save(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and not text.endswith("."), text
    return text


# --- a table of sources: the same images give the same data set -------------------------------------------------------


def _folder(root, x, y):
    return {"source": write_folder(root / "mine", x, y)}


def _folder_turned(root, x, y):
    return {"source": f"{write_folder(root / 'mine', x, y, order=np.arange(len(x))[::-1])}/"}


def _npz(root, x, y):
    return {"source": save(root / "mine.npz", images=x, labels=y, class_names=np.array(NAMES))}


def _npz_names(root, x, y):
    return {"source": str(save(root / "mine.npz", images=x, labels=y)), "class_names": NAMES}


def _npz_below_data_folder(root, x, y):
    save(root / "mine/mine.npz", images=x, labels=y, class_names=np.array(NAMES))
    return {"source": "mine", "data_dir": root}


def _folder_below_data_folder(root, x, y):
    write_folder(root / "mine", x, y)
    return {"source": "mine", "data_dir": root}


def _arrays(root, x, y):
    return {"images": x, "labels": y, "class_names": NAMES}


def _registered(root, x, y):
    test = splits.test_rows(x, y)
    rows = {"train": ~test, "test": test}
    data.register("mine", lambda part, folder: data.Raw(x[rows[part]], y[rows[part]], class_names=NAMES))
    return {"source": "mine"}


def _folder_divided(root, x, y):
    test = splits.test_rows(x, y)
    write_folder(root / "mine/train", x[~test], y[~test])
    write_folder(root / "mine/test", x[test], y[test])
    return {"source": root / "mine"}


def _npz_divided(train_x, train_y, test_x, test_y):
    def make(root, x, y):
        test = splits.test_rows(x, y)
        arrays = {train_x: x[~test], train_y: y[~test], test_x: x[test], test_y: y[test]}
        return {"source": save(root / "mine.npz", **arrays, class_names=np.array(NAMES))}

    return make


def _idx(root, x, y):
    test = splits.test_rows(x, y)
    for stem, rows in (("train", ~test), ("t10k", test)):
        write_idx(root, f"{stem}-images", x[rows, ..., 0])
        write_idx(root, f"{stem}-labels", y[rows].astype(np.uint8))
    return {"source": "mine", "data_dir": root}


SAME = {
    "a folder": _folder,
    "a folder with other file names": _folder_turned,
    "a folder below the data folder": _folder_below_data_folder,
    "a folder with train/ and test/": _folder_divided,
    "an npz file": _npz,
    "an npz file below the data folder": _npz_below_data_folder,
    "an npz file and names": _npz_names,
    "an npz file like Keras's": _npz_divided("x_train", "y_train", "x_test", "y_test"),
    "an npz file with both parts": _npz_divided("train_images", "train_labels", "test_images", "test_labels"),
    "arrays": _arrays,
    "a registered set": _registered,
    "IDX files": _idx,
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", SAME)
def test_the_same_images_give_the_same_data_set(tmp_path, source, channels):
    if source == "IDX files" and channels == 3:
        source = "a folder"  # IDX files hold grey images only
    x, y = some(channels)
    whole = record.canonical("mine", "all", [data.Raw(x, y, class_names=NAMES)])
    arguments = SAME[source](tmp_path, x, y)
    found = data.dataset(**arguments, split="all")
    assert found.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(found.images, whole.images)
    np.testing.assert_array_equal(found.labels, whole.labels)
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int32)
    assert found.spec == (whole.spec if source != "IDX files" else whole.spec._replace(class_names=("0", "1", "2")))
    assert found.spec.shape == (6, 5, channels)
    assert found.name == ("arrays" if source == "arrays" else "mine")
    assert found.notes == () or source == "IDX files"
    for split, part in zip(("train", "test"), data.divide(found), strict=True):
        if source == "arrays":  # given arrays are one split, whole
            assert data.dataset(**arguments, split=split).fingerprint == whole.fingerprint
        else:
            other = data.dataset(**arguments, split=split)
            assert (other.fingerprint, other.spec, other.place) == (part.fingerprint, part.spec, part.place)
            np.testing.assert_array_equal(other.images, part.images)


def test_class_counts_of_the_parts_agree(tmp_path):
    x, y = some()
    path = save(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x[:3], y_test=np.array([0, 4, 3]))
    data.register("ours", lambda part, folder: (x, y) if part == "train" else (x[:3], np.array([0, 4, 3])))
    for source in (path, "ours"):
        assert [data.dataset(source, split=split).num_classes for split in ("train", "test", "all")] == [5, 5, 5]


def test_cifar10_as_it_lies(data_dir):
    if not (data_dir / "cifar10_small").is_dir():
        pytest.skip(f"{data_dir} has no cifar10_small/")
    test = data.load("cifar10_small", "test", data_dir)
    assert (test.images.shape, str(test.spec)) == ((2000, 32, 32, 3), "32x32x3, 10 classes")
    assert np.bincount(test.labels).tolist() == [200] * 10


def test_paths_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CGANJAX_DATA_DIR", str(tmp_path / "data"))
    x, y = some()
    _idx(tmp_path / "data", x, y)  # serves any name
    write_folder(tmp_path / "below/mine", x[:30], y[:30])
    write_folder(tmp_path / "mine", x[:30], y[:30])
    for source in ("mine/", "./mine", "mine", "below/mine", str(tmp_path / "mine"), tmp_path / "mine"):
        assert len(data.load(source, "all").images) == 30, source
    write_folder(tmp_path / "mnist", x[:30], y[:30])
    with pytest.raises(UserError, match="the data folder .*nowhere does not exist"):
        data.load("mnist", data_dir=tmp_path / "nowhere")  # a known name stays a name
    assert data.load("mnist/", "all").spec.class_names == NAMES


def test_a_command_takes_a_path(command, tmp_path):
    from experiments import train

    write_folder(tmp_path / "mine", *some())
    code, _, err = command(train, "--recipe", "digits", "--dataset", "mine/", "--steps", "1", "--backend", "cpu")
    assert code == 2 and "6x5x1, 3 classes" in err  # the data set was read; the networks refuse its shape
    code, _, err = command(train, "--recipe", "digits", "--dataset", "nowhere/", "--backend", "cpu")
    assert code == 2 and "the folder nowhere does not exist" in err


# --- the division -----------------------------------------------------------------------------------------------------


def test_one_in_six_of_each_class_is_a_test_image():
    x, y = some(n=90)
    test = splits.test_rows(x, y)
    assert np.bincount(y[test]).tolist() == [5, 5, 5]
    turned = np.random.default_rng(1).permutation(90)
    np.testing.assert_array_equal(splits.test_rows(x[turned], y[turned]), test[turned])
    # Another class changes nothing for the others.
    np.testing.assert_array_equal(splits.test_rows(x[y != 1], y[y != 1]), test[y != 1])


def test_equal_images_stay_on_one_side():
    x, y = some(n=12)
    twice = splits.test_rows(np.concatenate([x, x]), np.concatenate([y, y]))
    np.testing.assert_array_equal(twice[:12], twice[12:])
    assert not splits.test_rows(np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 0, 1, 1])).any()
    # Two images of a class: one on each side.
    assert splits.test_rows(x[[0, 3]], y[[0, 3]]).sum() == 1


def test_rows_of_a_split_and_unknown_splits(tmp_path):
    folder = write_folder(tmp_path / "mine", *some())
    whole, some_rows = data.dataset(folder), data.dataset(folder, split="train[:7]")
    np.testing.assert_array_equal(some_rows.images, whole.images[:7])
    assert some_rows.split == "train[:7]"
    for arguments in ({"source": folder}, dict(zip(("images", "labels"), some(), strict=True))):
        with pytest.raises(UserError, match="unknown split 'valid'"):
            data.dataset(**arguments, split="valid")


# --- what image files hold --------------------------------------------------------------------------------------------


def drawn(kind):
    """One image of 4x4 in that format, and the pixels [H, W, C] that it should be read as."""
    grey = (np.arange(16, dtype=np.uint8) * 17).reshape(4, 4)
    rgb = np.stack([grey, grey[::-1], grey.T], axis=-1)
    alpha = np.full((4, 4), 255, np.uint8)
    alpha[0] = 0
    over = np.where(alpha[..., None] == 0, 255, rgb)
    if kind == "16-bit grey":
        return Image.fromarray(grey.astype(np.uint16) * 257), grey[..., None]
    if kind == "1-bit":
        return Image.fromarray(grey > 100), np.where(grey > 100, 255, 0)[..., None]
    if kind == "RGBA":
        return Image.fromarray(np.dstack([rgb, alpha])), over
    if kind == "grey with alpha":
        return Image.fromarray(np.dstack([grey, alpha]), "LA"), np.where(alpha == 0, 255, grey)[..., None]
    if kind == "grey palette":
        return Image.fromarray(grey).convert("P"), grey[..., None]
    if kind == "palette":
        image = Image.fromarray(rgb).quantize(16)
        return image, np.asarray(image.convert("RGB"))
    return {"grey": (Image.fromarray(grey), grey[..., None]), "RGB": (Image.fromarray(rgb), rgb)}[kind]


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "kind", ["grey", "RGB", "16-bit grey", "1-bit", "RGBA", "grey with alpha", "grey palette", "palette"]
)
def test_each_kind_of_png(tmp_path, kind):
    image, pixels = drawn(kind)
    for name in "ab":
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "only.png")
    (tmp_path / "b/other.PNG").write_bytes((tmp_path / "b/only.png").read_bytes())
    found = record.canonical("mine", "all", [sources.folder.read_folder(tmp_path, "train")])
    assert found.images.shape[1:] == pixels.shape
    assert all(np.array_equal(x, pixels) for x in found.images)


def test_jpeg_and_grey_among_colour(tmp_path):
    x, y = some(3, size=(8, 8))
    write_folder(tmp_path / "mine", x, y)
    flat = np.full((8, 8), 77, np.uint8)
    Image.fromarray(flat).save(tmp_path / "mine/bird/flat.JPG", quality=95)
    found = data.dataset(tmp_path / "mine", split="all")
    assert found.spec.channels == 3 and found.notes == ("1 of 37 images are grey: all were read as RGB",)
    assert any((image == 77).all() for image in found.images)


def test_polarity_is_that_of_the_borders():
    x, y = some()
    paper = np.full_like(x, 255)
    paper[:, 2:4, 2:4] = 0
    paper[:, 3, 3, 0] = np.arange(36)
    assert data.dataset(images=paper, labels=y).spec.polarity == "dark_on_light"
    assert data.dataset(images=255 - paper, labels=y).spec.polarity == "light_on_dark"
    assert data.dataset(images=paper, labels=y, polarity="light_on_dark").spec.polarity == "light_on_dark"
    assert data.dataset(images=np.repeat(paper, 3, -1), labels=y).spec.polarity == "light_on_dark"
    with pytest.raises(DataError, match="polarity is 'dark': expected 'light_on_dark' or 'dark_on_light'"):
        data.dataset(images=paper, labels=y, polarity="dark")


def test_hidden_and_other_files_are_left_out(tmp_path):
    folder = write_folder(tmp_path / "mine", *some())
    for name in ("README.txt", ".DS_Store", "cat/notes.txt", "cat/._000.png"):
        (folder / name).write_bytes(b"no image")
    (folder / ".git").mkdir()
    assert len(data.dataset(folder, split="all").images) == 36
    for part in ("train", "test", "val"):
        write_folder(tmp_path / "parts" / part, *some())
    assert "also has val/, not used" in data.dataset(tmp_path / "parts").notes[0]


# --- folders that cannot be used --------------------------------------------------------------------------------------


def _one_class(folder):
    for name in NAMES[:2]:
        for path in (folder / name).iterdir():
            path.unlink()
        (folder / name).rmdir()


def _emptied(folder):
    for path in (folder / "cat").iterdir():
        path.unlink()


def _cut(folder):
    path = folder / "bird/001.png"
    path.write_bytes(path.read_bytes()[:60])


def _nested(folder):
    write_png(folder / "cat/tabby/0.png", some()[0][0])


def _only_train(folder):
    folder.rename(folder.parent / "train")
    folder.mkdir()
    (folder.parent / "train").rename(folder / "train")


def _other_classes(folder):
    write_folder(folder.parent / "test", *some(), names=("apple", "bird", "dog"))
    _only_train(folder)
    (folder.parent / "test").rename(folder / "test")


BAD_FOLDERS = {
    r"holds one class folder \(cat\): expected at least two": _one_class,
    "the class folder .*cat holds no PNG or JPEG file: add images or remove": _emptied,
    r"bird/001.png cannot be read as an image \(.*\): replace or remove it": _cut,
    r"bird/text.png cannot be read as an image \(": lambda f: (f / "bird/text.png").write_text("no image"),
    "loose.png lies beside class folders: put it into": lambda f: write_png(f / "loose.png", some()[0][0]),
    "tabby holds images below the class folder": _nested,
    "a.webp is neither PNG nor JPEG: convert it": lambda f: (f / "cat/a.webp").write_bytes(b"RIFF"),
    "has train/ and no test/: add test/": _only_train,
    "has the class 'dog', which .*train lacks": _other_classes,
}


@pytest.mark.parametrize("said", BAD_FOLDERS)
def test_folders_that_cannot_be_used(tmp_path, said):
    folder = write_folder(tmp_path / "mine", *some())
    BAD_FOLDERS[said](folder)
    with pytest.raises(DataError, match=said) as error:
        data.dataset(folder)
    assert str(folder) in one_sentence(error)


def test_damaged_images_are_counted_and_three_are_named(tmp_path):
    folder = write_folder(tmp_path / "mine", *some())
    files = sorted(folder.glob("*/*.png"))
    files[0].write_text("no image")
    with pytest.raises(DataError) as error:
        data.dataset(folder)
    said = f"{files[0]} cannot be read as an image (cannot identify image file): replace or remove it"
    assert one_sentence(error) == said
    for path in files[:5]:
        path.write_text("no image")
    with pytest.raises(DataError) as error:
        data.dataset(folder)
    three = ", ".join(f"{path} (cannot identify image file)" for path in files[:3])
    said = f"5 files cannot be read as images: {three} and 2 more; replace or remove them"
    assert one_sentence(error) == said


def test_folders_without_classes_and_paths_to_nothing(tmp_path):
    x, _ = some()
    write_png(tmp_path / "flat/a.png", x[0])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("")
    write_idx(tmp_path / "idx", "train-images", x[..., 0])
    save(tmp_path / "file/mine.npz", images=x)
    write_folder(tmp_path / "few", x[:3], np.arange(3))
    for source, said in {
        "flat/": "holds 1 image and no sub-folder: put PNG or JPEG files into one sub-folder per class",
        "empty/": "holds no sub-folder: put PNG or JPEG",
        "idx/": "it has IDX files, so give the name of their data set",
        "file/": "give the file .*mine.npz itself",
        "nowhere/": "nowhere does not exist: give the name of a data set, a folder, or an .npz file",
        "nowhere.npz": "nowhere.npz does not exist: give the path of an .npz file",
        "empty.txt": "empty.txt is a file: expected a folder",
    }.items():
        with pytest.raises(UserError, match=said) as error:
            data.load(f"{tmp_path}/{source}")
        one_sentence(error)
        assert isinstance(error.value, FileNotFoundError if "nowhere" in source else ValueError)
    with pytest.raises(UserError, match="few is too small to have a test split"):
        data.load(tmp_path / "few", "test")
    with pytest.raises(DataError, match="class_names go with arrays and .npz files"):
        data.dataset(tmp_path / "few", class_names=["a", "b", "c"])


# --- specs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": 0}, "height is 0: expected a whole number of at least 1"),
        ({"width": 2.0}, "width is 2.0: expected a whole number"),
        ({"width": True}, "width is True: expected a whole number"),
        ({"channels": 2}, r"channels is 2: expected 1 \(grey\) or 3 \(RGB\)"),
        ({"channels": 1.0}, "channels is 1.0"),
        ({"class_names": ()}, "class_names is empty: expected the name of at least one class"),
        ({"class_names": "ab"}, "class_names is 'ab': expected the names of the classes"),
        ({"class_names": 3}, "class_names is 3"),
        ({"class_names": ("a", 1)}, r"class_names\[1\] is 1: expected a string"),
        ({"class_names": ("a", "b", "a")}, r"class_names\[2\] is 'a', as is an earlier name"),
        ({"polarity": "dark"}, "polarity is 'dark': expected 'light_on_dark' or 'dark_on_light'"),
    ],
)
def test_specs_that_are_none(change, said):
    fields = {"height": 12, "width": 16, "channels": 3, "class_names": ("a", "b")}
    spec = ImageSpec(**fields)
    for make in (lambda: ImageSpec(**fields | change), lambda: spec._replace(**change)):
        with pytest.raises(ValueError, match=said) as error:
            make()
        one_sentence(error)


def test_a_spec_is_a_plain_value():
    spec = ImageSpec(np.int64(12), 16, 3, ["a", "b"], "dark_on_light")
    assert spec == ImageSpec(12, 16, 3, ("a", "b"), polarity="dark_on_light") and type(spec.height) is int
    assert len({spec, ImageSpec.from_json(spec.to_json()), pickle.loads(pickle.dumps(spec)), copy.copy(spec)}) == 1
    assert type(spec._replace(height=3)) is ImageSpec and spec._replace(height=3).shape == (3, 16, 3)
    assert repr(spec).startswith("ImageSpec(height=12, width=16, channels=3, class_names=('a', 'b'), ")
    assert [*spec._asdict()] == ["height", "width", "channels", "class_names", "polarity"] and not hasattr(
        spec, "__dict__"
    )


# --- files and arrays that cannot be used -----------------------------------------------------------------------------


BAD_FILES = {
    r"holds x_train, labels: expected images and labels; or x_train": {"x_train": some()[0], "labels": some()[1]},
    "holds no array: expected images and labels": {},
    r"holds images and lacks labels: the labels are missing; save them too, .*savez\(path, images=, labels=\)": {
        "images": some()[0]
    },
    "mine.npz holds x_train and x_test and lacks y_test: the labels are missing": {
        "x_train": some()[0],
        "y_train": some()[1],
        "x_test": some()[0],
    },
    "holds pickled objects, which are never loaded": {"images": np.array([{}, 1], object), "labels": some()[1]},
    "mine.npz: images has dtype float64: expected uint8": {"images": some()[0] / 255, "labels": some()[1]},
    r"mine.npz: y_test has 35 entries and x_test 36": dict(
        zip(("x_train", "y_train", "x_test", "y_test"), (*some(), some()[0], some()[1][:-1]), strict=True)
    ),
    r"x_train holds images of \(6, 5, 1\), x_test of \(5, 6, 1\)": dict(
        zip(("x_train", "y_train", "x_test", "y_test"), (*some(), *some(size=(5, 6))), strict=True)
    ),
    r"mine.npz: labels\[2\] is 2: expected an integer from 0 to 1, because class_names has 2 names": {
        "images": some()[0],
        "labels": some()[1],
        "class_names": np.array(["a", "b"]),
    },
    r"mine.npz: labels have no image of class 0: .*np.unique\(labels, return_inverse=True\)": {
        "images": some()[0],
        "labels": some()[1] + 300,
    },
    r"mine.npz: y_train and y_test have no image of class 3: ": dict(
        zip(("x_train", "y_train", "x_test", "y_test"), (*some(), some()[0], some()[1] * 2), strict=True)
    ),
    r"mine.npz: class_names\[0\] is 3: expected a string": {
        "images": some()[0],
        "labels": some()[1],
        "class_names": np.array([3, 4, 5]),
    },
}


@pytest.mark.parametrize("said", BAD_FILES)
def test_files_that_cannot_be_used(tmp_path, said):
    path = save(tmp_path / "mine.npz", **BAD_FILES[said])
    with pytest.raises(DataError, match=said) as error:
        data.dataset(path)
    assert str(path) in one_sentence(error)


def test_damaged_files(tmp_path):
    path = save(tmp_path / "cut.npz", images=some()[0], labels=some()[1])
    whole = path.read_bytes()
    (tmp_path / "array.npz").write_bytes(b"")
    np.save(tmp_path / "array.npy", some()[0])
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "bits.npz").write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_bytes(b"xx")
    path.write_bytes(whole[:-50])
    for name in ("cut", "array", "bits", "empty", "text"):
        with pytest.raises(UserError, match=rf"{name}.npz (cannot be read as an .npz file|holds one array)") as error:
            data.dataset(tmp_path / f"{name}.npz")
        one_sentence(error)


X, Y = some()
U = X / 255.0
WITH_NAN = U.copy()
WITH_NAN[3, 1, 2, 0] = np.nan
BAD_ARRAYS = {
    r"images has dtype float64: expected uint8 from 0 to 255; its values lie in \[0, 1\], so convert with "
    r"np.round\(images \* 255\)": (U, Y),
    r"dtype float64: .* values lie in \[-1, 1\], so convert with np.round\(\(images \+ 1\) \* 127.5\)": (U * 2 - 1, Y),
    r"images has dtype float64: .* in \[0, 255\], so scale": (U * 255, Y),
    r"dtype float64: .*images holds NaN at \[3, 1, 2, 0\]": (WITH_NAN, Y),
    r"images has dtype int64: .*convert with images.astype\(np.uint8\)": (X.astype(int), Y),
    r"images has dtype int64: .*lie in \[-\d+, \d+\]": (X.astype(int) * 9 - 400, Y),
    r"images has dtype bool": (X > 9, Y),
    r"images has dtype int64: .*convert with np.asarray\(images, np.uint8\)": (X.tolist(), Y),
    r"images has dtype float64: .*convert with np.round\(np.asarray\(images\) \* 255\)": (U.tolist(), Y),
    r"labels has the shape \[36, 1\]: .*use np.asarray\(labels\).ravel\(\)": (X, Y[:, None].tolist()),
    r"images has dtype <U1: .*give an array of numbers": (["a", "b"], [0, 1]),
    r"images is missing": (None, Y),
    r"labels is missing": (X, None),
    r"images has the shape \[36, 30\]: expected \[N, H, W, C\]": (X.reshape(36, 30), Y),
    r"images has the shape \[36, 1, 6, 5\]: .*images.transpose\(0, 2, 3, 1\)": (X.transpose(0, 3, 1, 2), Y),
    r"images has the shape \[36, 6, 5, 4\]: expected 1 or 3 channels.*fourth": (np.repeat(X, 4, -1), Y),
    r"images has the shape \[36, 6, 5, 2\]: expected 1 or 3 channels": (np.repeat(X, 2, -1), Y),
    r"images has the shape \[0, 6, 5, 1\]: expected at least one image": (X[:0], Y[:0]),
    r"images has the shape \[36, 0, 5, 1\]: expected at least one image of at least one": (X[:, :0], Y),
    r"images has rows of different shapes": ([X[0], X[1, :3]], [0, 1]),
    r"labels has 35 entries and images 36": (X, Y[:-1]),
    r"labels has the shape \[36, 3\]: .*one-hot": (X, np.eye(3)[Y]),
    r"labels has the shape \[36, 1\]: .*labels.ravel\(\)": (X, Y[:, None]),
    r"labels has dtype float64: expected integers from 0 to K-1; convert with labels.astype\(int\)": (X, Y * 1.0),
    r"labels has dtype float64: .*np.unique\(labels, return_inverse=True\)": (X, Y + 0.5),
    r"labels has dtype <U21: .*np.unique": (X, Y.astype(str)),
    r"labels\[0\] is -1: expected an integer from 0 to K-1": (X, Y - 1),
    r"labels\[0\] is 1000000: expected an integer from 0 to K-1": (X, Y + 10**6),
    r"labels hold one class, 0: expected at least two": (X, Y * 0),
    r"labels have no image of class 0: expected images of each class from 0 to 302; number .*return_inverse=True\), or "
    "give class_names if": (X, Y + 300),
    r"labels have no image of class 1: expected images of each class from 0 to 300;": (X, (Y > 0) * 300),
}


@pytest.mark.parametrize("said", BAD_ARRAYS)
def test_arrays_that_cannot_be_used(said):
    images, labels = BAD_ARRAYS[said]
    with pytest.raises(DataError, match=said) as error:
        data.dataset(images=images, labels=labels)
    one_sentence(error)
    assert isinstance(error.value, UserError) and isinstance(error.value, ValueError)
    assert isinstance(error.value, TypeError) == ("dtype" in said or "missing" in said)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("abc", "class_names is 'abc': expected a list"),
        (["a", "b", "a"], r"class_names\[2\] is 'a': expected names that are not empty and all different"),
        (["a", " ", "c"], r"class_names\[1\] is ' '"),
        (["a", 2, "c"], r"class_names\[1\] is 2: expected a string"),
        (["a"], "class_names has 1 names: expected at least two"),
        (["a", "b"], r"labels\[2\] is 2: expected an integer from 0 to 1, because class_names has 2 names"),
    ],
)
def test_class_names_that_cannot_be_used(names, said):
    with pytest.raises(DataError, match=said):
        data.dataset(images=X, labels=Y, class_names=names)


def test_arguments_that_contradict():
    for arguments in ({}, {"source": "digits", "images": X}, {"source": "digits", "labels": Y}):
        with pytest.raises(DataTypeError, match="dataset was given (both|neither) a"):
            data.dataset(**arguments)
    with pytest.raises(DataTypeError, match="source is ndarray: expected a name or a path; give arrays as images="):
        data.dataset(X)


def test_given_arrays_may_be_lists_grey_without_an_axis_or_of_jax():
    import jax.numpy as jnp

    wanted = data.dataset(images=X, labels=Y)
    for images, labels in ((X[..., 0], Y.tolist()), (jnp.asarray(X), jnp.asarray(Y)), (list(X), list(Y))):
        assert data.dataset(images=images, labels=labels).fingerprint == wanted.fingerprint
    assert (wanted.spec.class_names, wanted.source, wanted.split) == (("0", "1", "2"), "given arrays", "train")
    assert data.dataset(images=X, labels=Y, class_names=[*NAMES, "dog"], name="pets").spec.num_classes == 4
    assert not np.shares_memory(wanted.images, X)


# --- registered sets --------------------------------------------------------------------------------------------------


def test_register_adds_a_set_to_every_command():
    data.register("ours", lambda part, folder: (X[..., 0], Y))
    assert data.load("ours", "test").source == "the function registered as ours"
    assert data.dataset("ours").fingerprint == data.dataset(images=X, labels=Y).fingerprint
    for name in ("ours", "mnist", "digits", "pattern_1010"):
        with pytest.raises(ValueError, match=f"'{name}' is a known data set: choose another name"):
            data.register(name, None)
    for name in ("", "my/", "a.npz", 3):
        with pytest.raises(ValueError, match="expected a word that is not a path"):
            data.register(name, None)
    with pytest.raises(ValueError, match="'digits' is a known data set"):
        data.register("digits", None, overwrite=True)
    data.register("ours", lambda part, folder: (U, Y) if part == "train" else None, overwrite=True)
    with pytest.raises(DataError, match="ours: images has dtype float64"):
        data.load("ours")
    with pytest.raises(UserError, match="ours has no test images"):
        data.load("ours", "test")
    data.register("ours", lambda part, folder: (X, Y * 2), overwrite=True)
    with pytest.raises(DataError, match="ours: labels have no image of class 1: expected"):
        data.load("ours")


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(data.__path__)] + ["../spec"])
def test_examples_in_docstrings_run(module):
    name = "cganjax.spec" if module == "../spec" else f"cganjax.data.{module}"
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, extraglobs={"np": np})
    assert not failed


# --- from a card to its data set --------------------------------------------------------------------------------------


def card_of(dataset, **changes):
    about = {
        "name": dataset.name,
        "split": dataset.split,
        "num_classes": dataset.num_classes,
        "spec": dataset.spec.to_json(),
        "fingerprint": dataset.fingerprint,
        "place": dataset.place,
    }
    return {"name": "net", "data": about | changes}


@pytest.mark.parametrize("source", [s for s in SAME if s != "arrays"])
def test_a_card_leads_to_its_data_set(tmp_path, source):
    arguments = SAME[source](tmp_path / "then", *some())
    train, test = (data.dataset(**arguments, split=split) for split in ("train", "test"))
    found = data.of_card(card_of(train), "test", arguments.get("data_dir"))
    assert (found.fingerprint, found.spec, found.name) == (test.fingerprint, test.spec, "mine")
    if source == "a registered set":
        return
    (tmp_path / "now").mkdir()
    (tmp_path / "then").rename(tmp_path / "now/data")
    for where in (None, tmp_path / "now"):
        if source != "IDX files":  # without a folder these would be asked of TFDS
            with pytest.raises(UserError, match="^net was trained on mine: point --data-dir at a folder that") as error:
                data.of_card(card_of(train), "test", where)
            one_sentence(error)
    places = [tmp_path / "now/data"]
    if "folder" in source:
        places.append(tmp_path / "now/data/mine")
    for place in places:
        assert data.of_card(card_of(train), "test", place).fingerprint == test.fingerprint


def test_other_images_under_the_same_name_are_refused(tmp_path):
    card = card_of(data.dataset(**_folder(tmp_path / "then", *some())))
    write_folder(tmp_path / "now/mine", *some(seed=1))
    assert data.of_card(card, "train", tmp_path / "now").fingerprint == card["data"]["fingerprint"]  # its old place
    card["data"]["place"] = str(tmp_path / "gone/mine")
    for split in ("train", "test"):
        with pytest.raises(UserError, match=r"net was trained on mine: .*mine has other images|now/mine"):
            data.of_card(card, split, tmp_path / "now")
    digits = data.load("digits")
    assert data.of_card(card_of(digits), "test").split == "test"
    with pytest.raises(UserError, match=r"net was trained on digits: .*\(scikit-learn's embedded digits has other"):
        data.of_card(card_of(digits, fingerprint="0"), "train")
    with pytest.raises(UserError, match="net was trained on digits"):
        data.of_card(card_of(digits, spec=digits.spec._replace(height=32).to_json()), "test")


def test_cards_of_given_arrays_and_damaged_cards():
    with pytest.raises(UserError, match="net was trained on arrays that were given from Python"):
        data.of_card(card_of(data.dataset(images=X, labels=Y)), "test")
    wrong = {"name": "digits", "spec": data.load("digits").spec.to_json() | {"channels": 2}}
    for card in ({}, {"data": None}, {"data": {}}, {"data": {"name": "digits"}}, {"data": wrong}):
        with pytest.raises(CheckpointError, match="does not say what it was trained on"):
            data.of_card(card, "test")


def test_shipped_cards_lead_to_mnist(data_dir, tmp_path):
    from cganjax import sampling

    card = sampling.load_classifier("lenet5").card
    test = data.of_card(card, "test", data_dir)
    assert (test.name, len(test.images)) == ("mnist", 10_000)
    with pytest.raises(UserError, match="lenet5 was trained on mnist: point --data-dir at a folder that has it"):
        data.of_card(card, "test", tmp_path)
