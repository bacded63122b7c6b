"""What a person meets at the command line: paths, versions, mistyped words, silence, and pictures without labels."""

import argparse
import importlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import cganjax
from cganjax import __main__ as package
from cganjax import cli, commands, recipes, report, waiting
from cganjax.commands import decoy
from cganjax.decoys import detectors
from cganjax.decoys import transfer as rows_of
from cganjax.report import decoy_sheets, line_charts, sheets
from cganjax.training import progress
from cganjax.types import UserError
from experiments import read_back, train, transfer

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted(
    path.stem for path in (ROOT / "experiments").glob("*.py") if "cli.Parser(" in path.read_text(encoding="utf-8")
)
MODULES = [f"cganjax.commands.{verb}" for verb in commands.names()] + [f"experiments.{study}" for study in STUDIES]


def parser_of(module, monkeypatch):
    """The parser of a command or a study, whose main is stopped when it parses."""
    found = []

    def stop(self, args=None, namespace=None):
        found.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.Parser, "parse_args", stop)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module(module).main([])
    monkeypatch.undo()
    return found[0]


# --- paths ------------------------------------------------------------------------------------------------------------

PLACES = re.compile("DIR|PATH|FILE|PNG|JSON|RUN|CHECKPOINT|GENERATOR|CLASSIFIER|SOURCE")


@pytest.mark.parametrize("module", MODULES)
def test_every_flag_that_takes_a_path_is_a_path(module, monkeypatch):
    """A flag with the metavar of a path, or a default that is one, has the type that expands and refuses."""
    for action in parser_of(module, monkeypatch)._actions:
        named = action.metavar and PLACES.fullmatch(action.metavar)
        if named or isinstance(action.default, Path) or action.dest in ("out", "json", "data_dir", "checkpoint"):
            assert action.type in (cli.path, cli.name_or_path), f"{module}: {action.option_strings or action.dest}"


