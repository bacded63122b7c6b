"""Files that are damaged, or that a stranger made to do harm: each is noticed, named, and refused in one sentence.

benchmarks/fuzz.py reads many more such files. What it found lies, small, in tests/corpus/READER/.
"""

import gzip
import io
import json
import os
import pickle
import random
import shutil
import struct
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TypedDict

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies
from PIL import Image

import cganjax
from benchmarks import fuzz
from cganjax import checkpoint as ckpt
from cganjax import data, digests, files, models, npz, sealed
from cganjax.commands import _image_files
from cganjax.data import pictures
from cganjax.decoys import transfer
from cganjax.evaluation import reference as references
from cganjax.spec import ImageSpec
from cganjax.types import CheckpointError, UserError

GREY = ImageSpec.numbered(4, 4, 1, 2)


def small(folder, *, card=None, weights=None, formed=3):
    """A small untrained classifier as a checkpoint: its card may be changed, and its arrays be others."""
    folder.mkdir(parents=True, exist_ok=True)
    content = fuzz._weights()["weights.npz"] if weights is None else weights
    values = fuzz._networks()[0] | (card or {}) | {"format": formed, "weights": fuzz._about(content)}
    (folder / ckpt.WEIGHTS).write_bytes(content)
    (folder / ckpt.CARD).write_text(json.dumps(digests.sealed(values) if formed == 3 else values))
    return folder


def with_reference(folder):
    """The same with a reference beside it."""
    sha256 = ckpt.read_card(small(folder))["weights"]["sha256"]
    values, arrays = fuzz._reference()
    ckpt.write_reference(folder, values | {"format": 2, "extractor": {"name": "x", "sha256": sha256}}, arrays)
    return folder


def one_sentence(error):
    said = str(error.value)
    assert "\n" not in said and len(said) < 400, said
    return said


# --- every bit counts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "lenet5", "digits-v1"])
def test_a_flipped_bit_in_a_shipped_json_file_is_noticed(name, tmp_path):
    """`scale` 0.2419 to 0.9419 in reference.json, and a threshold of 0.005 to 9.005, once went unnoticed."""
    chance = random.Random(name)
    for file in (ckpt.CARD, ckpt.REFERENCE):
        if not (ckpt.find(name) / file).exists():
            continue
        whole = (ckpt.find(name) / file).read_bytes()
        read = {
            ckpt.CARD: lambda: ckpt.read_card(tmp_path),
            ckpt.REFERENCE: lambda: sealed.read_values(tmp_path / ckpt.REFERENCE, ckpt._ReferenceCard, 2, 1),
        }[file]
        for _ in range(100):
            changed = bytearray(whole)
            changed[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
            (tmp_path / file).write_bytes(changed)
            try:
                assert read() == json.loads(whole), "a change went unnoticed"
            except CheckpointError as error:
                assert file in str(error)


@pytest.mark.parametrize("file", [ckpt.CARD, ckpt.WEIGHTS, ckpt.REFERENCE, ckpt.REFERENCE_ARRAYS])
def test_a_flipped_bit_anywhere_in_a_checkpoint_is_noticed(file, tmp_path):
    folder = with_reference(tmp_path / "x")
    ckpt.verify(folder)
    whole, chance = (folder / file).read_bytes(), random.Random(file)
    for _ in range(100):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        (folder / file).write_bytes(changed)
        if file.endswith(".json") and _values(changed) == json.loads(whole):
            continue  # a space became another one
        with pytest.raises(CheckpointError, match=file):
            ckpt.verify(folder)


def _values(content):
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("name", "file", "old", "new"),
    [
        ("digits-v1", ckpt.REFERENCE, '"scale": 0.2', '"scale": 0.9'),
        ("lenet5", ckpt.CARD, '"threshold": 0.005', '"threshold": 9.005'),
        ("mnist", ckpt.CARD, '"format": 3', '"format": 2'),  # one bit: a card of format 2 has no digest
        ("digits-v1", ckpt.REFERENCE, '"format": 2', '"format": 1'),
        ("mnist", ckpt.CARD, '"digest"', '"digesu"'),
        ("mnist", ckpt.CARD, '"latent_size": 64', '"latent_size": 65'),
    ],
)
def test_a_changed_value_is_noticed(name, file, old, new, tmp_path):
    folder = shutil.copytree(ckpt.find(name), tmp_path / "x")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(CheckpointError, match=file):
        ckpt.verify(folder)


