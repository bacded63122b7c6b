"""Commands that draw: the grid and the array file, the prompt, the installed wheel, and each refusal."""

import io
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cganjax
from cganjax import __main__ as package
from cganjax import pixels, report
from cganjax.commands import doctor
from experiments import sample

ROOT = Path(__file__).resolve().parents[1]


def test_a_grid_of_the_digits_asked_for(command, tmp_path):
    code, out, err = command(sample, "3141592653", "--out", "pi.png")
    assert (code, err) == (0, "") and "pi.png" in out
    with Image.open("pi.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (2 * 32, 2 * (10 * 30 + 2)), "one row of ten, gaps of 2, doubled"
    images = np.asarray(cganjax.sample(jax.random.key(0), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]))
    assert np.array_equal(255 - sheet[::2, ::2][2:30, 32:60], pixels.unit_to_rest(images[1])[..., 0])
    code, _, err = command(sample, "3141592653", "--out", "pi.png")
    assert code == 2 and "pi.png exists" in err and "--overwrite" in err
    assert command(sample, "3", "1", "--out", "pi.png", "--overwrite")[0] == 0


def test_npz_seed_truncation_random_and_per_class(command):
    for name, arguments in {
        "a": ["--per-class", "2"],
        "b": ["--per-class", "2"],
        "c": ["--per-class", "2", "--seed", "1"],
        "d": ["--per-class", "2", "--truncation", "0.5"],
        "e": ["--random", "40"],
        "f": ["--random", "40", "--seed", "9"],
    }.items():
        assert command(sample, *arguments, "--out", f"{name}.npz")[0] == 0
    sets = {name: np.load(f"{name}.npz") for name in "abcdef"}
    assert sets["a"]["labels"].tolist() == [k for k in range(10) for _ in range(2)]
    assert sets["a"]["images"].shape == (20, 28, 28, 1) and sets["a"]["images"].dtype == np.float32
    assert np.array_equal(sets["a"]["images"], sets["b"]["images"])
    assert all(np.abs(sets["a"]["images"] - sets[x]["images"]).max() > 0.1 for x in "cd")
    assert len(set(sets["e"]["labels"].tolist())) > 5
    assert not np.array_equal(sets["e"]["labels"], sets["f"]["labels"])


def test_without_out_a_new_file_is_made_each_time(command, tmp_path):
    assert command(sample, "12")[0] == command(sample, "12")[0] == 0
    assert len(list((tmp_path / "samples").glob("*.png"))) == 2


def test_the_prompt_goes_on_until_an_empty_line(command, monkeypatch, tmp_path):
    lines = iter(["0 1 2 3", "x", "12", ""])
    asked = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or next(lines))
    code, out, _ = command(sample)
    assert code == 0 and asked == ["Input your number: "] * 4
    assert "'x' at position 0 is not a class" in out and "█" in out
    paths = [line.split(": ")[1] for line in out.splitlines() if line.endswith(".png")]
    assert len(paths) == 6 and all(Path(p).exists() for p in paths)
    assert [Path(p).name[0] for p in paths] == list("012312")
    assert np.asarray(Image.open(paths[1])).tobytes() != np.asarray(Image.open(paths[4])).tobytes(), (
        "new noise each turn"
    )


def test_the_prompt_ends_with_the_input(command, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("7\n"))
    code, out, _ = command(sample)
    assert code == 0 and out.count(".png") == 1


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["12a"], "'a' at position 2 is not a class"),
        ([""], "'' names no class: expected classes from 0 to 9"),
        ([","], "names no class"),
        (["--random", "0"], "--random is 0"),
        (["12", "--random", "3"], "give one of them"),
        (["12", "--truncation", "2"], "--truncation is 2"),
        (["12", "--out", "x.jpg"], "ends in .png or .npz"),
        (["12", "--checkpoint", "nonsense"], "no checkpoint 'nonsense': give a run folder"),
        (["12", "--checkpoint", "."], "is no checkpoint"),
        (["12", "--seed", "-1"], "--seed is -1"),
        (["12", "--colums", "3"], "did you mean --columns"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(command, arguments, said, tmp_path):
    code, _, err = command(sample, *arguments)
    assert code == 2 and said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written(command, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = command(sample, "1", "--out", "file/x.png")
    assert code == 2 and "cannot be written" in err


def test_a_path_without_rights_is_one_sentence(command, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, _, err = command(sample, "1", "--out", "private/x.png")
    assert code == 2 and "private" in err and "Permission denied" in err and err.count("\n") == 1
    monkeypatch.setattr(Path, "is_dir", refuse)
    code, _, err = command(sample, "1", "--out", "private/x.png")
    assert code == 2 and "cannot be used (Permission denied)" in err and err.count("\n") == 1


def test_capital_suffix_and_too_many_columns(command):
    assert command(sample, "12", "--out", "x.PNG", "--columns", "100000000")[0] == 0
    with Image.open("x.PNG") as picture:
        assert picture.size == (2 * 62, 2 * 32)


def test_doctor_finds_every_checkpoint_whole(command):
    code, out, _ = command(doctor)
    assert code == 0 and "checkpoint mnist" in out and "whole" in out and "jaxlib" in out


def test_verbs(command):
    code, out, _ = command(package, "--help")
    assert code == 0 and "sample" in out
    code, _, err = command(package, "smaple")
    assert code == 2 and "known are classify, decoy, doctor, sample" in err


def test_blocks_show_two_rows_a_line():
    image = np.zeros((3, 4, 1))
    image[0, 0] = image[1, 1] = image[2, 2] = image[0, 3] = image[1, 3] = 1
    assert report.blocks(image) == "▀▄ █\n  ▀"


def test_a_wheel_samples_in_another_folder(tmp_path):
    env = {"PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu", "CGANJAX_CACHE_DIR": "", "HOME": str(tmp_path)}

    def run(*line, **more):
        return subprocess.run([sys.executable, *line], capture_output=True, text=True, **more)

    built = run("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path), str(ROOT))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    installed = run("-m", "pip", "install", "--no-deps", "-q", "--target", str(site), str(wheel))
    assert installed.returncode == 0, installed.stderr
    env["PYTHONPATH"] = str(site)
    where = run("-c", "import cganjax; print(cganjax.__file__)", cwd=tmp_path, env=env)
    assert where.stdout.strip().startswith(str(site))
    done = run("-m", "cganjax", "sample", "271", "--out", "e.npz", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    got = np.load(tmp_path / "e.npz")
    np.testing.assert_array_equal(got["images"], cganjax.sample(jax.random.key(0), [2, 7, 1]))
