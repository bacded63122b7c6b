"""Damaged and hostile files for every reader: `python -m benchmarks.fuzz --minutes 10`.

Sound files are changed at random, in bytes or, if they are JSON, in values, and read. Every reader must return a result
that it documents, or raise the error that it documents; anything else, such as another exception, a warning, a process
that dies, more than --memory GiB or more than 20 seconds, is printed, its input is saved in --out, and the exit code is
1. Each reader runs in a process of its own. tests/test_damaged_files.py runs the same readers on fewer inputs, and on
what was found before, in tests/corpus/.

--functions runs the property tests of the public functions, tests/test_properties.py, with 10,000 examples each.
"""

import copy
import functools
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from cganjax import cli, types
from cganjax.types import CheckpointError, UserError

SECONDS = 20  # for one input
EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
ODD = (None, True, False, 0, -1, 1, 2**31, 2**63, 10**18, 10**400, 0.5, -1e308, float("inf"), float("nan"), "", "x", [])
ODD_TOO = ({}, [[]], ["a", "a"], "../../escaped/x", "/tmp/escaped", "\ud800", "\0", "\x1b[2J", "9" * 5000, {"a": {}})


class Reader(NamedTuple):
    """One reader of files that people exchange."""

    sound: Callable[[], Mapping[str, bytes]]  # name -> content of files that it reads; they are then changed
    read: Callable[[Path], Any]  # reads one file; what must lie beside it is written first
    error: type[Exception]  # the only error that it documents


# --- changing files ---------------------------------------------------------------------------------------------------


def changed(chance: random.Random, name: str, content: bytes) -> bytes:
    """The content of a file with one to four random changes, or random bytes instead.

    Args:
      chance: the source of randomness.
      name: the file's name; one that ends with .json is changed in its values half of the time.
      content: of a sound file.
    """
    if chance.randrange(30) == 0:
        return chance.randbytes(chance.randrange(100))
    if name.endswith(".json") and chance.randrange(2):
        values = json.loads(content)
        for _ in range(chance.randint(1, 2)):
            _change_value(chance, values)
        return json.dumps(values).encode()
    if name.endswith((".gz", ".npz", ".png")) and chance.randrange(2):
        content = _inside(chance, name, content)
        if chance.randrange(2):
            return content
    changes = (_flip, _flip, _flip, _cut, _remove, _insert, _repeat, _extreme)
    for _ in range(chance.randint(1, 4)):
        content = chance.choice(changes)(chance, content)
    return content


def _inside(chance: random.Random, name: str, content: bytes) -> bytes:
    """Change what lies below a checksum or a compression, and make these fit again."""
    if name.endswith(".gz"):
        return gzip.compress(changed(chance, "", gzip.decompress(content)), mtime=0)
    if name.endswith(".npz"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        one = chance.choice([*members])
        if chance.randrange(4):
            members[one] = changed(chance, "", members[one])
        else:
            members[changed(chance, "", one.encode()).decode("latin-1")] = members.pop(one)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, data in members.items():
                archive.writestr(zipfile.ZipInfo(member), data)
        return buffer.getvalue()
    chunks, at = [], 8  # of a PNG
    while at < len(content):
        end = at + 12 + struct.unpack(">I", content[at : at + 4])[0]
        chunks.append(content[at + 4 : end - 4])  # its kind and its data
        at = end
    i = chance.randrange(len(chunks))
    chunks[i] = changed(chance, "", chunks[i])
    sealed = (struct.pack(">I", max(len(x) - 4, 0)) + x + struct.pack(">I", zlib.crc32(x)) for x in chunks)
    return content[:8] + b"".join(sealed)


def _place(chance: random.Random, content: bytes) -> int:
    """A position, half of the time near the beginning, where headers are."""
    return chance.randrange(min(len(content), 64) if chance.randrange(2) else len(content)) if content else 0


def _flip(chance: random.Random, content: bytes) -> bytes:
    i = _place(chance, content)
    return content[:i] + bytes(byte ^ 1 << chance.randrange(8) for byte in content[i : i + 1]) + content[i + 1 :]


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: _place(chance, content)]


def _remove(chance: random.Random, content: bytes) -> bytes:
    i = _place(chance, content)
    return content[:i] + content[i + chance.randint(1, 16) :]


def _insert(chance: random.Random, content: bytes) -> bytes:
    i = _place(chance, content)
    return content[:i] + chance.randbytes(chance.randint(1, 16)) + content[i:]


