"""Going on from an earlier run: making it longer (`extend_to`), and beginning with its weights (`init_from`)."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from test_run_folder import Calls, Kill, killed_at, rows_of, same, whole

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import data, digests, models, reproduction, rng, run_folder, sampling
from cganjax.training import beginning, runs
from cganjax.types import Batch, CheckpointError, UserError, Weights
from experiments import ship
from experiments import train as train_command

# --- a longer run -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No picture of the curves, which takes longer than the steps."""
    monkeypatch.setattr("cganjax.report.save_curves", lambda path, rows, title: path.write_bytes(b"curves"))


@pytest.fixture(scope="module")
def small():
    """A config of 6 steps whose schedules are constant, and its data."""
    sizes = {"steps": 6, "log_every": 2, "checkpoint_every": 3, "sample_every": 3, "keep": 9}
    config = dataclasses.replace(cganjax.recipe("pattern_1010"), **sizes)
    return config, data.load(config.dataset, config.split)


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """The run of 6 steps. Copy it before going on with it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cganjax.report.save_curves", lambda path, rows, title: path.write_bytes(b"curves"))
        cganjax.train(*small, out=folder, progress=False)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def train(small, folder, **options):
    return cganjax.train(*small, out=folder, progress=False, **options)


def extensions(folder):
    """What the manifest records, and the length that the config has; both files have their digests."""
    config, manifest = run_folder.read_run(folder)
    assert json.loads((folder / "config.json").read_text()) == config
    return manifest.get("extended"), config["steps"]


def test_a_longer_run_is_one_that_was_never_shorter_if_its_schedules_are_constant(small, run):
    config, dataset = small
    unbroken = cganjax.train(dataclasses.replace(config, steps=12), dataset, progress=False)
    assert train(small, run, extend_to=12, stop_after=9).step == 9
    assert extensions(run) == ([{"from": 6, "at": 6, "to": 12}], 12)
    assert train(small, run, extend_to=12, stop_after=10).step == 10, "the same call resumes"
    longer = train(small, run)
    assert (longer.begun, longer.step, longer.config.steps) == (10, 12, 12), "so does the call that began it"
    assert longer.metrics == unbroken.metrics == rows_of(run)
    assert same(longer.generator.weights, unbroken.generator.weights)
    for call in ({}, {"extend_to": 12}):
        assert train(small, run, **call).begun == 12
    assert extensions(run) == ([{"from": 6, "at": 6, "to": 12}], 12)
    assert train((dataclasses.replace(config, steps=12), dataset), run).begun == 12
    assert train(small, run, extend_to=13).step == 13
    assert extensions(run) == ([{"from": 6, "at": 6, "to": 12}, {"from": 12, "at": 12, "to": 13}], 13)


def test_a_stopped_run_is_made_longer_too(small, tmp_path):
    train(small, tmp_path / "run", stop_after=4)
    assert train(small, tmp_path / "run", extend_to=8).step == 8
    assert extensions(tmp_path / "run") == ([{"from": 6, "at": 4, "to": 8}], 8)


def test_schedules_refer_to_the_new_length_from_there_on(tmp_path):
    """A rate that had fallen to 0 rises, and falls again."""
    sizes = {"steps": 4, "log_every": 1, "checkpoint_every": 4, "epoch_steps": 4, "batch_size": 8, "shift": 0.0}
    recipe = cganjax.recipe("surrogate_mlp")
    config = dataclasses.replace(recipe, dataset="digits", noise=0.0, rotation=0.0, **sizes)
    config = dataclasses.replace(config, classifier=dict.fromkeys(config.classifier, 4))
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam needs it
        cganjax.train(config, out=tmp_path / "run", progress=False)
        longer = cganjax.train(config, out=tmp_path / "run", extend_to=8, progress=False)
    before, after = (optax.cosine_decay_schedule(config.learning_rate, steps) for steps in (4, 8))
    expected = [float(before(step)) for step in range(4)] + [float(after(step)) for step in range(4, 8)]
    np.testing.assert_allclose([row["learning_rate"] for row in longer.metrics], expected, rtol=1e-6)
    assert expected[4] > expected[3] > expected[7]


def test_a_longer_run_is_reproduced_part_by_part(small, run, tmp_path):
    train(small, run, extend_to=8)
    train(small, run, extend_to=11)
    recorded = reproduction.read(run)
    assert reproduction._lengths(recorded, 11) == [(6, 6), (8, 8), (11, 11)]
    assert reproduction._lengths(recorded, 7) == [(6, 6), (7, 8)]
    assert reproduction._lengths(recorded, 5) == [(5, 6)]
    assert reproduction.again(recorded, small[1], tmp_path / "again", 11, progress=False) == 11
    again = reproduction.read(tmp_path / "again")
    assert again.manifest["extended"] == recorded.manifest["extended"]
    found = reproduction.compare(recorded, again, 11)
    assert found.first is None and found.states == (3, 6, 8, 9, 11)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [None, 5], ids=["trained", "nothing to train"])
def test_no_interruption_of_an_extension_locks_a_folder_out(small, finished, tmp_path, monkeypatch, stop):
    """It is interrupted at each act on the disk, one after the other; then both commands work."""
    first = jax.jit(cganjax.trainer(small[0], small[1].spec).init)(jax.random.key(0))
    acts = 0
    while acts < 100:
        folder, left = shutil.copytree(finished, tmp_path / f"run-{acts}"), []

        def extend():
            left.append(runs.Run(folder, small[0], extend_to=12))  # noqa: B023
            left[0].begin(first, small[1], ["test"]) if stop is None else left[0].finished()  # noqa: B023

        killed = killed_at(acts, monkeypatch, extend)
        for held in (opened.metrics for opened in left if opened.metrics):
            held.close()
        if not killed:
            break
        acts += 1
        length = run_folder.read_run(folder)[0]["steps"]
        assert length in (6, 12) and sampling.read_run(folder)[0]["steps"] == 6
        with runs.Run(folder, small[0]) as opened:
            assert (opened.done, opened.config.steps) == (6, length)
        with runs.Run(folder, small[0], extend_to=12) as opened:
            opened.begin(first, small[1], ["test"])
        assert extensions(folder) == ([{"from": 6, "at": 6, "to": 12}], 12)
    assert 2 < acts < 100


def test_a_kill_between_the_manifest_and_the_config_is_mended_by_the_next_command(small, run, monkeypatch):
    write = runs.files.write_json

    def killed(path, values):
        if path.name == run_folder.CONFIG:
            raise Kill
        write(path, values)

    with monkeypatch.context() as patch:
        patch.setattr(runs.files, "write_json", killed)
        with pytest.raises(Kill):
            train(small, run, extend_to=12)
    assert json.loads((run / "config.json").read_text())["steps"] == 6
    assert run_folder.read_run(run)[0]["steps"] == 12
    assert train(small, run).step == 12
    assert extensions(run) == ([{"from": 6, "at": 6, "to": 12}], 12)


def test_a_changed_length_is_still_damage(small, run):
    train(small, run, extend_to=8)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"steps": 9}))
    with pytest.raises(CheckpointError, match="config.json is damaged: it differs from its digest"):
        run_folder.read_run(run)


def test_an_extension_below_a_damaged_checkpoint_is_recorded_where_it_went_on(small, run):
    train(small, run, extend_to=8, stop_after=7)
    for step in (6, 7):
        (run / f"checkpoints/{step}/record/metadata").write_text("")
    with pytest.warns(UserWarning, match="is damaged"):
        train(small, run)
    assert extensions(run) == ([{"from": 6, "at": 3, "to": 8}], 8)


def test_extending_with_nothing_to_train_is_recorded_all_the_same(small, run):
    assert train(small, run, extend_to=12, stop_after=5).step == 6
    assert extensions(run) == ([{"from": 6, "at": 6, "to": 12}], 12)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"extend_to": 5}, "extend_to is 5, and the run in RUN has 6 steps, of which 6 are done: give a larger number"),
        ({"extend_to": 0}, "extend_to is 0: expected"),
        ({"extend_to": 8, "overwrite": True}, "extend_to is 8, and overwrite begins anew: leave one of them out"),
        ({"extend_to": 8, "out": None}, "extend_to is 8, and there is no run folder to extend: give one (out=)"),
        ({"extend_to": 8, "out": "new"}, "extend_to is 8, and new holds no run yet: leave it out, and give the number"),
        ({"extend_to": 8, "seed": 1}, "RUN holds a run with seed 0, and seed 1 was asked for"),
        ({"steps": 7}, "with steps 6, and steps 7 was asked for: make it longer (extend_to=7), choose another folder"),
        ({"steps": 4}, "with steps 6, and steps 4 was asked for: choose another folder (out=), or begin anew"),
        ({"steps": 7, "extend_to": 8}, "with steps 6, and steps 7 was asked for"),
    ],
    ids=str,
)
def test_bad_extensions_are_one_sentence_and_change_nothing(small, run, monkeypatch, options, said):
    monkeypatch.chdir(run.parent)
    before, options = whole(run), {"out": run} | options
    config = dataclasses.replace(small[0], steps=options.pop("steps", 6))
    with pytest.raises(UserError) as error:
        cganjax.train(config, small[1], progress=False, **options)
    assert said.replace("RUN", str(run)) in str(error.value) and "\n" not in str(error.value)
    assert whole(run) == before and not Path("new").exists()


def test_the_command_extends_and_names_its_flags(small, run, command):
    settings = [f"--set={name}={getattr(small[0], name)}" for name in ("log_every", "checkpoint_every", "keep")]
    begin = ("--recipe", "pattern_1010", "--steps", 6, "--set=sample_every=3", *settings, "--out", "run")
    code, out, _ = command(train_command, *begin, "--extend-to", 8)
    assert code == 0 and "run: run, from step 6 to 8 of 8, on cpu" in out and "checkpoint: run/checkpoints/8" in out
    code, out, _ = command(train_command, *begin, "--extend-to", 8)
    assert code == 0 and "run is already at step 8 of 8: nothing to do" in out
    code, _, err = command(train_command, *begin, "--extend-to", 5)
    assert code == 2 and err.startswith("error: --extend-to is 5, and the run in run has 8 steps")
    code, _, err = command(train_command, *begin, "--steps", 9)
    assert code == 2 and "make it longer (--extend-to 9), choose another folder (--out)" in err
    code, out, _ = command(train_command, *begin, "--extend-to", 9, "--dry-run")
    assert code == 0 and "to step 9" in out


# --- beginning with a checkpoint --------------------------------------------------------------------------------------

CLASSES = ("7", "ball", "3", "cross")  # two of them are digits


@pytest.fixture(scope="module")
def others(digits):
    """40 images of the digits' shape in four classes, two of which the digits have."""
    return cganjax.dataset(images=digits.images[:40], labels=np.arange(40) % 4, class_names=CLASSES)