def test_all_shipped_checkpoints_have_digests_of_themselves_and_of_every_array():
    for folder in ckpt.shipped().values():
        ckpt.verify(folder)
        card = ckpt.read_card(folder)
        assert card["format"] == ckpt.FORMAT and card["weights"]["arrays"] and card["digest"]
    values = json.loads((ckpt.find("digits-v1") / ckpt.REFERENCE).read_text())
    assert values["format"] == ckpt.REFERENCE_FORMAT and len(values["arrays"]["arrays"]) == 6


def test_verify_looks_at_the_reference_too(tmp_path):
    """`doctor` once called `digits-v1` whole with a damaged reference.npz."""
    folder = with_reference(tmp_path / "x")
    whole = (folder / ckpt.REFERENCE_ARRAYS).read_bytes()
    (folder / ckpt.REFERENCE_ARRAYS).write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="reference.npz is damaged"):
        ckpt.verify(folder)
    (folder / ckpt.REFERENCE_ARRAYS).write_bytes(whole)
    card = folder / ckpt.REFERENCE
    for said, damage in (
        ("reference.npz cannot be read", (folder / ckpt.REFERENCE_ARRAYS).unlink),
        ("reference.npz has no reference.json", lambda: (folder / ckpt.REFERENCE_ARRAYS).write_bytes(whole)),
    ):
        damage()
        if said.startswith("reference.npz has"):
            card.unlink()
        with pytest.raises(CheckpointError, match=said):
            ckpt.verify(folder)
    with pytest.raises(CheckpointError, match="was made for other weights"):
        others = {name: 2 * array for name, array in fuzz._networks()[1].items()}
        ckpt.verify(small(with_reference(tmp_path / "y"), weights=_stored(**others)))


def test_cards_and_references_from_before_digests_are_read(tmp_path):
    folder = small(tmp_path / "x", formed=2)
    assert cganjax.load_classifier(folder).card["thresholds"]["msp"]["threshold"] == 0.005
    (folder / ckpt.REFERENCE).write_bytes(fuzz._old_references()["reference.json"])
    (folder / ckpt.REFERENCE_ARRAYS).write_bytes(fuzz._reference_arrays()["reference.npz"])
    assert references.read(folder, fuzz._extractor()).scale == 0.2419