def _repeat(chance: random.Random, content: bytes) -> bytes:
    i = _place(chance, content)
    return content[:i] + content[i : i + chance.randint(1, 64)] * chance.choice((2, 3, 100)) + content[i:]


def _extreme(chance: random.Random, content: bytes) -> bytes:
    i, kind = _place(chance, content), chance.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(kind)
    number = struct.pack(kind, chance.choice(EXTREMES) % 256**size)
    return content[:i] + number + content[i + size :]


def _change_value(chance: random.Random, values: Any) -> None:
    """Replace one value somewhere inside of JSON values, remove it, or give it another name."""
    places = [*_places(values)]
    if not places:
        return
    inside, key = chance.choice(places)
    what = chance.randrange(8)
    if what == 0:
        del inside[key]
    elif what == 1 and isinstance(inside, dict):
        inside[f"{key}x"] = inside.pop(key)
    elif what == 2 and isinstance(inside, list):
        inside += copy.deepcopy(inside)
    else:
        inside[key] = copy.deepcopy(chance.choice((*ODD, *ODD_TOO)))


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every (object or list, key or index) inside of JSON values."""
    keys = values if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    for key in keys:
        yield values, key
        yield from _places(values[key])


# --- sound files ------------------------------------------------------------------------------------------------------


def _images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@functools.cache
def _idx() -> dict[str, bytes]:
    images = b"\0\0\x08\x03" + struct.pack(">3I", 5, 4, 3) + _images(5, 4, 3).tobytes()
    labels = b"\0\0\x08\x01" + struct.pack(">I", 5) + bytes(range(5))
    return {"x-idx3-ubyte": images, "y-idx1-ubyte": labels, "x-idx3-ubyte.gz": gzip.compress(images, mtime=0)}


def _npz(save: Callable = np.savez, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@functools.cache
def _data_sets() -> dict[str, bytes]:
    arrays = {"images": _images(12, 4, 3), "labels": np.arange(12) % 2, "class_names": np.array(["a", "b"])}
    parts = {"x_train": _images(4, 3, 3, 3), "y_train": np.arange(4) % 2, "x_test": _images(4, 3, 3, 3)}
    return {
        "stored.npz": _npz(**arrays),
        "compressed.npz": _npz(np.savez_compressed, **arrays),
        "parts.npz": _npz(**parts, y_test=np.arange(4) % 2),
    }


@functools.cache
def _arrays() -> dict[str, bytes]:
    one = io.BytesIO()
    np.save(one, _images(2, 8, 8) / np.float32(255))
    return {"x.npy": one.getvalue(), "x.npz": _npz(images=_images(2, 8, 8, 3))}


@functools.cache
def _pictures(*formats: str) -> dict[str, bytes]:
    from PIL import Image

    found = {}
    for name in formats:
        for kind, image in (("grey", _images(8, 6)), ("rgb", _images(8, 6, 3))):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, name)
            found[f"{kind}.{name.lower()}"] = buffer.getvalue()
    if "PNG" in formats:
        buffer = io.BytesIO()
        Image.fromarray(_images(8, 6, 3)).quantize(16).save(buffer, "PNG", transparency=3)
        found["palette.png"] = buffer.getvalue()
    return found


@functools.cache
def _other_png() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(255 - _images(8, 6)).save(buffer, "PNG")
    return buffer.getvalue()


def _networks() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The card of format 2 of a small classifier, and its arrays; nothing is trained."""
    spec = {"height": 2, "width": 3, "channels": 1, "class_names": ["a", "b", "c"], "polarity": "light_on_dark"}
    card = {
        "format": 2,
        "name": "small",
        "roles": ["classifier"],
        "recipe": "surrogate_mlp",
        "seed": 0,
        "steps": 3,
        "data": {"name": "mine", "split": "train", "images": 9, "num_classes": 3, "fingerprint": "0", "spec": spec},
        "metrics": {"loss": 0.5},
        "config": {"family": "mlp", "classifier": {"hidden": 4, "depth": 1}},
        "thresholds": {"msp": {"threshold": 0.005, "accepted": 0.95}},
    }
    sizes = {"Dense_0": (6, 4), "Dense_1": (4, 3)}
    arrays = {f"classifier/params/{name}/kernel": np.ones(size, np.float32) for name, size in sizes.items()}
    return card, arrays | {f"classifier/params/{name}/bias": np.ones(s[1], np.float32) for name, s in sizes.items()}


