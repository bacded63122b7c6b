"""The training command: what a run folder holds, that a resumed run equals an unbroken one, and each refusal."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cganjax
from cganjax import digests, models, recipes, rng, run_states
from cganjax.training import algorithms, loop, preview, runs
from cganjax.training import config as cfg
from cganjax.training.algorithms import relativistic
from cganjax.types import UserError
from experiments import ship, train

ROOT = Path(__file__).resolve().parents[1]


def state_of(folder, tiny, at=None):
    config, networks = tiny
    like = algorithms.build(config, networks).init(rng.root(0))
    states = run_states.RunStates(Path(folder))
    try:
        return jax.tree.map(np.asarray, states.restore(like, at))
    finally:
        states.close()


def differing(a, b):
    """The fields of two states that differ in any bit."""
    same = jax.tree.map(np.array_equal, a, b)
    return [name for name, tree in same._asdict().items() if not all(jax.tree.leaves(tree))]


def test_a_run_folder_holds_what_a_run_did(train_tiny, tmp_path):
    code, out, err = train_tiny("--out", "run", "--steps", "7")
    assert (code, err) == (0, "")
    run = tmp_path / "run"
    assert sorted(p.name for p in run.iterdir()) == [
        "checkpoints",
        "config.json",
        "curves.png",
        "manifest.json",
        "metrics.jsonl",
        "samples",
    ]
    assert sorted(p.name for p in (run / "samples").iterdir()) == [
        "000000.png",
        "000003.png",
        "000006.png",
        "000007.png",
    ]
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["6", "7"], "the newest two, and the odd last"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["steps"]) for r in rows] == [(2, 2), (3, 1), (4, 1), (6, 2), (7, 1)]
    assert {"loss_generator", "loss_discriminator", "score_real", "score_fake", "r1", "r2"} < rows[0].keys()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["steps"] == 7 and manifest["wall_time_s"] > 0 and manifest["data"]["images"] == 1500
    assert {"python", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint"} <= manifest["versions"].keys()
    assert {"device", "xla_flags", "git", "seed", "jax_threefry_partitionable", "command"} <= manifest.keys()
    assert "run/samples/000007.png" in out and "run/checkpoints/7" in out and "images/s" in out
    code, out, _ = train_tiny("--out", "run", "--steps", "7")
    assert code == 0 and "nothing to do" in out


def test_three_and_three_steps_equal_six_bit_for_bit(train_tiny, tiny):
    assert train_tiny("--out", "whole")[0] == 0
    code, out, _ = train_tiny("--out", "parts", "--stop-after", "3")
    assert code == 0 and "the same command resumes" in out
    third = state_of("parts", tiny)
    code, out, _ = train_tiny("--out", "parts")
    assert code == 0 and "from step 3 to 6" in out
    whole, parts = state_of("whole", tiny), state_of("parts", tiny)
    assert whole._fields == (
        "step",
        "generator",
        "discriminator",
        "generator_ema",
        "generator_optimizer",
        "discriminator_optimizer",
    )
    assert differing(whole, parts) == []
    assert differing(third, parts) == list(whole._fields)
    assert differing(state_of("whole", tiny, 3), third) == []
    for at in ("000003.png", "000006.png"):
        assert Path("whole/samples", at).read_bytes() == Path("parts/samples", at).read_bytes()
    rows = [[json.loads(x) for x in Path(f, "metrics.jsonl").read_text().splitlines()] for f in ("whole", "parts")]
    assert rows[0] == rows[1]
    assert json.loads(Path("parts/manifest.json").read_text())["earlier_parts"][0]["steps"] == 3


def test_another_seed_is_another_run(train_tiny, tiny):
    for seed in (0, 1):
        assert train_tiny("--out", f"s{seed}", "--seed", seed, "--steps", "3")[0] == 0
    differ = differing(*(state_of(f"s{seed}", tiny) for seed in (0, 1)))
    assert set(differ) == {
        "generator",
        "discriminator",
        "generator_ema",
        "generator_optimizer",
        "discriminator_optimizer",
    }


def test_a_run_can_be_sampled_scored_and_shipped(train_tiny, command, tmp_path):
    assert train_tiny("--out", "run")[0] == 0
    generator = cganjax.load("run")
    images = cganjax.sample(jax.random.key(0), [1, 2], checkpoint="run")
    assert images.shape == (2, 28, 28, 1)
    assert generator.card["recipe"] == "digits" and generator.card["metrics"]["step"] == 6
    earlier = cganjax.sample(jax.random.key(0), [1, 2], checkpoint="run/checkpoints/3")
    assert np.abs(images - earlier).max() > 0
    scores = cganjax.load_discriminator("run")(images, [1, 2])
    assert scores.shape == (2,)
    with pytest.raises(ValueError, match=r"labels\[1\] is 11"):
        cganjax.load_discriminator("run")(images, [1, 11])
    with pytest.raises(ValueError, match=r"expected \[N, 28, 28, 1\]"):
        cganjax.load_discriminator("run")(images[0], [1])
    code, out, _ = command(ship, "run", "--name", "my_run", "--out", "shelf")
    assert code == 0 and "shelf/my-run" in out
    shipped = cganjax.sample(jax.random.key(0), [1, 2], checkpoint="shelf/my-run")
    np.testing.assert_array_equal(images, shipped)
    card = (tmp_path / "shelf/my-run/card.json").read_text()
    assert str(tmp_path) not in card
    code, _, err = command(ship, "run", "--name", "my_run", "--out", "shelf")
    assert code == 2 and "--overwrite" in err
    code, _, err = command(ship, "run", "--name", "other", "--out", "shelf", "--quality", "none.json")
    assert code == 2 and "none.json, which is no file" in err
    code, _, err = command(ship, "run", "--name", "a/b", "--out", "shelf")
    assert code == 2 and "lower-case" in err
    (tmp_path / "run/checkpoints/6/state/manifest.ocdbt").unlink()
    with pytest.raises(cganjax.CheckpointError, match="run/checkpoints/6 is damaged"):
        cganjax.load("run/checkpoints/6")
    with pytest.raises(FileNotFoundError, match="run/checkpoints/5"):
        cganjax.load("run/checkpoints/5")


def test_a_diverged_run_stops_with_its_step_and_keeps_the_last_good_checkpoint(train_tiny, monkeypatch, tmp_path):
    # The weight of the penalties becomes NaN in the fifth update; the third was saved.
    monkeypatch.setattr(relativistic, "gamma_schedule", lambda config: lambda t: jnp.where(t >= 4, jnp.nan, 1.0))
    code, _, err = train_tiny("--out", "bad")
    assert code == 1
    assert (
        "the run diverged: loss_generator is not finite after step 5; the last good checkpoint is bad/checkpoints/3"
        in err
    )
    assert [p.name for p in (tmp_path / "bad/checkpoints").iterdir()] == ["3"]
    assert np.isfinite(cganjax.sample(jax.random.key(0), [1], checkpoint="bad")).all()


def test_the_seed_reaches_the_data_the_steps_and_the_previews(train_tiny, monkeypatch):
    seen = {}

    def spy(jitted, key, state, batches, **options):
        batch = next(batches)
        kernel = state.generator.params["Dense_0"]["kernel"]
        seen[seed] = jax.random.key_data(key), kernel, batch.images, previews[-1]._inputs[0]
        return state._replace(step=jnp.int32(options["until"]))

    previews, original = [], preview.Preview
    monkeypatch.setattr(preview, "Preview", lambda *args: previews.append(original(*args)) or previews[-1])
    monkeypatch.setattr(loop, "run", spy)
    for seed in (0, 1):
        assert train_tiny("--out", f"s{seed}", "--seed", seed)[0] == 0
    for name, a, b in zip(("key of the steps", "init", "data order", "previews"), *seen.values(), strict=True):
        assert not np.array_equal(a, b), name


def test_previews_have_a_row_a_class_of_the_same_latents(tiny):
    _, networks = tiny
    z, labels = preview.Preview(Path("nowhere"), networks, rng.root(0))._inputs
    assert labels.tolist() == [k for k in range(10) for _ in range(10)]
    z = np.asarray(z).reshape(10, 10, -1)
    assert (z == z[:1]).all() and not np.array_equal(z[0, 0], z[0, 1])


def test_a_damaged_manifest_or_config_is_named_and_can_be_overwritten(train_tiny, tmp_path):
    assert train_tiny("--out", "run", "--stop-after", "3")[0] == 0
    whole = (tmp_path / "run/manifest.json").read_text()
    (tmp_path / "run/manifest.json").write_text("{}")
    code, _, err = train_tiny("--out", "run")
    assert code == 2 and "run/manifest.json is damaged" in err
    (tmp_path / "run/manifest.json").write_text(whole)
    (tmp_path / "run/config.json").write_text('{"recipe"')
    code, _, err = train_tiny("--out", "run")
    assert code == 2 and "run/config.json is damaged" in err
    assert train_tiny("--out", "run", "--overwrite")[0] == 0


def test_a_crash_between_checkpoints_loses_no_line(train_tiny, monkeypatch):
    wanted = iter([False] * 3 + [OSError("power cut")])

    def wished(self):
        value = next(wanted, False)
        if isinstance(value, OSError):
            raise value
        return value

    with monkeypatch.context() as patch:
        patch.setattr("cganjax.cli.Stop.wished", wished)
        with pytest.raises(OSError, match="power cut"):
            train_tiny("--out", "run")
    assert train_tiny("--out", "run")[0] == 0
    rows = [json.loads(text) for text in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["steps"]) for r in rows] == [(2, 2), (3, 1), (4, 1), (6, 2)]


def test_overwrite_is_not_part_of_the_command_that_resumes(train_tiny):
    code, out, _ = train_tiny("--out", "run", "--overwrite", "--stop-after", "3")
    assert code == 0 and "the same command resumes, without --overwrite" in out


@pytest.mark.parametrize(
    "number, code",
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
    ids=["ctrl-c", "sigterm"],
)
def test_signals_save_and_the_same_command_resumes(tmp_path, cache_dir, number, code):
    from conftest import TINY

    sets = [part for setting in TINY for part in ("--set", setting)]
    line = [
        sys.executable,
        "-m",
        "experiments.train",
        "--recipe",
        "digits",
        *sets,
        "--steps",
        "100000",
        "--set",
        "checkpoint_every=50000",
        "--set",
        "sample_every=50000",
        "--out",
        str(tmp_path / "run"),
    ]
    env = os.environ | {"CGANJAX_CACHE_DIR": cache_dir, "PYTHONUNBUFFERED": "1"}
    log, seen = tmp_path / "run/metrics.jsonl", []
    with subprocess.Popen(
        line, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for text in process.stdout:
            seen.append(text)
            if text.startswith("run:"):
                while not (log.exists() and log.read_text().count("\n") > 3):
                    assert process.poll() is None
                    time.sleep(0.05)
                process.send_signal(number)
    assert process.returncode == code, "".join(seen)
    assert "the same command resumes" in "".join(seen)
    (saved,) = [int(p.name) for p in (tmp_path / "run/checkpoints").iterdir()]
    rows = [json.loads(text) for text in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == saved
    again = subprocess.run([*line, "--stop-after", str(saved + 2)], cwd=ROOT, env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"from step {saved} to {saved + 2}" in again.stdout


def test_dry_run_prints_everything_and_writes_nothing(command, tmp_path):
    code, out, _ = command(train, "--dry-run", "--set", "generator.hidden=77", "--seed", "3", "--steps", "12")
    assert code == 0 and list(tmp_path.iterdir()) == []
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines() if line}
    assert [lines[key][0] for key in ("generator.hidden", "seed", "steps")] == ["77", "3", "12"]
    keys = {field for field in cfg.RelativisticGAN.__dataclass_fields__ if field not in ("generator", "discriminator")}
    assert keys < lines.keys() and all(len(lines[key]) == 2 for key in keys), "each is described"
    assert "runs/mnist-s3" in out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--recipe", "mnits"], "unknown recipe 'mnits': known are " + ", ".join(recipes.names())),
        (["--stepz", "3"], "did you mean --steps? Known flags: "),
        (["--set", "batchsize=3"], "did you mean batch_size"),
        (["--backend", "cuda"], "invalid choice: 'cuda'"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--seed", "-1"], "seed is -1"),
        (["--steps", "0"], "steps is 0"),
        (["--stop-after", "0"], "--stop-after is 0"),
        (["--recipe", "digits", "--set", "generator.width_7=7"], "generator.width_7 is 7: it must be even"),
        (["--set", "family=resnet"], "unknown network family 'resnet': known are " + ", ".join(models.FAMILIES)),
        (["--set", "recipe=x"], "a recipe is chosen by --recipe"),
        (
            ["--set", "split=valid"],
            "split is valid: it must be train, test or all, or some rows of one, as train[10000:]",
        ),
        (["--set", "learning_rate=inf"], "learning_rate is inf"),
        (["--seed", str(2**32)], "seed is 4294967296"),
        (
            ["--recipe", "digits", "--data-dir", "nowhere", "--dataset", "mnist"],
            "the data folder nowhere does not exist",
        ),
        (["--recipe", "digits", "--set", "batch_size=5000"], "choose a smaller batch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_exit_code_2(command, arguments, said, tmp_path):
    code, _, err = command(train, *arguments)
    assert code == 2 and said in err
    assert err.count("\n") == 1 and err.startswith("error: ")
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("*.json"))


@pytest.mark.parametrize("backend", ["gpu", "tpu"])
def test_a_backend_that_is_not_there_is_an_error_not_a_fallback(tmp_path, backend):
    env = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    code = "import jax; print(jax.default_backend())"
    if subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout.strip() != "cpu":
        pytest.skip("an accelerator is here")
    line = [sys.executable, "-m", "experiments.train", "--recipe", "digits", "--backend", backend]
    done = subprocess.run([*line, "--out", str(tmp_path / "x")], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and f"--backend {backend}: there is none" in done.stderr
    assert "--backend cpu" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_folders_of_others_are_left_alone(train_tiny, tmp_path):
    assert train_tiny("--out", "run", "--stop-after", "3")[0] == 0
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for arguments, said in (
        (["--seed", "1"], "holds a run with seed 0, and seed 1 was asked for"),
        (["--steps", "9"], "steps 6, and steps 9"),
        (["--recipe", "mnist", "--set", "mismatch_fraction=0"], "holds a run with recipe digits, and recipe mnist"),
        (["--split", "test"], "split train, and split test"),
    ):
        code, _, err = train_tiny("--out", "run", *arguments)
        assert code == 2 and said in err and "choose another folder (--out), or begin anew (--overwrite)" in err
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/config.json").write_text("{}")
    (tmp_path / "theirs/manifest.json").write_text('{"name": "a web page"}')
    for more in ([], ["--overwrite"]):
        code, _, err = train_tiny("--out", "theirs", *more)
        assert code == 2 and "holds no run" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    code, _, err = train_tiny("--out", "mine")
    assert code == 2 and "holds no run" in err
    code, _, err = train_tiny("--out", "mine/letter.txt")
    assert code == 2 and "is a file: give a folder (--out)" in err
    code, _, err = train_tiny("--out", "mine/letter.txt/run")
    assert code == 2 and "cannot be written" in err
    assert all(p.read_bytes() == data for p, data in before.items())
    assert train_tiny("--out", "run", "--seed", "1", "--overwrite")[0] == 0
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir()) == ["3", "6"]


def test_a_run_from_before_a_setting_has_it_unset(tiny, tmp_path):
    config, _ = tiny
    there = cfg.to_json(config)
    del there["mismatch_fraction"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(json.dumps(there))
    assert runs.Run(tmp_path / "run", config).done == 0
    with pytest.raises(UserError, match="mismatch_fraction 0.0, and mismatch_fraction 0.5 was asked for"):
        runs.Run(tmp_path / "run", cfg.override(config, ["mismatch_fraction=0.5"]))
    (tmp_path / "run/config.json").write_text(json.dumps(there | {"later": 1}))
    with pytest.raises(UserError, match="mismatch_fraction None"):  # of another version: compared as it is written
        runs.Run(tmp_path / "run", config)


def test_a_refused_run_does_not_block_the_next(train_tiny, tmp_path):
    assert train_tiny("--out", "run", "--dataset", "mnist", "--data-dir", "nowhere")[0] == 2
    assert train_tiny("--out", "run", "--stop-after", "3")[0] == 0


def test_other_images_under_the_same_name_are_refused(train_tiny, tmp_path):
    from test_data import write_set

    write_set(tmp_path / "a", seed=1)
    write_set(tmp_path / "b", seed=2)
    run = ["--dataset", "mnist", "--out", "run"]
    code, _, err = train_tiny(*run, "--data-dir", "a", "--stop-after", "3")
    assert code == 0 and "unknown MD5" in err
    code, _, err = train_tiny(*run, "--data-dir", "b")
    assert code == 2 and "trained on other images" in err and "(--dataset, --data-dir)" in err
    assert train_tiny(*run, "--data-dir", "a")[0] == 0


def test_help_is_complete(capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for flag in (
        "--recipe",
        "--seed",
        "--backend",
        "--data-dir",
        "--dataset",
        "--split",
        "--out",
        "--set",
        "--dry-run",
        "--steps",
        "--stop-after",
        "--overwrite",
    ):
        assert flag in text


def test_help_describes_the_keys_of_every_algorithm(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        train.main(["--help"])
    text = capsys.readouterr().out
    keys = text[text.index("keys of --set") :]
    assert max(map(len, keys.splitlines())) <= 100
    flat = " ".join(keys.split())
    for line in cfg.reference().splitlines():
        assert " ".join(line.split()) in flat
    rows = [line for line in keys.splitlines() if line.startswith("  ") and line[2] != " "]
    starts = {line.index(line.split(maxsplit=1)[1]) for line in rows}
    assert len(starts) == 1, "one column of descriptions"


def test_a_dry_run_checks_a_folder_or_a_file(command, tmp_path):
    random = np.random.default_rng(0)
    good, odd = (random.integers(0, 256, (200, size, size), np.uint8) for size in (28, 30))
    for name, images in (("good", good), ("odd", odd)):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(200) % 2)
    (tmp_path / "bad_folder").mkdir()
    (tmp_path / "bad_folder/letter.txt").touch()
    before = sorted(tmp_path.rglob("*"))

    dry = ["--recipe", "digits", "--dry-run", "--dataset"]
    code, out, err = command(train, *dry, "good.npz", "--set", "batch_size=8")
    assert (code, err) == (0, "") and "data: good (train), 168 images, from " in out
    code, out, _ = command(train, *dry, "digits")
    assert code == 0 and "data: digits (train), not read" in out
    for source, sets, said in (
        ("bad_folder/", "batch_size=8", "bad_folder"),
        ("nowhere/", "batch_size=8", "nowhere"),
        ("odd.npz", "batch_size=8", "cannot be built for images of 30x30x1"),
        ("good.npz", "batch_size=200", "choose a smaller batch"),
    ):
        code, _, err = command(train, *dry, source, "--set", sets)
        assert code == 2 and said in err and err.count("\n") == 1
    (tmp_path / "half/train/0").mkdir(parents=True)
    assert command(train, "--recipe", "lenet5", "--dry-run", "--dataset", "half/")[0] == 2
    shutil.rmtree(tmp_path / "half")
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


@pytest.mark.slow
def test_blocks_of_steps_train_the_same(train_tiny, tmp_path, monkeypatch):
    """To rounding: a block is another program. A block that nothing fits into is never used."""
    traced, scanned = [], loop.scanned

    def spied(step):
        block = scanned(step)
        return lambda key, state, batches: (traced.append(len(batches.labels)), block(key, state, batches))[1]

    monkeypatch.setattr(loop, "scanned", spied)
    for folder, block in (("single", 1), ("blocks", 2), ("large", 100)):
        code, out, err = train_tiny("--out", folder, "--block", block)
        assert (code, err) == (0, "")
        assert traced == ([2] if folder == "blocks" else [])
        traced.clear()
    single, blocks, large = (
        [json.loads(line) for line in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        for folder in ("single", "blocks", "large")
    )
    assert [row["step"] for row in blocks] == [row["step"] for row in single]
    for key in ("loss_generator", "loss_discriminator", "r1", "r2"):
        np.testing.assert_allclose([row[key] for row in blocks], [row[key] for row in single], rtol=1e-3)
        assert [row[key] for row in large] == [row[key] for row in single]


def test_a_run_on_more_devices_than_there_are_says_how_to_go_on(train_tiny, tmp_path):
    train_tiny("--out", "run", "--stop-after", "2")
    manifest = tmp_path / "run/manifest.json"
    changed = json.loads(manifest.read_text()) | {"devices": 8}
    changed.pop("digest")
    manifest.write_text(json.dumps(digests.sealed(changed)))
    code, _, err = train_tiny("--out", "run")
    assert code == 2 and "the run in run shares a batch among 8 devices, and there are" in err
    assert ": give --devices " in err
    code, _, err = train_tiny("--out", "run", "--devices", "3")
    assert code == 2 and "--devices is 3: expected a divisor of the batch_size, 8" in err