def test_an_interrupted_write_leaves_no_pair_of_an_old_and_a_new_file(tmp_path, monkeypatch):
    folder = with_reference(tmp_path / "x")
    values, arrays = fuzz._reference()
    values["format"] = ckpt.REFERENCE_FORMAT

    def killed(path, values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_json", killed)
        ckpt.write_reference(folder, values, arrays)
    sha256 = ckpt.read_card(folder)["weights"]["sha256"]
    assert ckpt.read_reference(folder, sha256) is None  # there is none, rather than a damaged one
    values = values | {"extractor": {"name": "x", "sha256": sha256}, "rows": {"a": {2: 1.0, 10: 2.0}}}
    ckpt.write_reference(folder, values, arrays)
    ckpt.verify(folder)  # also with names that are numbers, which JSON sorts otherwise


# --- hostile cards ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1, 10**9, 10**18, 10**400, 2.5, "64", None, True])
@pytest.mark.parametrize("place", ["latent_size", "num_classes", "height", "hidden", "depth"])
def test_sizes_in_a_card_are_bounded_before_anything_is_made(tmp_path, place, size):
    card = fuzz._networks()[0]
    if place in ("hidden", "depth"):
        card["config"]["classifier"][place] = size
    elif place == "height":
        card["data"]["spec"]["height"] = size
    elif place == "num_classes":
        card["data"] = {"name": "x", "num_classes": size}
    else:
        card["config"] = {"family": "mlp_gan", "generator": {"latent_size": size}, "discriminator": {}}
    for formed in (2, 3):
        with pytest.raises(CheckpointError, match="card.json") as error:
            cganjax.load_classifier(small(tmp_path / f"x{formed}", card=card, formed=formed))
        one_sentence(error)


def test_networks_are_described_without_making_their_arrays():
    """4 TB of latents would be made for the first layer's shape alone."""
    settings = models.Settings("mlp_gan", {"latent_size": 10**12}, {})
    networks = models.build(settings, ImageSpec.numbered(28, 28, 1, 10))
    shapes = jax.eval_shape(networks.generator.init, jax.random.key(0))
    assert max(x.size for x in jax.tree.leaves(shapes)) >= 10**12


@pytest.mark.parametrize("name", ["../../escaped/x", "/tmp/escaped", "a/b", "a\\b", "", ".", "..", ".x", "x\n", "a\0b"])
def test_the_name_of_a_checkpoint_is_a_plain_file_name(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"card.json is damaged: .*\$\.name"):
        cganjax.load_classifier(small(tmp_path / "x", card={"name": name}))


@pytest.mark.parametrize(
    "family", ["os.system", "__import__('os').system('touch escaped')", "../mlp", "", "cganjax.models.mlp"]
)
def test_a_family_is_looked_up_and_never_imported(tmp_path, monkeypatch, family):
    monkeypatch.chdir(tmp_path)
    config = {"family": family, "classifier": {"hidden": 4, "depth": 1}}
    with pytest.raises(CheckpointError, match="unknown network family"):
        cganjax.load_classifier(small(tmp_path / "x", card={"config": config}))
    assert os.listdir(tmp_path) == ["x"]


def test_settings_reach_no_other_argument_of_a_network(tmp_path):
    config = {"family": "mlp", "classifier": {"hidden": 4, "depth": 1, "parent": 1}}
    with pytest.raises(CheckpointError, match="card.json"):
        cganjax.load_classifier(small(tmp_path / "x", card={"config": config}))


# --- hostile arrays ---------------------------------------------------------------------------------------------------


class Smuggled:
    """A pickle that makes a file as soon as it is read."""

    def __reduce__(self):
        return (open, ("escaped", "w"))


def _stored(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _zip(members, way=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", way) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, way)
    return buffer.getvalue()


def _npy(header, values=b""):
    header = header.encode() + b"\n"
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(header)) + header + values


def _other_compression(content):
    """The same zip archive, said to be compressed in a way that nobody knows."""
    at = content.index(b"PK\1\2") + 10
    return content[:at] + b"\x63\0" + content[at + 2 :]


NAME = "classifier/params/Dense_0/kernel.npy"
PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
HOSTILE = {
    "a header of sizes beyond the file": _zip([(NAME, _npy(PLAIN % "(1000000, 1000000)"))]),
    "a size that overflows": _zip([(NAME, _npy(PLAIN % "(4294967296, 4294967296, 4)"))]),
    "a product of negative sizes": _zip([(NAME, _npy(PLAIN % "(-1, -1)", b"\0\0\0\0"))]),
    "a header that does not end": _zip([(NAME, b"\x93NUMPY\x02\0\xff\xff\xff\xff{")]),
    "unbalanced brackets": _zip([(NAME, _npy("{'descr': '<f4', 'shape': ((("))]),
    "nested brackets": _zip([(NAME, _npy("(" * 5000))]),
    "code in a header": _zip([(NAME, _npy("__import__('os').system('touch escaped')"))]),
    "a foreign member": _zip([("readme.txt", b"hello")]),
    "an empty name": _zip([("", b"hello")]),
    "a name of nothing": _zip([(".npy", _npy(PLAIN % "()", b"\0\0\0\0"))]),
    "two members of one name": _zip([(NAME, _npy(PLAIN % "()", b"\0\0\0\0"))] * 2),
    "another compression": _other_compression(_stored(a=np.ones(3))),
    "compressed arrays": _zip([(NAME, _npy(PLAIN % "(1000000,)", bytes(4_000_000)))], zipfile.ZIP_DEFLATED),
    "pickled objects": _stored(a=np.array([Smuggled()], object)),
    "a pickle": pickle.dumps(Smuggled()),
    "a pickle in a zip archive": _zip([(NAME, pickle.dumps(Smuggled()))]),
    "records": _stored(a=np.zeros(3, [("x", "<f4")])),
    "no zip archive": b"nothing",
    "an empty file": b"",
    "an array above another": _stored(**{"a/b": np.ones(1), "a/b/c": np.ones(1)}),
    "an array below another": _stored(**{"a/b/c": np.ones(1), "a/b": np.ones(1)}),
    "no networks": _stored(a=np.ones(1)),
    "a path": _zip([("../../escaped.npy", _npy(PLAIN % "()", b"\0\0\0\0"))]),
    "an absolute path": _zip([("/tmp/escaped.npy", _npy(PLAIN % "()", b"\0\0\0\0"))]),
    "a tree of 30,000 levels": _zip([("classifier/params/" + "a/" * 30_000 + "b.npy", _npy(PLAIN % "()", b"\0" * 4))]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_weights_from_a_stranger_are_data(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as error:
        cganjax.load_classifier(small(tmp_path / "x", weights=HOSTILE[what]))
    one_sentence(error)
    assert os.listdir(tmp_path) == ["x"] and not Path("/tmp/escaped.npy").exists()


@pytest.mark.parametrize("what", [what for what in HOSTILE if what not in ("compressed arrays", "no networks")])
def test_a_data_set_from_a_stranger_is_data(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    Path("mine.npz").write_bytes(HOSTILE[what])
    for read in (lambda: data.dataset("mine.npz"), lambda: _image_files.read(Path("mine.npz"), GREY)):
        with pytest.raises(UserError, match="mine.npz") as error:
            read()
        assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["mine.npz"]


def test_no_more_is_read_of_a_compressed_array_than_the_file_can_hold(tmp_path):
    buffer = io.BytesIO(_zip([("images.npy", _npy(PLAIN % "(9,)", bytes(36)))], zipfile.ZIP_DEFLATED))
    content = bytearray(buffer.getvalue())
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", 2**31)  # the size that the directory states
    with pytest.raises(npz.NotArrays, match="states arrays of 2,147,483,648 bytes and can hold at most"):
        npz.read(io.BytesIO(content))


def test_arrays_are_what_numpy_reads(tmp_path):
    arrays = {
        "bytes": np.arange(5, dtype=np.uint8),
        "big-endian": np.arange(6, dtype=">i4").reshape(2, 3),
        "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["a", "polar bear"]),
        "nothing": np.zeros((0, 3)),
        "one": np.float32(3),
    }
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        found = npz.read(buffer)
        assert npz.names(buffer) == [*arrays]
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array, strict=True)
    assert [*npz.read(buffer, ["one"])] == ["one"]
    np.save(tmp_path / "x.npy", arrays["by columns"])
    with open(tmp_path / "x.npy", "rb") as file:
        np.testing.assert_array_equal(npz.read_one(file), arrays["by columns"])


def test_a_damaged_file_of_kept_decoys_is_made_anew(tmp_path):
    clean = np.zeros((2, 4, 4, 1), np.float32)
    store = transfer.Store(tmp_path, jax.random.key(0), clean, 0)
    noise = transfer.Attack(transfer.NOISE, None)
    made = store.decoys(noise, 0.1)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:-30], b"", whole[:70] + bytes([whole[70] ^ 1]) + whole[71:]):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(store.decoys(noise, 0.1), made)
        assert path.read_bytes() == whole


# --- IDX files and pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sizes", [(2**31, 2**31, 4), (2**32 - 1,) * 3, (2**20, 2**10, 2**10)])
def test_sizes_of_an_idx_file_that_overflow_are_compared_as_they_are(tmp_path, sizes, packed):
    content = b"\0\0\x08\x03" + struct.pack(">3I", *sizes)
    path = tmp_path / f"x-idx3-ubyte{'.gz' * packed}"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(UserError, match="holds fewer bytes of values than the .* that its header promises"):
        data.read_idx(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """Its first four bytes fail already, or its header promises less than follows."""
    unpacked = []
    read = gzip.GzipFile.read

    def counted(self, size=-1):
        found = read(self, size)
        unpacked.append(len(found))
        return found

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    path = tmp_path / "x-idx3-ubyte.gz"
    for head, said in (
        (b"\0\0\0\0", "magic number 00000000"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4), "holds more bytes of values than the 2x3x4"),
    ):
        unpacked.clear()
        path.write_bytes(gzip.compress(head + bytes(20_000_000)))
        with pytest.raises(UserError, match=said):
            data.read_idx(path)
        assert sum(unpacked) < 100


def _picture(kind, size=(8, 6), **options):
    buffer = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def _huge_png():
    """A PNG of 12,000 x 12,000 pixels in its header; the pixels are missing."""
    content = bytearray(_picture("PNG"))
    content[16:24] = struct.pack(">2I", 12_000, 12_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def _no_chunk(content):
    """The name of the second chunk has a flipped bit, which Pillow calls a SyntaxError."""
    return content[:37] + bytes([content[37] ^ 128]) + content[38:]


PICTURES = {
    "huge.png": (_huge_png(), "it has more than 89,478,485 pixels"),
    "chunk.png": (_no_chunk(_picture("PNG")), ""),
    "cut.jpg": (_picture("JPEG")[:200], ""),
    "postscript.png": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "cannot identify",
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_damaged_or_huge_picture_is_one_error(tmp_path, name):
    content, said = PICTURES[name]
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "good.png").write_bytes(_picture("PNG"))
    path = tmp_path / "a" / name
    path.write_bytes(content)
    for read in (lambda: data.dataset(tmp_path), lambda: _image_files.read(path, GREY)):
        with pytest.raises(UserError, match=f"{name} cannot be read as .*{said}") as error:
            read()  # a warning would fail this test, too
        one_sentence(error)


def test_a_narrow_picture_is_not_padded_to_a_huge_one(tmp_path):
    (tmp_path / "x.png").write_bytes(_picture("PNG", size=(1, 60_000)))
    np.save(tmp_path / "x.npy", np.zeros((1, 60_000, 1), np.uint8))
    for name, size in (("x.png", "1x60000"), ("x.npy", "60000x1")):
        with pytest.raises(UserError, match=f"{name} is {size}, which is too narrow to fit 4x4: crop it"):
            _image_files.read(tmp_path / name, GREY)


@pytest.mark.parametrize("raised", [SyntaxError("broken PNG file"), MemoryError(), struct.error("x"), EOFError()])
def test_whatever_a_decoder_raises_the_file_is_named(tmp_path, monkeypatch, raised):
    def fail(*args, **kwargs):
        raise raised

    (tmp_path / "x.tiff").write_bytes(_picture("TIFF"))
    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    reason = str(raised) or type(raised).__name__
    with pytest.raises(UserError, match=f"x.tiff cannot be read as a picture \\({reason}\\)"):
        _image_files.read(tmp_path / "x.tiff", GREY)


def test_every_format_that_is_promised_is_read(tmp_path):
    for kind in pictures.FORMATS:
        (tmp_path / "x").write_bytes(_picture(kind, size=(16, 16)))
        assert _image_files.read(tmp_path / "x", GREY).images.shape == (1, 4, 4, 1)


# --- random damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", fuzz.READERS)
@hypothesis.settings(max_examples=200, derandomize=True, deadline=None, database=None)
@hypothesis.given(chance=strategies.integers(0, 2**64 - 1))
def test_a_reader_returns_what_it_documents_or_raises_it(name, chance):
    chance, sound = random.Random(chance), fuzz.READERS[name].sound()
    file = chance.choice([*sound])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(fuzz.changed(chance, file, sound[file]))
        fuzz.read(name, path)


@pytest.mark.parametrize("name", fuzz.READERS)
def test_sound_files_are_read(name, tmp_path):
    for file, content in fuzz.READERS[name].sound().items():
        (tmp_path / file).write_bytes(content)
        assert fuzz.read(name, tmp_path / file) == "result"
        shutil.rmtree(tmp_path / Path(file).with_suffix(".set"), ignore_errors=True)


CORPUS = Path(__file__).with_name("corpus")
READER = {name.replace(" ", "-"): name for name in fuzz.READERS}


@pytest.mark.parametrize("found", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_before(found, tmp_path):
    path = tmp_path / found.name.partition("-")[2]
    shutil.copy(found, path)
    assert fuzz.read(READER[found.parent.name], path) in ("error", "result"), "and raises nothing else"


def test_fuzz_counts_saves_and_fails_what_is_not_documented(tmp_path, monkeypatch, capsys):
    def fail(path):
        raise KeyError("oh")

    monkeypatch.setitem(fuzz.READERS, "card", fuzz.READERS["card"]._replace(read=fail))
    monkeypatch.setattr(fuzz, "_limit", lambda memory: None)
    (tmp_path / "inputs").mkdir()
    found = fuzz._work("card", 0.2, 0, 4, tmp_path / "inputs", tmp_path / "out")
    ((one),) = found["else"]
    assert found["error"] == found["result"] == 0 < found["inputs"] and "KeyError" in one["said"]
    assert Path(one["input"]).exists() and fuzz.changed(random.Random(3), "x", b"abc") == fuzz.changed(
        random.Random(3), "x", b"abc"
    )
    monkeypatch.setattr(fuzz, "fuzz", lambda *args: found)
    assert fuzz.main(["--only", "card"]) != 0 and "KeyError" in capsys.readouterr().out


def test_fuzz_saves_the_input_of_a_process_that_died(tmp_path):
    code = "import benchmarks.fuzz as f, os; f.READERS['IDX'] = f.READERS['IDX']._replace(read=lambda p: os._exit(9)); "
    real = fuzz.subprocess.run

    def run(command, **options):
        return real([*command[:-1], code + command[-1]], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz.subprocess, "run", run)
        found = fuzz.fuzz("IDX", 1.0, 0, 4.0, tmp_path)
    ((one),) = found["else"]
    assert "the process ended with 9" in one["said"] and Path(one["input"]).is_file()


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["~nosuchuser/x", "~nosuchuser/x.npz", "x" * 5000, "/" + "x" * 5000, "a\0b", "./" + "x" * 300]
)
def test_a_path_that_cannot_exist_is_one_that_does_not(path):
    for read in (
        lambda: cganjax.load(path),
        lambda: cganjax.dataset(path),
        lambda: cganjax.dataset("digits_of_mine", data_dir=path),
        lambda: cganjax.dataset(Path(path)),
    ):
        with pytest.raises(FileNotFoundError):
            read()


@pytest.mark.parametrize("file", [ckpt.CARD, ckpt.WEIGHTS])
def test_a_checkpoint_with_a_device_or_a_pipe_is_refused_without_reading_it(tmp_path, file):
    folder = small(tmp_path / "x")
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo, Path.mkdir):
        (folder / file).unlink(missing_ok=True)
        make(folder / file)
        with pytest.raises(CheckpointError, match=f"{file} is no file"):
            cganjax.load_classifier(folder)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_endless_nesting_is_said_in_our_words(tmp_path, opening):
    (tmp_path / "card.json").write_text(opening * 200_000)
    with pytest.raises(CheckpointError) as error:
        files.read_json(tmp_path / "card.json")
    assert str(error.value) == f"{tmp_path / 'card.json'} is damaged: it is nested too deeply"


class Chain(TypedDict):
    """Values that go on without end."""

    more: "Chain"


def test_endless_nesting_of_values_is_said_in_our_words():
    values = {}
    values["more"] = values
    with pytest.raises(CheckpointError) as error:
        files.check_kind(values, Chain, "card.json")
    assert str(error.value) == "card.json is damaged: it is nested too deeply"