def _about(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


@functools.cache
def _old_cards() -> dict[str, bytes]:
    card, arrays = _networks()
    return {"card.json": json.dumps(card | {"weights": _about(_npz(**arrays))}, indent=2).encode()}


@functools.cache
def _cards() -> dict[str, bytes]:
    from cganjax import digests, sealed

    card, arrays = _networks()
    card |= {"format": 3, "weights": sealed.described(_npz(**arrays), arrays)}
    return {"card.json": json.dumps(digests.sealed(card), indent=2).encode()}


@functools.cache
def _weights() -> dict[str, bytes]:
    return {"weights.npz": _npz(**_networks()[1])}


def _reference() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The card of format 1 of a reference of 6 images with 4 features, and its arrays."""
    values = {
        "format": 1,
        "extractor": {"name": "x", "sha256": "0"},
        "judge": None,
        "data": {"name": "mine", "images": 6},
        "scale": 0.2419,
        "train": {"images": 9},
        "rows": {"real images": {"frechet": 0.5, "kid_by_class": [0.5, 1], "intervals": {"frechet": [0.25, 1]}}},
    }
    per_image = {name: np.ones(6, np.float32) for name in ("nearest_pixels", "nearest_features")}
    arrays = {"features": np.ones((6, 4), np.float16), "labels": np.arange(6).astype(np.uint8)}
    return values, arrays | {"train_mean": np.ones(4), "train_covariance": np.eye(4)} | per_image


@functools.cache
def _old_references() -> dict[str, bytes]:
    values, arrays = _reference()
    return {"reference.json": json.dumps(values | {"arrays": _about(_npz(**arrays))}).encode()}


@functools.cache
def _references() -> dict[str, bytes]:
    from cganjax import digests, sealed

    values, arrays = _reference()
    values |= {"format": 2, "arrays": sealed.described(_npz(**arrays), arrays)}
    return {"reference.json": json.dumps(digests.sealed(values)).encode()}


@functools.cache
def _reference_arrays() -> dict[str, bytes]:
    return {"reference.npz": _npz(**_reference()[1])}


@functools.cache
def _metrics() -> dict[str, bytes]:
    rows = [{"step": 2 * i, "loss": 1 / 3, "list": [0.5, 1]} for i in range(1, 5)]
    return {"metrics.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows).encode()}


@functools.cache
def _run() -> dict[str, bytes]:
    from cganjax import recipes
    from cganjax.training import config

    digits = recipes.load("digits")
    manifest = {
        "recipe": "digits",
        "seed": 0,
        "command": "train",
        "data": _networks()[0]["data"],
        "versions": {"jax": "0"},
        "device": {"platform": "cpu", "kind": "cpu", "count": 1},
        "git": {"commit": None, "dirty": None},
        "steps": 3,
        "wall_time_s": 0.5,
        "earlier_parts": [],
        "devices": 1,
    }
    return {"config.json": config.dumps(digits).encode(), "manifest.json": json.dumps(manifest).encode()}


# --- readers ----------------------------------------------------------------------------------------------------------


def _read_idx(path: Path) -> None:
    from cganjax import data

    array, _ = data.read_idx(path)
    assert array.dtype == np.uint8 and array.ndim in (1, 3)


def _read_folder(path: Path) -> None:
    from cganjax import data

    top = path.with_suffix(".set")
    for name in ("a", "b"):
        (top / name).mkdir(parents=True)
        (top / name / "0.png").write_bytes(_other_png())
    shutil.copy(path, top / "a" / f"1{path.suffix}")
    assert len(data.dataset(top, split="all").images) == 3


def _read_data_set(path: Path) -> None:
    from cganjax import data

    found = data.dataset(path, split="all")
    assert found.images.dtype == np.uint8 and len(found.images) == len(found.labels)


def _read_images(path: Path) -> None:
    from cganjax.commands import _image_files
    from cganjax.spec import ImageSpec

    for channels in (1, 3):
        images = _image_files.read(path, ImageSpec.numbered(4, 4, channels, 2)).images
        assert images.shape[1:] == (4, 4, channels) and np.isfinite(images).all()


def _read_card(path: Path) -> None:
    """A card with a digest: it is what it was, or an error."""
    from cganjax import checkpoint

    (path.parent / "weights.npz").write_bytes(_weights()["weights.npz"])
    card = checkpoint.read_card(path.parent)
    assert card == json.loads(_cards()["card.json"]), "a change went unnoticed"
    checkpoint.verify(path.parent)


def _read_old_card(path: Path) -> None:
    """A card without a digest: what it says makes a network, or is refused."""
    from cganjax import sampling

    (path.parent / "weights.npz").write_bytes(_weights()["weights.npz"])
    classifier = sampling.load_classifier(path.parent)
    assert classifier.image_shape == (2, 3, 1) and classifier.num_classes == 3
    assert "/" not in classifier.card["name"]


def _read_weights(path: Path) -> None:
    """Weights whose card agrees with them, as a stranger's does."""
    from cganjax import sampling

    card = _networks()[0] | {"weights": _about(path.read_bytes())}
    (path.parent / "card.json").write_text(json.dumps(card))
    sampling.load_classifier(path.parent)


def _extractor() -> SimpleNamespace:
    return SimpleNamespace(card={"name": "x", "weights": {"sha256": "0"}})


def _read_reference(path: Path) -> None:
    from cganjax import checkpoint
    from cganjax.evaluation import reference

    (path.parent / "reference.npz").write_bytes(_reference_arrays()["reference.npz"])
    values, _ = checkpoint.read_reference(path.parent, "0")
    assert values == json.loads(_references()["reference.json"]), "a change went unnoticed"
    assert reference.read(path.parent, _extractor()).scale == 0.2419


def _read_old_reference(path: Path) -> None:
    from cganjax.evaluation import reference

    (path.parent / "reference.npz").write_bytes(_reference_arrays()["reference.npz"])
    found = reference.read(path.parent, _extractor())
    assert found.features.shape == (6, 4) and 0 < found.scale < np.inf


def _read_reference_arrays(path: Path) -> None:
    from cganjax.evaluation import reference

    values = _reference()[0] | {"arrays": _about(path.read_bytes())}
    (path.parent / "reference.json").write_text(json.dumps(values))
    found = reference.read(path.parent, _extractor())
    assert found.features.ndim == 2 and np.isfinite(found.features).all()


def _read_metrics(path: Path) -> None:
    from cganjax import metrics_lines

    for name, content in _run().items():
        (path.parent / name).write_bytes(content)
    rows = metrics_lines.read(path.parent)
    assert all(isinstance(row, dict) and type(row["step"]) is int for row in rows)


def _read_run(path: Path) -> None:
    from cganjax import run_folder
    from cganjax.sampling import cards

    for name, content in _run().items():
        if name != path.name:
            (path.parent / name).write_bytes(content)
    config, manifest = run_folder.read_run(path.parent)
    cards.spec_of(manifest["data"], path)
    cards.settings_of(config, path)
    cards.card_of_run("x", config, manifest, [], manifest["steps"], {})


READERS: dict[str, Reader] = {
    "IDX": Reader(_idx, _read_idx, UserError),
    "folder of pictures": Reader(lambda: _pictures("PNG", "JPEG"), _read_folder, UserError),
    "data set in .npz": Reader(_data_sets, _read_data_set, UserError),
    "pictures": Reader(lambda: _pictures("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"), _read_images, UserError),
    "arrays": Reader(_arrays, _read_images, UserError),
    "card": Reader(_cards, _read_card, CheckpointError),
    "card of format 2": Reader(_old_cards, _read_old_card, CheckpointError),
    "weights": Reader(_weights, _read_weights, CheckpointError),
    "reference": Reader(_references, _read_reference, CheckpointError),
    "reference of format 1": Reader(_old_references, _read_old_reference, CheckpointError),
    "arrays of a reference": Reader(_reference_arrays, _read_reference_arrays, CheckpointError),
    "metrics": Reader(_metrics, _read_metrics, CheckpointError),
    "config and manifest": Reader(_run, _read_run, CheckpointError),
}


def read(name: str, path: Path) -> str:
    """Let a reader read a file: "error" if it raised the one that it documents, "result" otherwise.

    Raises:
      Exception: another error, a warning that is not ours, or a result that is none.
    """
    reader = READERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in vars(types).values():  # ours say what of a damaged file was left out
            if isinstance(kind, type) and issubclass(kind, Warning):
                warnings.simplefilter("ignore", kind)
        try:
            reader.read(path)
        except reader.error as error:
            assert str(error) and "\n" not in str(error), f"{type(error).__name__} is not one sentence: {error}"
            return "error"
    return "result"


# --- many inputs, in a process of their own ---------------------------------------------------------------------------


def _work(name: str, seconds: float, seed: int, memory: float, folder: Path, out: Path) -> dict[str, Any]:
    """Read changed files for so many seconds; those of which something else came are copied into `out`."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    _limit(memory)
    chance, sound = random.Random(f"{seed} {name}"), READERS[name].sound()
    found, seen, until = {"inputs": 0, "error": 0, "result": 0, "else": []}, set(), time.monotonic() + seconds

    def too_long(number, frame):
        raise TimeoutError(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, too_long)
    while time.monotonic() < until:
        file, place = chance.choice([*sound]), folder / f"{found['inputs']:07}"
        place.mkdir()
        (place / file).write_bytes(changed(chance, file, sound[file]))
        found["inputs"] += 1
        signal.alarm(SECONDS)
        try:
            found[read(name, place / file)] += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:200]}"
            if (kept := said.split(": ")[0]) not in seen:
                seen.add(kept)
                found["else"].append({"said": said, "input": str(_keep(place / file, name, out))})
        finally:
            signal.alarm(0)
        shutil.rmtree(place)
    return found


def _limit(memory: float) -> None:
    import resource

    most = int(memory * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _keep(path: Path, name: str, out: Path) -> Path:
    """Copy an input to where it stays: OUT/READER/DIGEST-NAME."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    kept = out / name.replace(" ", "-") / f"{digest}-{path.name}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(path, kept))


