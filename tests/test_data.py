"""Sets found by name (IDX, TFDS, embedded), and batches. tests/test_data_own.py has the user's own images."""

import gzip
import struct
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cganjax import data, rng
from cganjax.data import known, record, tfds
from cganjax.types import UserError


def write_idx(folder, stem, array, *, packed=False, magic=None, cut=0):
    folder.mkdir(parents=True, exist_ok=True)
    head = magic or bytes([0, 0, 8, array.ndim])
    body = (head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())[: -cut or None]
    name = f"{stem}-idx{3 if stem.endswith('images') else 1}-ubyte"
    if packed:
        (folder / f"{name}.gz").write_bytes(gzip.compress(body))
    else:
        (folder / name).write_bytes(body)
    return folder


def some(n=12, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n) % 10).astype(np.uint8)


def write_set(folder, n=12, split="train", seed=0, **options):
    stem = {"train": "train", "test": "t10k"}[split]
    images, labels = some(n, seed)
    write_idx(folder, f"{stem}-images", images, **options)
    return write_idx(folder, f"{stem}-labels", labels, **options)


def pair(folder, images, labels, **options):
    """Both files of a train split; the options are for the images."""
    write_idx(folder, "train-images", images, **options)
    write_idx(folder, "train-labels", labels)


def raw(folder, content):
    """A sound labels file beside an images file of these bytes."""
    write_idx(folder, "train-labels", some()[1])
    (folder / "train-images-idx3-ubyte").write_bytes(content)


IMAGES, LABELS = some()


# --- sources ----------------------------------------------------------------------------------------------------------


