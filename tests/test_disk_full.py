"""A disk without room: one sentence, exit code 1, what was there stays, and nothing half-written is left."""

import ast
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cganjax import cli, files
from cganjax.commands import decoy, sample
from cganjax.types import UserError
from experiments import curves, pattern_1010, robustness, ship

ROOT = Path(__file__).resolve().parents[1]
resource = pytest.importorskip("resource", reason="limits of POSIX")


@contextlib.contextmanager
def little_room(size):
    """Within it no file of this process may grow beyond so many bytes: the kernel refuses it as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def full(monkeypatch):
    """Every file that a command writes has room for 10 bytes, and no more."""
    write_file = files.write_file

    def limited(path, data):
        with little_room(10):
            write_file(path, data)

    for module in list(sys.modules.values()):
        if getattr(module, "write_file", None) is write_file:
            monkeypatch.setattr(module, "write_file", limited)


def all_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- one file ---------------------------------------------------------------------------------------------------------


def test_a_file_without_room_leaves_the_old_one_and_is_named(tmp_path):
    path = tmp_path / "x.bin"
    files.write_file(path, b"old")
    with little_room(10), pytest.raises(OSError) as error:
        files.write_file(path, bytes(20))
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
    assert all_files(tmp_path) == {path: b"old"}


@pytest.mark.parametrize("raised", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_write_leaves_no_part(tmp_path, monkeypatch, raised):
    def interrupted(*args):
        raise raised

    path = tmp_path / "x.bin"
    files.write_file(path, b"old")
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(raised):
        files.write_file(path, b"new")
    assert all_files(tmp_path) == {path: b"old"}


def test_the_content_reaches_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    done = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda opened: done.append("fsync") or fsync(opened))
    monkeypatch.setattr(os, "replace", lambda *names: done.append("replace") or replace(*names))
    files.write_file(tmp_path / "x.bin", b"new")
    assert done == ["fsync", "replace", "fsync"]


def test_a_symbolic_link_is_written_through(tmp_path):
    target, link = tmp_path / "there" / "x.bin", tmp_path / "link.bin"
    target.parent.mkdir()
    link.symlink_to("there/x.bin")
    for content in (b"first", b"second"):  # first the link points nowhere
        files.write_file(link, content)
        assert link.is_symlink() and target.read_bytes() == content
    assert len(list(tmp_path.rglob("*"))) == 3


def test_what_is_no_file_is_written_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_file(pipe, b"through")
    assert os.read(reader, 100) == b"through" and pipe.is_fifo()
    os.close(reader)


def test_a_folder_on_a_full_disk_is_no_mistake_of_the_user(tmp_path, monkeypatch):
    def refuse(number):
        def touch(self, *args, **kwargs):
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "touch", touch)

    refuse(errno.ENOSPC)
    with pytest.raises(OSError) as error:
        files.writable_folder(tmp_path)
    assert error.value.filename == str(tmp_path)
    refuse(errno.EROFS)
    with pytest.raises(UserError, match="cannot be written"):
        files.writable_folder(tmp_path)


# --- what execute says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(files.FULL | {errno.EROFS}))
def test_a_disk_without_room_is_one_sentence_and_exit_code_1(number, capsys):
    def main(argv):
        raise OSError(number, os.strerror(number), "runs/x/curves.png")

    assert cli.execute(main) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: runs/x/curves.png cannot be written ({os.strerror(number)}): ")
    assert said.count("\n") == 1 and "another disk" in said


def test_an_error_of_tensorstore_is_one_sentence(capsys):
    text = (
        'RESOURCE_EXHAUSTED: Error opening "zarr" driver: Error writing local file "/r/checkpoints/10/x": Failed '
        "writing: No space left on device [tensorstore_spec='{}'] [os_error_code='28']"
    )

    def main(argv):
        raise ValueError(text)

    assert cli.execute(main) == 1
    assert capsys.readouterr().err.startswith("error: /r/checkpoints/10/x cannot be written (No space left on device)")
    with pytest.raises(ValueError, match="^other$"):
        cli.execute(lambda argv: (_ for _ in ()).throw(ValueError("other")))


def test_an_error_of_the_system_that_names_no_file_may_be_a_bug():
    def main(argv):
        raise OSError(errno.EINVAL, "Invalid argument")

    with pytest.raises(OSError, match="Invalid argument"):
        cli.execute(main)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_full_output_is_one_sentence(size):
    code = f"from cganjax import cli; import sys; sys.exit(cli.execute(lambda argv: print('x' * {size})))"
    with open("/dev/full", "w") as out:
        done = subprocess.run([sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the output cannot be written (No space left on device): free some space, or choose another disk\n"
    )


def test_a_reader_that_left_is_no_traceback():
    code = "from cganjax import cli; import sys; sys.exit(cli.execute(lambda argv: print('x\\n' * 100)))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


# --- the commands -----------------------------------------------------------------------------------------------------


def assert_refused(found, folder, before):
    code, _, err = found
    lines = err.splitlines()
    assert code == 1 and len(lines) == 1 and "cannot be written (File too large): free some space" in lines[0], err
    assert all_files(folder) == before


@pytest.mark.parametrize("name", ["x.png", "x.npz"])
def test_sample(full, command, tmp_path, name):
    (tmp_path / name).write_bytes(b"old")
    assert_refused(command(sample, "3141", "--out", name, "--overwrite"), tmp_path, {tmp_path / name: b"old"})


@pytest.mark.slow
def test_decoy(full, command, tmp_path):
    assert_refused(command(decoy, "3", "--target", "lenet5", "--method", "fgsm"), tmp_path, {})


def test_ship(full, command, tmp_path, tiny_run):
    shutil.copytree(tiny_run, tmp_path / "run")
    before = all_files(tmp_path)
    assert_refused(command(ship, "run", "--name", "mine", "--out", "shelf"), tmp_path, before)


@pytest.mark.slow
def test_pattern_1010(full, command, tmp_path):
    assert_refused(command(pattern_1010, "--steps", "10", "--seeds", "2", "--out", "p"), tmp_path, {})


@pytest.mark.slow
def test_robustness(full, command, tmp_path):
    arguments = ("lenet5", "--dataset", "digits", "--epsilons", "0.1", "--images", "20", "--out", "r")
    assert_refused(command(robustness, *arguments), tmp_path, {})


def test_curves(full, command, tmp_path, tiny_run):
    shutil.copytree(tiny_run, tmp_path / "run")
    before = all_files(tmp_path)
    assert_refused(command(curves, "run", "--overwrite"), tmp_path, before)


# Also: lines of a growing file, who holds a lock, and the claim of a name.
WRITERS = {
    "cganjax/files.py",
    "cganjax/training/metrics_log.py",
    "cganjax/run_lock.py",
    "cganjax/commands/sample.py",
}


def test_files_are_written_by_one_function():
    """Else the promises above would not hold: nobody opens a file to write it but `files.write_file`."""
    for path in [*(ROOT / "cganjax").rglob("*.py"), *(ROOT / "experiments").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := getattr(node.func, "attr", getattr(node.func, "id", ""))):
                modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                writes = name in ("write_bytes", "write_text") or (name == "open" and {*modes} & {"w", "wb", "a", "x"})
                assert not writes or str(path.relative_to(ROOT)) in WRITERS, f"{path}:{node.lineno}"


# --- a disk that is full ----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 6 MiB, if this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("this user may not mount a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def on_full_disk(disk, room, *line):
    (disk / "fill").write_bytes(np.zeros((6 << 20) - room, np.uint8).tobytes())
    return subprocess.run([sys.executable, "-m", *map(str, line)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("room", [100_000, 400_000, 900_000])
def test_a_training_on_a_full_disk(small_disk, room):
    line = ("cganjax", "train", "--recipe", "digits", "--steps", "20", "--set", "checkpoint_every=5")
    done = on_full_disk(small_disk, room, *line, "--out", small_disk / "run")
    said = [text for text in done.stderr.replace("\r", "\n").splitlines() if text.startswith("error")]
    assert done.returncode == 1 and len(said) == 1 and "No space left on device" in said[0], done.stderr
    assert "Traceback" not in done.stderr and not list(small_disk.rglob("*.part"))


@pytest.mark.slow
def test_a_sample_on_a_full_disk(small_disk):
    done = on_full_disk(small_disk, 50_000, "cganjax", "sample", "--random", "200", "--out", small_disk / "x.npz")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr
    assert [path.name for path in small_disk.iterdir()] == ["fill"]
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN, "else the limits above would end the process"