@pytest.fixture(scope="module")
def shipped(tiny_run, tmp_path_factory):
    """The generator of the tiny run without its discriminator, as most checkpoints are shipped."""
    folder = tmp_path_factory.mktemp("shipped") / "base"
    card, parts = sampling.read_run(tiny_run)
    ckpt.write_shipped(folder, card | {"name": "base", "roles": ["generator"]}, {"generator": parts["generator"]})
    return folder


@pytest.fixture
def plan(tiny, others):
    """(checkpoint, **changes) -> the settled config and the first state of a run that begins with it."""

    def make(checkpoint, **changes):
        config = beginning.settled(dataclasses.replace(tiny[0], **changes), checkpoint, None)
        networks = beginning.models.build(config, others.spec)
        fresh = jax.jit(cganjax.trainer(config, others.spec).init)(jax.random.key(0))
        source = beginning.read(config.init_from, others.spec)
        return config, fresh, beginning.begin(fresh, source, config, networks)

    return make


def test_classes_are_kept_by_name_and_the_others_are_new(plan, tiny_run, others):
    config, fresh, state = plan(tiny_run)
    assert config.discriminator_first == 0 and config.init_from == str(tiny_run)
    base = {"generator": cganjax.load(tiny_run), "discriminator": cganjax.load_discriminator(tiny_run)}
    networks = models.build(config, others.spec)._asdict()
    key = rng.stream(rng.root(config.seed), "new classes")  # the key of the run may give the checkpoint's first rows
    for role, network in base.items():
        weights = (network.weights, getattr(state, role), networks[role].init(key))
        old, new, random = (digests.by_path(w) for w in weights)
        assert old.keys() == new.keys()
        (rows,) = [name for name in old if name.endswith("embedding")]
        assert all(np.array_equal(old[name], new[name]) for name in old if name != rows)
        assert new[rows].shape == (4, old[rows].shape[1]) != old[rows].shape
        for k, name in enumerate(CLASSES):
            mean = np.asarray(old[rows]).mean(axis=0) + np.asarray(random[rows])[k]
            kept = np.asarray(old[rows])[int(name)] if name.isdigit() else mean
            np.testing.assert_array_equal(new[rows][k], kept)
    assert same(state.generator_ema, state.generator.params), "both begin with the average"
    assert not same(sampling.read_run(tiny_run)[1]["generator"].params, fresh.generator.params)
    assert int(state.step) == 0 and same(state.generator_optimizer, fresh.generator_optimizer)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(state.generator_optimizer))


