"""Training from Python: in memory and in a folder, by pure functions, with Ctrl-C, divergence and each refusal."""

import dataclasses
import json
import os
import re
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cganjax
from cganjax import data, models
from cganjax.data import known
from cganjax.spec import ImageSpec
from cganjax.training import config as cfg
from cganjax.training import session
from cganjax.training.progress import Progress
from cganjax.types import Batch

CLASSIFIER = """batch_size=8 steps=5 log_every=2 checkpoint_every=3 epoch_steps=2 classifier.width_14=2
    classifier.width_7=2 classifier.hidden=4""".split()


@pytest.fixture(scope="module")
def small_classifier():
    """A config for a classifier whose step takes milliseconds."""
    return cfg.override(cganjax.recipe("surrogate-cnn"), [*CLASSIFIER, "shift=0", "rotation=0", "dataset=digits"])


class Watch(Progress):
    """Notes what a run tells it."""

    def __init__(self):
        self.told = []

    def begin(self, begun):
        self.told.append(("begin", begun.start, begun.until, begun.folder, begun.devices))

    def step(self, done):
        self.told.append(("step", done))

    def log(self, done, metrics):
        self.told.append(("log", done, metrics["steps"]))

    def end(self):
        self.told.append(("end",))


@pytest.fixture
def lenient():
    """optax's Adam mixes integers with floats, which strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


def test_a_run_in_memory_equals_one_in_a_folder_and_writes_nothing(tiny, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, watch = tiny[0], Watch()
    options = dict(jax.config.values)
    memory = cganjax.train(config, digits, progress=watch)
    assert list(tmp_path.iterdir()) == [] and memory.folder is None
    assert dict(jax.config.values) == options, "JAX's options are the caller's"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert watch.told[0] == ("begin", 0, 6, None, 1) and watch.told[-1] == ("end",)
    assert [t[1:] for t in watch.told if t[0] == "log"] == [(2, 2), (3, 1), (4, 1), (6, 2)]

    folder = cganjax.train(config, digits, out="run", progress=False)
    assert str(folder.folder) == "run" and (folder.step, folder.begun) == (6, 0)
    assert memory.metrics == folder.metrics and memory.metrics[-1]["step"] == 6
    assert same(memory.generator.weights, folder.generator.weights)
    assert same(memory.generator.weights, cganjax.load("run").weights)
    assert memory.classifier is None and memory.generator.card["data"]["spec"] == digits.spec.to_json()
    assert memory.generator(jnp.zeros((2, 8)), [1, 2]).shape == (2, 28, 28, 1)

    again = cganjax.train(config, digits, out="run", progress=False)
    assert (again.step, again.begun, again.metrics) == (6, 6, folder.metrics)
    assert same(again.generator.weights, folder.generator.weights)


def test_a_folder_is_resumed_and_the_manifest_records_the_spec(tiny, digits, tmp_path):
    config = tiny[0]
    first = cganjax.train(config, digits, out=tmp_path / "run", stop_after=3, progress=False)
    assert first.step == 3
    whole = cganjax.train(config, digits, out=tmp_path / "run", progress=False)
    assert (whole.begun, whole.step) == (3, 6)
    assert same(whole.generator.weights, cganjax.train(config, digits, progress=False).generator.weights)
    recorded = json.loads((tmp_path / "run/manifest.json").read_text())
    assert ImageSpec.from_json(recorded["data"]["spec"]) == digits.spec and recorded["command"] == "cganjax.train"


def test_own_images_of_any_shape_and_number_of_classes(tiny):
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 12, 3)).astype(np.uint8)
    spec = ImageSpec(8, 12, 3, ("cat", "dog"))
    mine = data.Dataset("mine", "train", images, np.arange(24, dtype=np.int32) % 2, spec, "0", "a test")
    run = cganjax.train(tiny[0], mine, seed=7, progress=False, stop_after=1)
    assert (run.config.dataset, run.config.seed, run.spec, run.step) == ("mine", 7, spec, 1)
    assert run.generator.spec == spec and run.generator(jnp.zeros((1, 8)), [1]).shape == (1, 8, 12, 3)


def test_the_best_weights_are_kept_in_memory(tiny, digits, monkeypatch):
    from cganjax.training import runs

    losses = iter([0.5, 0.9])
    monkeypatch.setattr(runs, "mean_loss", lambda rows, after: next(losses, 1.0))
    config = dataclasses.replace(tiny[0], keep_best=True)
    best = cganjax.train(config, digits, progress=False)
    third = cganjax.train(tiny[0], digits, progress=False, stop_after=3)
    assert same(best.generator.weights, third.generator.weights)


def test_a_classifier_and_its_trials(small_classifier, digits, tmp_path, lenient):
    test = data.load("digits", "test")
    run = cganjax.train(small_classifier, digits, test=test, progress=False)
    assert run.generator is None and run.classifier.scores == "logits"
    outputs = np.asarray(run.classifier(np.asarray(test.images, np.float32) / 255))
    trials = [row for row in run.metrics if "test_accuracy" in row]
    assert [row["step"] for row in trials] == [2, 4, 5]
    assert trials[-1]["test_accuracy"] == pytest.approx(np.mean(outputs.argmax(axis=1) == test.labels), abs=1e-6)
    by_name = cganjax.train(small_classifier, test="test", progress=False)
    assert by_name.metrics == run.metrics, "the recipe's data set by name"
    without = cganjax.train(small_classifier, digits, progress=False, out=tmp_path / "run")
    assert not any("test_loss" in row for row in without.metrics)
    assert same(without.classifier.weights, run.classifier.weights)
    with pytest.raises(cganjax.CheckpointError, match="holds no generator"):
        cganjax.load(tmp_path / "run")


@pytest.mark.slow
def test_a_trainer_is_pure_and_can_be_mapped_over_seeds(tiny, digits):
    """Four seeds at once and one at a time: equal to rounding, since sums may be taken in another order."""
    config, networks = tiny
    trainer = cganjax.trainer(config, networks.spec)
    assert trainer._fields == ("init", "step")
    batches = [Batch(jnp.asarray(digits.images[i : i + 8]), jnp.asarray(digits.labels[i : i + 8])) for i in (0, 8, 16)]
    keys = jax.vmap(jax.random.key)(jnp.arange(4))
    init, step = jax.jit(trainer.init), jax.jit(trainer.step)
    many, mapped = jax.jit(jax.vmap(trainer.init))(keys), jax.jit(jax.vmap(trainer.step, in_axes=(0, 0, None)))
    infos = []
    for batch in batches:
        many, info = mapped(keys, many, batch)
        infos.append(info)
    assert many.step.tolist() == [3] * 4
    for seed in range(4):
        state = init(keys[seed])
        for batch, of_all in zip(batches, infos, strict=True):
            state, info = step(keys[seed], state, batch)
            np.testing.assert_allclose([x[seed] for x in of_all], info, rtol=2e-3, atol=1e-5)
        for one, all_of in zip(jax.tree.leaves(state.weights()), jax.tree.leaves(many.weights()), strict=True):
            np.testing.assert_allclose(all_of[seed], one, rtol=1e-3, atol=2e-4)
    assert not np.allclose(infos[0].loss_generator[0], infos[0].loss_generator[1]), "seeds differ"


class Press(Progress):
    """Presses Ctrl-C when a step was handed out."""

    def __init__(self, at, times=1):
        self.at, self.times = at, times

    def step(self, done):
        for _ in range(self.times if done == self.at else 0):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_and_hands_over_the_run(tiny, digits, tmp_path, capfd):
    with pytest.raises(KeyboardInterrupt, match="stopped at step 4 of 6, saved in .*; the same call resumes") as stop:
        cganjax.train(tiny[0], digits, out=tmp_path / "run", progress=Press(4))
    assert stop.value.run.step == 4 and "saving" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = cganjax.train(tiny[0], digits, out=tmp_path / "run", progress=False)
    assert (whole.begun, whole.step) == (4, 6)
    unbroken = cganjax.train(tiny[0], digits, progress=False)
    assert same(whole.generator.weights, unbroken.generator.weights)

    with pytest.raises(KeyboardInterrupt, match="kept in memory") as stop:
        cganjax.train(tiny[0], digits, progress=Press(2))
    assert stop.value.run.step == 2 and stop.value.run.generator is not None
    with pytest.raises(KeyboardInterrupt) as stop:
        cganjax.train(tiny[0], digits, progress=Press(2, times=2))
    assert not isinstance(stop.value, session.Interrupted), "the second Ctrl-C ends at once"


def test_should_stop_saves_and_returns(tiny, digits):
    asked = iter([False, True])
    run = cganjax.train(tiny[0], digits, progress=False, should_stop=lambda: next(asked))
    assert run.step == 2


def test_a_diverged_run_raises_and_names_what_was_kept(tiny, digits, tmp_path, monkeypatch):
    from cganjax.training.algorithms import relativistic

    monkeypatch.setattr(relativistic, "gamma_schedule", lambda config: lambda t: jnp.where(t >= 4, jnp.nan, 1.0))
    with pytest.raises(
        cganjax.Diverged, match="after step 5; the last good checkpoint is .*run/checkpoints/3"
    ) as error:
        cganjax.train(tiny[0], digits, out=tmp_path / "run", progress=False)
    assert error.value.step == 5
    with pytest.raises(cganjax.Diverged, match="nothing was kept, as the run was in memory"):
        cganjax.train(tiny[0], digits, progress=False)


def test_bad_input_is_one_sentence(tiny, digits, small_classifier, tmp_path):
    config = tiny[0]
    test = data.load("digits", "test")
    odd = digits._replace(spec=ImageSpec.numbered(30, 28, 1, 10), images=np.zeros((1500, 30, 28, 1), np.uint8))
    for arguments, options, said in (
        (["mnits"], {}, "unknown recipe 'mnits': known are "),
        ([3], {}, "recipe is 3: give the name of a recipe or a Config"),
        ([config, "digits"], {}, "dataset is of type str: give a Dataset"),
        ([config, digits], {"seed": -1}, "seed is -1"),
        ([config, digits], {"stop_after": 0}, "^stop_after is 0: expected a whole number"),
        ([config, digits], {"stop_after": 2.5}, "^stop_after is 2.5: expected a whole number"),
        ([config, digits], {"block": 0}, "^block is 0: expected a whole number of at least 1"),
        ([config, digits], {"devices": 3}, "^devices is 3: expected a divisor of the batch_size, 8"),
        ([config, digits], {"devices": "2"}, "^devices is 2: expected a divisor"),
        ([config, digits], {"devices": 8}, "^devices is 8, and there are . here: give devices=., or a smaller divisor"),
        ([config, digits], {"test": test}, "test was given and recipe digits trains a generator"),
        ([small_classifier, digits], {"test": "test"}, "give test as a Dataset too"),
        ([small_classifier, digits], {"test": odd}, "test holds images of 30x28x1, 10 classes and dataset of 28x28x1"),
        ([config, odd], {}, "family depth_to_space cannot be built for images of 30x28x1"),
        (["lenet5", odd], {}, "family lenet5 cannot be built for images of 30x28x1"),
        ([dataclasses.replace(config, batch_size=5000), digits], {}, "choose a smaller batch"),
        ([dataclasses.replace(config, family="cnn"), digits], {}, "family cnn builds no generators"),
        ([dataclasses.replace(small_classifier, family="depth_to_space"), digits], {}, "builds no classifiers"),
    ):
        with pytest.raises(cganjax.UserError, match=said) as error:
            cganjax.train(*arguments, out=tmp_path / "run", progress=False, **options)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_python_reads_of_parameters_and_not_of_flags(tiny, digits, tmp_path):
    (tmp_path / "file.py").touch()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/letter.txt").touch()
    for out, said in (
        ("file.py", r"is a file: give a folder \(out=\)"),
        ("theirs", r"choose another folder \(out=\)"),
        ("file.py/run", "cannot be written .*: choose another folder$"),
    ):
        with pytest.raises(cganjax.UserError, match=said) as error:
            cganjax.train(tiny[0], digits, out=tmp_path / out, progress=False)
        assert "--" not in str(error.value)


def test_the_library_itself_names_no_flag_of_train():
    """Its messages are for Python; `cganjax train` translates them."""
    package = Path(session.__file__).parent
    for path in (*(package / f"{name}.py" for name in ("session", "devices", "runs")), package.parent / "files.py"):
        strings = re.findall(r"--(?:stop-after|block|devices|dataset|data-dir)", path.read_text())
        assert not strings, path


def test_arguments_of_a_wrong_type_get_one_sentence(tiny):
    spec = known.KNOWN["digits"]
    for call, said in (
        (lambda: cganjax.recipe(None), "^name is None: expected the name of a recipe"),
        (lambda: cganjax.trainer(tiny[0], (28, 28, 1)), r"^spec is \(28, 28, 1\): expected an ImageSpec"),
        (lambda: cganjax.trainer(None, spec), "^config is None: give the name of a recipe or a Config"),
        (lambda: cganjax.train(3), "^recipe is 3: give the name"),
        (lambda: cganjax.train("digits", "digits"), "^dataset is of type str"),
    ):
        with pytest.raises(TypeError, match=said) as error:
            call()
        assert isinstance(error.value, cganjax.UserError) and "\n" not in str(error.value)
    assert cganjax.trainer("digits", spec).step, "a recipe's name, as train takes it"


def test_the_errors_of_training_and_data_are_public(digits):
    assert issubclass(cganjax.Interrupted, KeyboardInterrupt) and cganjax.Interrupted is session.Interrupted
    with pytest.raises(cganjax.DataError):
        cganjax.dataset(images=digits.images, labels=digits.labels[:3])
    with pytest.raises(cganjax.NotFound):
        cganjax.dataset("nowhere/")


def test_no_family_is_built_for_the_spec_of_another(small_classifier):
    with pytest.raises(cganjax.UserError, match="it supports 2 to 1,000 classes"):
        cganjax.trainer(small_classifier, ImageSpec.numbered(28, 28, 1, 1))
    assert models.build(small_classifier, known.KNOWN["digits"]).generator is None