def test_real_mnist_is_the_same_from_idx_and_from_tfds(data_dir):
    idx = data.load("mnist", "test", data_dir)
    prepared = data.load("mnist", "test", data_dir / "tfds")
    assert "IDX" in idx.source and "TFDS" in prepared.source
    assert idx.notes == ()
    assert idx.fingerprint == prepared.fingerprint
    np.testing.assert_array_equal(idx.images, prepared.images)
    np.testing.assert_array_equal(idx.labels, prepared.labels)
    assert (idx.images.shape, idx.num_classes) == ((10_000, 28, 28, 1), 10)
    assert np.bincount(idx.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_train_and_test_and_all_are_told_apart(data_dir):
    train, test, both = (data.load("mnist", split, data_dir) for split in ("train", "test", "all"))
    assert [len(d.images) for d in (train, test, both)] == [60_000, 10_000, 70_000]
    assert len({d.fingerprint for d in (train, test, both)}) == 3


def test_a_set_with_test_files_only_serves_test_alone(data_dir):
    assert len(data.load("kmnist", "test", data_dir).images) == 10_000
    with pytest.raises(UserError, match=r"holds no kmnist \(train\)"):
        data.load("kmnist", "train", data_dir)


def test_idx_plain_packed_flat_and_nested_agree(tmp_path, monkeypatch):
    places = [write_set(tmp_path / "a"), write_set(tmp_path / "b", packed=True)]
    write_set(tmp_path / "c" / "mine")
    sets = [data.load("mine", "train", place) for place in (*places, tmp_path / "c")]
    monkeypatch.setenv("CGANJAX_DATA_DIR", str(tmp_path / "a"))
    sets.append(data.load("mine", "train"))
    assert len({s.fingerprint for s in sets}) == 1
    assert "unknown MD5" in sets[0].notes[0]


@pytest.mark.parametrize("name", ["kmnist", "fashion_mnist"])
def test_published_files_have_names_and_no_warning(data_dir, name):
    if not (data_dir / name).is_dir():
        pytest.skip(f"{data_dir} has no {name}/")
    found = data.load(name, "test", data_dir)
    assert (found.notes, found.spec) == ((), known.KNOWN[name])
    assert found.spec.polarity == record.polarity_of(found.images) == "light_on_dark"
    assert np.bincount(found.labels).tolist() == [1000] * 10


def test_idx_classes_are_counted_over_both_parts(tmp_path):
    images = some()[0]
    write_idx(tmp_path, "train-images", images)
    write_idx(tmp_path, "train-labels", np.arange(12, dtype=np.uint8))
    alone = data.load("mine", "train", tmp_path)
    write_idx(tmp_path, "t10k-images", images)
    write_idx(tmp_path, "t10k-labels", np.full(12, 200, np.uint8))
    train, test = (data.load("mine", split, tmp_path) for split in ("train", "test"))
    assert (alone.num_classes, train.num_classes, test.num_classes) == (12, 201, 201)
    assert test.spec.class_names[200] == "200"


def test_order_of_the_file_does_not_matter_but_a_pixel_does(tmp_path):
    images, labels = some()
    turned = np.random.default_rng(1).permutation(12)
    changed = images.copy()
    changed[3, 5, 5] ^= 1
    for name, x, y in (("a", images, labels), ("b", images[turned], labels[turned]), ("c", changed, labels)):
        write_idx(tmp_path / name, "train-images", x)
        write_idx(tmp_path / name, "train-labels", y)
    a, b, c = (data.load("mnist", "train", tmp_path / name) for name in "abc")
    assert a.fingerprint == b.fingerprint != c.fingerprint
    np.testing.assert_array_equal(a.images, b.images)
    # Image and label stay together.
    pairs = {x.tobytes(): y for x, y in zip(images, labels, strict=True)}
    assert all(pairs[x[..., 0].tobytes()] == y for x, y in zip(a.images, a.labels, strict=True))


def test_embedded_digits(digits):
    assert (digits.images.shape, digits.images.dtype, digits.num_classes) == ((1500, 28, 28, 1), np.uint8, 10)
    assert digits.images.max() == 255 and digits.images[:, :4].max() == 0
    assert len(data.load("digits", "test").images) == 297
    assert set(digits.labels) == set(range(10))


def test_tfds_labels_that_start_at_one_are_shifted(monkeypatch):
    class Fake:
        class core:
            class DatasetNotFoundError(Exception):
                pass

        @staticmethod
        def data_source(name, **_):
            class Rows(list):
                def __getitems__(self, at):
                    return [self[i] for i in at]

            return Rows({"image": np.full((28, 28, 1), i, np.uint8), "label": i} for i in range(1, 27))

        @staticmethod
        def builder(name, **_):
            label = type("L", (), {"num_classes": 37})
            return type("B", (), {"info": type("I", (), {"features": {"label": label}})})

    monkeypatch.setattr(tfds, "import_tfds", lambda: Fake)
    raw = tfds.read("emnist/letters", "train", None)
    letters = record.canonical("emnist/letters", "train", [raw])
    assert (letters.labels.min(), letters.labels.max(), letters.num_classes) == (0, 25, 26)
    assert all(x[0, 0, 0] == y + 1 for x, y in zip(letters.images, letters.labels, strict=True))
    with pytest.raises(UserError, match=r"labels 0..26: expected 1..26"):
        record.canonical("emnist/letters", "train", [raw._replace(labels=np.append(raw.labels[:-2], [26, 0]))])


def test_labels_from_idx_are_shifted_too(tmp_path):
    pair(tmp_path / "emnist/letters", IMAGES, LABELS % 3 + 1)
    letters = data.load("emnist/letters", "train", tmp_path)
    assert (letters.labels.min(), letters.labels.max(), letters.num_classes) == (0, 2, 26)


def test_mnist_files_in_a_wrong_place_are_refused(data_dir, tmp_path):
    with pytest.raises(UserError, match="it is the t10k-images of mnist"):
        data.load("fashion_mnist", "test", data_dir / "mnist")
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{kind}-ubyte.gz").symlink_to(data_dir / f"mnist/t10k-{kind}-ubyte.gz")
    with pytest.raises(UserError, match="taken for the train-images of mnist, by its MD5 it is the t10k-images"):
        data.load("mnist", "train", tmp_path)


# --- what is broken ---------------------------------------------------------------------------------------------------


BROKEN = {
    "holds no mnist": lambda f: f.mkdir(),
    "header promises": lambda f: pair(f, IMAGES, LABELS, cut=5),
    "magic number 0d0a0803": lambda f: pair(f, IMAGES, LABELS, magic=b"\r\n\x08\x03"),
    "12 images and 11 labels": lambda f: pair(f, IMAGES, LABELS[:11]),
    "lacks the file train-images": lambda f: write_idx(f, "train-labels", LABELS),
    "wrong magic number for its name": lambda f: raw(f, b"\0\0\x08\x01\0\0\0\x01\x05"),
    "holds no image": lambda f: pair(f, IMAGES[:0], LABELS[:0]),
    "cut short within its header": lambda f: raw(f, b"\0\0\x08\x03\0"),
    "empty file": lambda f: raw(f, b""),
}


@pytest.mark.parametrize("said", BROKEN)
def test_broken_files_are_named(tmp_path, said):
    folder = tmp_path / "set"
    BROKEN[said](folder)
    with pytest.raises(UserError, match=said) as error:
        data.load("mnist", "train", folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "garbage", "flipped"])