def fuzz(name: str, seconds: float, seed: int, memory: float, out: Path) -> dict[str, Any]:
    """What came of the changed files of one reader, also if its process died."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, record = Path(temporary) / "inputs", Path(temporary) / "record.json"
        folder.mkdir()
        asked = {
            "name": name,
            "seconds": seconds,
            "seed": seed,
            "memory": memory,
            "folder": str(folder),
            "out": str(out),
        }
        code = f"from benchmarks import fuzz; fuzz.worker({json.dumps(asked)!r}, {str(record)!r})"
        try:
            limit = seconds + 10 * SECONDS
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=limit)
            said = f"the process ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        except subprocess.TimeoutExpired:  # within a call that no signal interrupts
            said = "the process did not end"
        if record.exists():
            return json.loads(record.read_text())
        kept = [str(_keep(path, name, out)) for path in sorted(folder.glob("*/*")) if path.is_file()]
        return {"inputs": 0, "error": 0, "result": 0, "else": [{"said": said, "input": ", ".join(kept)}]}


def worker(asked: str, record: str) -> None:
    """The process of one reader."""
    values = json.loads(asked)
    found = _work(**values | {"folder": Path(values["folder"]), "out": Path(values["out"])})
    Path(record).write_text(json.dumps(found))


def _functions() -> int:
    """The property tests of the public functions, by the profile with 10,000 examples of tests/conftest.py."""
    command = ["-m", "pytest", "tests/test_properties.py", "-m", "", "--hypothesis-profile=thorough"]
    return subprocess.run([sys.executable, *command]).returncode


def main(argv=None) -> int:
    """Fuzz each reader in turn, and print a table."""
    parser = cli.Parser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all readers together (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default: 0)")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(READERS), metavar="READER", help=f"some of {', '.join(READERS)}"
    )
    parser.add_argument("--memory", type=float, default=4.0, metavar="GIB", help="that a reader may use (default: 4)")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="for what was found (default: runs/fuzz)")
    parser.add_argument("--functions", action="store_true", help="the property tests of functions instead of readers")
    args = parser.parse_args(argv)
    if args.functions:
        return cli.FAILED if _functions() else cli.DONE
    if not 0 < args.minutes < 1e5:
        raise cli.UserError(f"--minutes is {args.minutes}: give a number above 0, such as 10")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    names, bad = args.only or [*READERS], []
    print(f"{'reader':24}{'inputs':>9}{'documented errors':>19}{'results':>9}{'anything else':>15}", flush=True)
    for name in names:
        found = fuzz(name, 60 * args.minutes / len(names), args.seed, args.memory, args.out.resolve())
        bad += [(name, one) for one in found["else"]]
        other = found["inputs"] - found["error"] - found["result"] or len(found["else"])
        print(f"{name:24}{found['inputs']:9,}{found['error']:19,}{found['result']:9,}{other:15,}", flush=True)
    for name, one in bad:
        print(f"{name}: {one['said']}\n  {one['input']}")
    return cli.FAILED if bad else cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