def test_the_discriminator_learns_alone_first(plan, shipped, others):
    """G, its average and its optimizer stay as they are, bit for bit; then they move, with the rate of that step."""
    config, fresh, state = plan(shipped, discriminator_first=2, decay_from=0.0)
    assert same(state.discriminator, fresh.discriminator) and config.discriminator_first == 2
    step = jax.jit(cganjax.trainer(config, others.spec).step)
    batch, states = Batch(others.images[:8], others.labels[:8].astype(np.int32)), [state]
    for _ in range(3):
        states.append(step(jax.random.key(0), states[-1], batch)[0])
    for before, after in zip(states, states[1:], strict=False):
        frozen = int(before.step) < 2
        assert not same(before.discriminator, after.discriminator)
        for part in ("generator", "generator_ema", "generator_optimizer"):
            assert same(getattr(before, part), getattr(after, part)) == frozen, (part, int(before.step))
    steps = jax.tree.map(lambda a, b: np.abs(a - b).max(), states[-1].generator, state.generator)
    rate = config.learning_rate * (1 - 2 / config.steps)  # Adam's first update is the rate, up to its sign
    np.testing.assert_allclose(max(jax.tree.leaves(steps)), rate, rtol=1e-3)
    assert [int(leaf) for leaf in jax.tree.leaves(states[-1].generator_optimizer) if leaf.ndim == 0] == [1, 1]
    assert [int(leaf) for leaf in jax.tree.leaves(states[-1].discriminator_optimizer) if leaf.ndim == 0] == [3, 3]