@pytest.mark.parametrize("kind", [cli.path, cli.name_or_path])
def test_a_home_folder_is_expanded_wherever_it_stands(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = cli.Parser(prog="x")
    parser.add_argument("--out", type=kind)
    assert str(parser.parse_args(["--out=~/x"]).out) == str(tmp_path / "x")
    assert str(parser.parse_args(["--out", "a~b"]).out) == "a~b"


@pytest.mark.parametrize("kind", [cli.path, cli.name_or_path])
@pytest.mark.parametrize(
    "text, said",
    [
        ("~nosuch/x", "~nosuch/x names a home folder that does not exist"),
        ("y" * 5000, "5000 characters, is longer than a path may be"),
        ("/".join(["abc"] * 2000), "7999 characters, is longer than a path may be"),
        ("a\0b", "holds a zero byte"),
        ("", "the path is empty"),
    ],
)
def test_a_path_that_cannot_be_is_one_short_sentence(kind, text, said):
    parser = cli.Parser(prog="x")
    parser.add_argument("--out", type=kind)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        parser.parse_args([f"--out={text}"])
    assert str(error.value).startswith("argument --out: ") and len(str(error.value)) < 200
    with pytest.raises(argparse.ArgumentTypeError):
        kind(text)


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_version(command):
    assert command(package, "--version") == (0, f"cganjax {cganjax.__version__}\n", "")
    assert "--version" in command(package, "--help")[1]


@pytest.mark.parametrize("typed, meant", [("smaple", "sample"), ("evalute", "evaluate"), ("--verson", "--version")])
def test_an_unknown_verb_gets_a_suggestion(command, typed, meant):
    code, _, err = command(package, typed)
    assert code == 2 and f"unknown verb {typed!r}; did you mean {meant}? known are " in err


@pytest.mark.parametrize("typed, meant", [("mnsit", "mnist"), ("digts", "digits"), ("fashion_mnst", "fashion_mnist")])
def test_a_dry_run_refuses_a_mistyped_data_set(command, typed, meant):
    code, out, err = command(train, "--recipe", "mnist", "--dry-run", "--dataset", typed)
    assert (code, out) == (2, "") and f"unknown data set {typed!r}: did you mean {meant}? " in err


@pytest.mark.parametrize("name", ["cifar10", "emnist/letters", "svhn_cropped"])
def test_a_dry_run_takes_every_name_of_tfds(command, name):
    code, out, _ = command(train, "--recipe", "mnist", "--dry-run", "--dataset", name)
    assert code == 0 and f"data: {name} (train), not read" in out


def test_a_dry_run_takes_what_lies_in_the_data_folder(command, tmp_path):
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    line = ("--recipe", "mnist", "--dry-run", "--dataset", "mine", "--data-dir", "sets")
    assert command(train, *line)[0] == 0
    (tmp_path / "sets" / "mine").rename(tmp_path / "sets" / "yours")
    assert command(train, *line)[0] == 2


OLD_WORDS = re.compile(r"told from|tell .* from|onlookers? reads?|an epsilon\b|alone \(default|came to|it lists it")


@pytest.mark.parametrize("module", MODULES)
def test_help_has_no_old_words(module, monkeypatch):
    assert not OLD_WORDS.search(" ".join(parser_of(module, monkeypatch).format_help().split()))


# --- what is under way ------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """What is under way is said at once, and often."""
    monkeypatch.setattr(waiting, "FIRST", 0.0)
    monkeypatch.setattr(waiting, "AGAIN", 0.05)


def test_what_takes_long_is_said_and_how_long_it_has_been(impatient, capsys):
    with waiting.Waiting("compiling") as current:
        time.sleep(0.3)
        current.now("attacking")
        time.sleep(0.3)
    after = capsys.readouterr().err
    lines = after.splitlines()
    assert lines[0] == "compiling ..." and "attacking ..." in lines
    assert {line for line in lines if line.startswith("compiling ... ")} == {"compiling ... 0 s"}
    time.sleep(0.2)
    assert capsys.readouterr().err == "", "nothing is said after the end"


def test_what_is_quick_is_not_said(capsys, monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.2)
    with waiting.Waiting("compiling"):
        pass
    time.sleep(0.4)
    assert capsys.readouterr().err == ""


def test_an_error_ends_it(impatient, capsys):
    with pytest.raises(KeyError), waiting.Waiting("compiling"):
        raise KeyError
    time.sleep(0.2)
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_a_training_says_what_it_compiles(impatient, train_tiny, monkeypatch):
    code, _, err = train_tiny("--out", "run")
    assert code == 0 and "reading the data, and compiling the networks ..." in err
    assert "compiling the training step ..." in err


def test_read_back_says_what_is_under_way(impatient, command, monkeypatch):
    monkeypatch.setattr(read_back, "N", 20)
    code, _, err = command(read_back, "mnist", "--by", "lenet5")
    assert code == 0 and "generating 20 images ..." in err and "classifying 20 images by lenet5 ..." in err


def test_a_slow_training_prints_a_line_between_its_logs(monkeypatch, capsys):
    """Steps of a second and a log every 100 would be a silence of minutes."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    shown = progress.Shown(seconds=20)
    shown.begin(progress.Begun(recipes.load("digits"), None, None, 0, 1000, 1))
    for done in range(1, 100):
        now[0] += 1.0
        shown.step(done)
    shown.end()
    estimate, *lines = capsys.readouterr().out.splitlines()
    assert estimate == "979 steps left: about 16 min, measured at 1 s a step"
    assert [int(line.split("/")[0].removeprefix("step ")) for line in lines] == [41, 81]


# --- pictures ---------------------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).random((6, 8, 8, 1)).astype(np.float32)


def drawn_by(monkeypatch, module):
    """The Matplotlib figures that a module of the report draws."""
    kept = []
    monkeypatch.setattr(module, "to_png", lambda drawn: kept.append(drawn) or b"")
    return kept


def pixels_of(png):
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("columns", [["a", "b", "c"], ["a very long name", "b", "c"]], ids=["flat", "turned"])
def test_a_grid_with_a_title_and_names_has_the_same_images(channels, columns):
    images = np.repeat(IMAGES, channels, axis=-1)
    plain = pixels_of(report.grid_png(images, 3, scale=4))
    named = pixels_of(
        report.grid_png(images, 3, scale=4, title="What is shown", column_names=columns, row_names=["x", "y"])
    )
    top, left = (a - b for a, b in zip(named.shape[:2], plain.shape[:2], strict=True))
    assert top > 30 and left > 10
    np.testing.assert_array_equal(named[top:, left:], plain)
    # Each column's name stands above its images: there is ink in each third.
    header = named[:top, left:].reshape(top, -1, *named.shape[2:])
    assert all((part[18:] < 128).any() for part in np.array_split(header, 3, axis=1))
    with pytest.raises(ValueError, match="2 column names were given: expected 3"):
        report.grid_png(images, 3, column_names=["a", "b"])


def test_names_stand_beside_the_middle_of_thin_rows():
    """Rows of one pixel: the white lines between them count as well."""
    images = np.ones((4, 1, 4, 1), np.float32)
    named = pixels_of(report.grid_png(images, 1, row_names=["a", "b", "c", "d"], gap=1, scale=20))
    margin = named.shape[1] - 20 * 6
    ink = np.flatnonzero((named[:, :margin] < 128).any(axis=1))
    for name, row in zip(np.split(ink, np.flatnonzero(np.diff(ink) > 5) + 1), range(4), strict=True):
        assert abs(name.mean() - 20 * (1.5 + 2 * row)) < 8


def test_a_sheet_has_its_title(monkeypatch):
    kept = drawn_by(monkeypatch, sheets)
    report.sheet(IMAGES[None], [[""] * 6], ["row"], title="latents multiplied by the truncation " * 9)
    assert " ".join(kept[0].get_suptitle().split()) == ("latents multiplied by the truncation " * 9).strip()


def test_a_decoy_sheet_says_what_is_rejected_and_the_scale(monkeypatch):
    kept = drawn_by(monkeypatch, decoy_sheets)
    confidence = np.full((6, 10), 0.1)
    decoys = np.clip(IMAGES + 0.2, 0, 1)
    for least in (0.9949, None):
        report.decoy_sheet(IMAGES, decoys, confidence, confidence, np.ones(6, bool), rule="msp rejects", least=least)
    with_line, without = kept
    title = " ".join(with_line.get_suptitle().split())
    assert title.startswith("msp rejects Above each image: its highest confidence.")
    assert "full colours at a change of 0.2 of a pixel in [0, 1] (red: darker, blue: lighter)" in title
    assert "rejected if all are below 0.9949" in [text.get_text() for text in with_line.legends[0].get_texts()]
    assert len(without.legends[0].get_texts()) == 2
    for figure in kept:  # nothing of the title is cut
        figure.draw_without_rendering()
        assert figure._suptitle.get_window_extent().width <= figure.bbox.width


@pytest.mark.parametrize("name, said", [("msp", "whose highest confidence is below 0."), ("energy", "whose score")])
def test_decoy_says_what_rejected_means(name, said):
    detector = detectors.from_card(name, cganjax.load_classifier("lenet5"))
    args = SimpleNamespace(target="lenet5", accept=None)
    rule = decoy._rule(args, detector)
    assert rule.startswith(f"{name} of lenet5 rejects an image {said}") and "accepts 95 % of real test images" in rule
    # The rule, as it is printed, is the detector's: just above and just below it.
    if name == "msp":
        printed = float(re.search(r"below (\S+);", rule)[1])
        assert abs(printed - (1 - detector.threshold)) < 1e-4
    assert "1 - 1.0e-06" in decoy._rule(args, detector._replace(name="msp", threshold=1e-6))


def test_curves_of_one_point_are_not_empty(monkeypatch):
    kept = drawn_by(monkeypatch, line_charts)
    rows = [{"step": s, "steps": 1, "loss": 1.0} for s in (1, 2)]
    report.curves(rows[:1], "one")
    report.curves(rows, "two")
    assert [figure.axes[0].lines[0].get_marker() for figure in kept] == ["o", ""]


def test_the_curve_of_a_transfer_says_what_each_line_is(monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr(report, "save_lines", lambda path, at, lines, **labels: given.update(labels, lines=lines))
    monkeypatch.setattr(rows_of, "by_confidence", lambda rows, targets: rows)
    Row = namedtuple("Row", "attack epsilon target rejected classified")
    rows = [
        Row(attack, epsilon, who, 10.0, 90.0)
        for attack in (rows_of.ALL, rows_of.NOISE)
        for epsilon in (0.1, 0.2)
        for who in ("a", "b", "h")
    ]
    named = [SimpleNamespace(name=who) for who in "abh"]
    transfer._curve(tmp_path / "c.png", rows, (0.1, 0.2), named[:2], named[2:])
    shown = [label for label, *_ in given["lines"] if not label.startswith("_")]
    assert shown == ["a: rejected", "b: rejected", "dotted: random noise, rejected", "h: still classified"]
    assert given["y"] == "rejected by the confidence, or still classified, %"


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

COMMANDS = {
    "cganjax train": ["cganjax", "train", "--recipe", "digits", "--steps", "100000", "--out", "run"],
    "experiments.train": ["experiments.train", "--recipe", "label_score", "--dataset", "digits", "--out", "run"],
    "cganjax decoy": ["cganjax", "decoy", "0123456789", "--target", "lenet5", "--set", "steps=2000"],
    "experiments.pattern_1010": ["experiments.pattern_1010", "--steps", "100000", "--seeds", "3000", "--out", "p"],
}
# Python with Ctrl-C as a terminal gives it: what starts the tests may ignore it, and children inherit that.
PYTHON = [
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
]
MOMENTS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5, 5.0, 8.0)


def interrupted(line, moment, folder):
    """Start a command, press Ctrl-C so many seconds after it began to import NumPy; its exit code, stderr and time."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    process = subprocess.Popen(
        [*PYTHON, "-m", *line], cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "numpy" not in maps.read_text():
        time.sleep(0.005)
    time.sleep(moment)
    assert process.poll() is None, "it ended by itself"
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    _, err = process.communicate(timeout=120)
    return process.returncode, err.decode(), time.perf_counter() - began


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_at_any_moment_is_one_word_and_exit_code_130(name, tmp_path):
    slowest = 0.0
    for i, moment in enumerate(MOMENTS):
        folder = tmp_path / str(i)
        folder.mkdir()
        code, err, seconds = interrupted(COMMANDS[name], moment, folder)
        said = err.replace("\r", "\n").strip().splitlines()
        assert code == 130 and "Traceback" not in err, f"after {moment} s: exit code {code}\n{err}"
        assert said[-1] == "interrupted" or "stopping after this step, saving ..." in said, f"after {moment} s:\n{err}"
        assert not list(folder.rglob("*.part")), f"after {moment} s"
        slowest = max(slowest, seconds)
    print(f"{name}: {len(MOMENTS)} of {len(MOMENTS)} ended with 130, the slowest after {slowest:.1f} s")


SWALLOWED = """
import sys, time
from cganjax import interrupts
interrupts.watch()
from cganjax import cli
def main(argv):
    print("begun", flush=True)
    {body}
sys.exit(cli.execute(main))
"""
BODIES = {
    "swallowed": "\n    ".join(["try:", "    time.sleep(60)", "except BaseException:", "    time.sleep(60)"]),
    "turned into another error": "\n    ".join(
        ["try:", "    time.sleep(60)", "except BaseException:", "    raise ImportError('half done')"]
    ),
    "inside C": "import ctypes; ctypes.PyDLL(None).sleep(0); ctypes.CDLL(None).sleep(60)",
    "in a callback": "\n    ".join(
        [
            "class Late:",
            "    def __del__(self):",
            "        time.sleep(60)",
            "late = Late()",
            "del late",
            "time.sleep(60)",
        ]
    ),
    "inside exec": "exec('time.sleep(60)')",
    "as it comes": "time.sleep(60)",
}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("body", BODIES)
def test_a_ctrl_c_that_is_swallowed_ends_the_command_all_the_same(body, tmp_path):
    (tmp_path / "command.py").write_text(SWALLOWED.format(body=BODIES[body]))
    process = subprocess.Popen(
        [*PYTHON, "-m", "command"],  # as commands are started: the exit code takes another way than that of -c
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")


def test_a_command_in_the_background_goes_on_ignoring_ctrl_c():
    code = """if True:
        import os, signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from cganjax import interrupts
        interrupts.watch()
        with interrupts.raised():
            os.kill(os.getpid(), signal.SIGINT)
        print("done")"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_only_a_command_that_is_run_watches_ctrl_c():
    code = "import signal; from experiments import pi; print(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run([*PYTHON, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "default_int_handler\n", done.stderr


@pytest.mark.parametrize("module", ["cganjax.__main__", "cganjax.interrupts"])
def test_ctrl_c_is_watched_before_anything_heavy_is_imported(module):
    code = f"import sys, {module}; print(*(m for m in ('numpy', 'jax', 'cganjax.cli') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "\n", done.stderr