def test_a_damaged_gz_is_an_error(tmp_path, damage):
    folder = write_set(tmp_path, packed=True)
    path = folder / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    path.write_bytes({"cut": whole[:-100], "garbage": b"not gzip at all", "flipped": bytes(middle)}[damage])
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is damaged"):
        data.load("mnist", "train", folder)


def test_missing_folder_unknown_split_unknown_set(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        data.load("mnist", "train", tmp_path / "nowhere")
    with pytest.raises(UserError, match="unknown split 'valid'"):
        data.load("digits", "valid")


def test_no_network_is_said_within_seconds_with_three_ways_out(monkeypatch, tmp_path):
    asked = []

    def refuse(address, timeout):
        asked.append((address, timeout))
        raise OSError("no route")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds.socket, "create_connection", refuse)
    with pytest.raises(UserError) as error:
        data.load("fashion_mnist", "train")
    assert asked == [(("storage.googleapis.com", 443), 3.0)], "one attempt, and not by TFDS"
    for way in ("no network", "--data-dir", "prepared by TFDS", "--dataset digits"):
        assert way in str(error.value)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with pytest.raises(UserError, match="no network"):
        data.load("fashion_mnist", "train")
    assert asked[-1] == (("proxy.example", 3128), 3.0)
    with pytest.raises(UserError, match="unknown data set 'nonsense_set'"):
        data.load("nonsense_set", "train")


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_visit_each_row_once_an_epoch_and_start_anywhere(digits):
    small = digits._replace(images=digits.images[:20], labels=np.arange(20, dtype=np.int32))
    key = rng.stream(rng.root(0), "data")
    stream = data.batches(small, key, 6)
    first = [np.asarray(next(stream).labels) for _ in range(7)]
    for epoch in (first[:3], first[3:6]):
        assert len(set(np.concatenate(epoch))) == 18
    assert not np.array_equal(first[0], first[3])
    for start in (2, 3, 4):  # within an epoch, at its seam, and beyond
        late = data.batches(small, key, 6, start=start)
        np.testing.assert_array_equal(next(late).labels, first[start])
        np.testing.assert_array_equal(next(late).labels, first[start + 1])
    batch = next(data.batches(small, key, 6))
    np.testing.assert_array_equal(batch.images, small.images[np.asarray(batch.labels)])
    assert isinstance(batch.images, jax.Array) and batch.images.dtype == np.uint8


def test_a_batch_larger_than_the_set_is_refused(digits):
    with pytest.raises(UserError, match="choose a smaller batch"):
        data.check_fits(digits, (28, 28, 1), 2000)
    with pytest.raises(UserError, match="these networks take"):
        data.check_fits(digits, (32, 32, 1), 20)


def test_a_split_is_cut_in_canonical_order():
    whole, first, rest = (data.load("digits", split) for split in ("train", "train[:200]", "train[200:]"))
    np.testing.assert_array_equal(np.concatenate([first.images, rest.images]), whole.images)
    np.testing.assert_array_equal(np.concatenate([first.labels, rest.labels]), whole.labels)
    assert len({whole.fingerprint, first.fingerprint, rest.fingerprint}) == 3 and first.split == "train[:200]"
    assert len(data.load("digits", "all[10:20]").images) == 10
    with pytest.raises(UserError, match=r"digits has 1500 images, and split train\[5000:\] none of them"):
        data.load("digits", "train[5000:]")
    for wrong in ("valid[:3]", "train[3]", "train[-5:]", "train[:5", "train:5"):
        with pytest.raises(UserError, match="unknown split"):
            data.load("digits", wrong)


def test_tfds_images_of_four_channels_are_refused(monkeypatch, tmp_path):
    feature = SimpleNamespace(num_classes=2, names=["a", "b"])
    builder = SimpleNamespace(info=SimpleNamespace(features={"label": feature}))
    rows = [{"image": np.zeros((4, 4, 4), np.uint8), "label": 0}]
    held = type("Rows", (list,), {"__getitems__": lambda self, _: list(self)})(rows)
    fake = SimpleNamespace(data_source=lambda *_, **__: held, builder=lambda *_, **__: builder)
    monkeypatch.setattr(tfds, "import_tfds", lambda: fake)
    with pytest.raises(UserError, match="four has images of 4 channels: expected 1 or 3; choose"):
        tfds.read("four", "train", tmp_path)