def test_the_discriminator_learns_alone_only_where_it_is_new(tiny, shipped, tiny_run):
    long, short = (dataclasses.replace(tiny[0], steps=steps) for steps in (6000, 100))
    assert beginning.settled(long, shipped, None).discriminator_first == 300
    assert beginning.settled(short, shipped, None).discriminator_first == 20
    assert beginning.settled(long, tiny_run, None).discriminator_first == 0
    own = dataclasses.replace(long, discriminator_first=7)
    assert beginning.settled(own, shipped, None).discriminator_first == 7
    assert beginning.settled(long, None, None) == long
    with pytest.raises(UserError, match="discriminator_first is 6 of 6 steps, so G would never learn"):
        cganjax.trainer(dataclasses.replace(tiny[0], discriminator_first=6), data.known.KNOWN["digits"])


def test_the_manifest_and_the_card_say_what_a_run_began_with(tiny, shipped, others, command, tmp_path):
    base, folder = shutil.copytree(shipped, tmp_path / "base"), tmp_path / "run"
    options = {"out": folder, "init_from": base, "progress": False}
    cganjax.train(tiny[0], others, stop_after=3, **options)
    record = {"name": "base", "steps": 6, "roles": ["generator"]}
    arrays = ckpt.read_card(base)["weights"]["arrays"]
    record["digest"] = digests.of_json(arrays)
    config, manifest = run_folder.read_run(folder)
    assert manifest["init_from"] == record and config["init_from"] == str(base)
    recorded = reproduction.read(folder)
    beginning.check_same(recorded.manifest["init_from"], recorded.config)

    shutil.rmtree(base)  # it is not needed any more
    run = cganjax.train(tiny[0], others, **options)
    assert (run.begun, run.step, run.generator.card["init_from"]) == (3, 6, record)
    assert cganjax.load(folder).card["init_from"] == record
    assert command(ship, folder, "--name", "tuned", "--out", tmp_path)[0] == 0
    assert ckpt.read_card(tmp_path / "tuned")["init_from"] == record
    ckpt.verify(tmp_path / "tuned")
    again = cganjax.load(tmp_path / "tuned")
    assert again.spec.class_names == CLASSES
    assert beginning.Source(again, None).record()["init_from"] == record

    with pytest.raises(UserError, match="holds a run with init_from .*base, and init_from none was asked for"):
        cganjax.train(dataclasses.replace(run.config, init_from=""), others, out=folder, progress=False)
    weights = {"generator": Weights(jax.tree.map(np.zeros_like, again.params), {})}
    ckpt.write_shipped(base, ckpt.read_card(tmp_path / "tuned") | {"name": "base"}, weights)
    with pytest.raises(UserError, match="holds other weights than those that the run began with: put base of step 6"):
        beginning.check_same(record, recorded.config)


def test_a_run_has_the_networks_of_its_checkpoint(tiny, shipped, tiny_run):
    recipe = cganjax.recipe("digits")
    settled = beginning.settled(recipe, shipped, None)
    assert (settled.generator, settled.discriminator) == (tiny[0].generator, tiny[0].discriminator)
    assert dataclasses.replace(settled, **{f: getattr(recipe, f) for f in ("generator", "discriminator")}) == (
        dataclasses.replace(recipe, init_from=os.fspath(shipped), discriminator_first=24)
    )
    other = dataclasses.replace(recipe, generator=recipe.generator | {"hidden": 32})
    with pytest.raises(UserError) as error:
        beginning.settled(other, shipped, None)
    assert str(error.value).startswith(f"generator.hidden is 32, and it is 16 in {shipped}: leave it out")


def test_a_network_asked_for_is_refused_also_where_the_images_choose_the_recipe(shipped, digits):
    chosen = cganjax.recipe("auto", digits)
    assert beginning.settled(chosen, shipped, None, digits).generator["hidden"] == 16
    other = dataclasses.replace(chosen, generator=chosen.generator | {"hidden": 32})
    with pytest.raises(UserError, match="generator.hidden is 32, and it is 16 in"):
        beginning.settled(other, shipped, None, digits)


@pytest.mark.parametrize(
    "recipe, init_from, said",
    [
        ("label_map", "mnist", "is mnist, and algorithm target of recipe label_map only begins with new weights: "),
        ("lenet5", "mnist", "of recipe lenet5 only begins with new weights: choose a recipe of algorithm relativistic"),
        ("digits", "lenet5", "holds no generator"),
        ("digits", "nothing", "no checkpoint 'nothing': give a run folder, a checkpoint folder, or one of "),
        ("digits", 5, "init_from is 5: expected the name or the path of a checkpoint"),
        ("digits", "label-score", "needs networks without BatchNorm"),
    ],
)
def test_what_cannot_begin_with_a_checkpoint_says_so(tmp_path, recipe, init_from, said):
    with pytest.raises((UserError, CheckpointError, FileNotFoundError)) as error:
        cganjax.train(recipe, init_from=init_from, out=tmp_path / "run", progress=False)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_images_of_another_shape_are_refused(tmp_path):
    colour = cganjax.dataset(images=np.zeros((200, 32, 32, 3), np.uint8), labels=np.arange(200) % 4)
    with pytest.raises(UserError) as error:
        cganjax.train("digits", colour, init_from="mnist", out=tmp_path / "run", progress=False)
    assert str(error.value) == (
        "init_from is mnist, which generates images of 28x28x1, and the images to train on are 32x32x3: choose a "
        "checkpoint of that shape, or images of the checkpoint's"
    )
    assert not (tmp_path / "run").exists()


def test_the_command_says_what_a_run_begins_with(train_tiny, shipped, tmp_path, digits):
    for name, images in (("mine", digits.images[:40]), ("wide", np.zeros((40, 32, 32), np.uint8))):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(40) % 4, class_names=CLASSES)
    begin = ("--init-from", str(shipped), "--dataset", "mine.npz")
    code, out, err = train_tiny(*begin, "--dry-run")
    assert code == 0 and f"init_from  {shipped}" in " ".join(out.split()).replace("init_from ", "init_from  ")
    code, out, _ = train_tiny(*begin, "--out", "run", "--stop-after", "1")
    assert code == 0 and "the run begins with the generator of base, and has the networks of that checkpoint\n" in out
    assert "classes that base has: 7, 3; new classes: ball, cross\n" in out
    assert "base holds no discriminator, so the discriminator learns alone for the first 1 steps" in out
    code, _, err = train_tiny("--init-from", str(shipped), "--dataset", "wide.npz")
    assert code == 2 and err.startswith("error: --init-from is ") and "are 32x32x1" in err


def test_a_run_that_diverges_before_its_first_checkpoint_goes_back_to_the_checkpoints_weights(
    tiny, tiny_run, others, monkeypatch
):
    """`on_nonfinite="restore"` makes the first state once more, and it is not a random one."""
    seen, begin = [], beginning.begin
    monkeypatch.setattr(beginning, "begin", lambda *given: seen.append(begin(*given)) or seen[-1])

    class Diverges(Calls):
        def step(self, done):
            if done == self.at and len(seen) == 1:
                raise runs.Diverged(1, "a loss")

    cganjax.train(
        tiny[0],
        others,
        init_from=tiny_run,
        stop_after=1,
        on_nonfinite="restore",
        progress=Diverges(1, None),
    )
    assert len(seen) == 2
