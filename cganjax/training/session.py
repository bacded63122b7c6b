"""Training as a library: `train` runs a recipe on images, `trainer` gives its two pure functions for other loops."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from cganjax import checks, data, distributed, memory, models, parallel, recipes, rng, run_folder
from cganjax.data import Dataset, known
from cganjax.models import Networks
from cganjax.spec import ImageSpec
from cganjax.training import algorithms, beginning, loop, preview, result, runs, together, trial
from cganjax.training import config as cfg
from cganjax.training import devices as device_count
from cganjax.training.algorithms import Trainer
from cganjax.training.config import Config
from cganjax.training.manifest import resumed_otherwise
from cganjax.training.progress import Begun, Progress, Shown
from cganjax.training.result import Interrupted, TrainedRun
from cganjax.types import BadType, BitsWarning, UserError

BLOCK = 25  # steps in one call of an accelerator
ON_NONFINITE = ("stop", "restore")
_SMALLER = "choose smaller ones, or smaller images (of a folder: --size 32)"
RESTORES = 3  # returns to the last good state in a run; more of them need another learning rate


def recipe(name: str, dataset: Dataset | None = None) -> Config:
    """The config of a recipe; change it with `dataclasses.replace`.

    Args:
      name: a page of `cganjax/recipes/`, such as "mnist"; hyphens and underscores are alike.
      dataset: the images to train on, for recipe "auto", which chooses its settings by their size, classes and number.
        Other recipes do not look at it.

    Returns:
      A frozen dataclass. Its fields are described in `cganjax train --recipe NAME --dry-run`.

    Raises:
      UserError: there is no such recipe (the known ones are listed), or recipe "auto" got no dataset, or one that is
        too small to learn from.
      TypeError: the name is no text, or the dataset no Dataset (also a UserError).

    Example:
      >>> import cganjax, dataclasses
      >>> config = dataclasses.replace(cganjax.recipe("mnist"), steps=2000)
      >>> config.dataset, config.steps
      ('mnist', 2000)
      >>> config = cganjax.recipe("auto", cganjax.dataset("digits"))
      >>> config.batch_size, config.steps
      (64, 6953)
    """
    if not isinstance(name, str):
        raise BadType(f"name is {checks.shown(name)}: expected the name of a recipe, such as 'mnist'")
    _check_dataset(dataset)
    return recipes.load(name, dataset)


def trainer(config: str | Config, spec: ImageSpec) -> Trainer:
    """Build the networks of a config for images of a spec, and return its algorithm as two pure functions.

    Both can be transformed: `jax.jit` the step for a loop of your own, or `jax.vmap` both over seeds.

    Args:
      config: the name of a recipe, or a config, such as `cganjax.recipe("mnist")` with some fields replaced.
      spec: of the images, such as `dataset.spec`.

    Returns:
      `init`: key -> state, and `step`: (key, state, batch) -> (state, info). The key is the run's and the same at each
      step. The batch has `images` uint8 [N, H, W, C] and `labels` int32 [N]. The state has `step`, the number of
      updates done, and `weights()`. The info is a NamedTuple of float32 [].

    Raises:
      UserError: the config's family does not support the spec, or its algorithm cannot train these networks.
      TypeError: the config or the spec is of another type (also a UserError).

    Example:
      >>> import cganjax, jax
      >>> from cganjax.types import Batch
      >>> spec = cganjax.ImageSpec.numbered(1, 4, 1, 1)
      >>> trainer = cganjax.trainer(cganjax.recipe("pattern_1010"), spec)
      >>> keys = jax.vmap(jax.random.key)(jax.numpy.arange(4))
      >>> states = jax.vmap(trainer.init)(keys)
      >>> batch = Batch(jax.numpy.ones((2, 1, 4, 1)), jax.numpy.zeros(2, jax.numpy.int32))
      >>> states, info = jax.vmap(trainer.step, in_axes=(0, 0, None))(keys, states, batch)
      >>> info.loss_generator.shape, states.step.tolist()
      ((4,), [1, 1, 1, 1])
    """
    config = cfg.check(_config(config, "config"))
    if not isinstance(spec, ImageSpec):
        raise BadType(f"spec is {checks.shown(spec)}: expected an ImageSpec, such as dataset.spec")
    return algorithms.build(config, models.build(config, spec))


def train(
    recipe: str | Config,
    dataset: Dataset | None = None,
    *,
    seed: int | None = None,
    out: str | os.PathLike | None = None,
    test: Dataset | str | None = None,
    data_dir: str | os.PathLike | None = None,
    stop_after: int | None = None,
    init_from: str | os.PathLike | None = None,
    extend_to: int | None = None,
    overwrite: bool = False,
    devices: int | None = None,
    block: int | None = None,
    on_nonfinite: str = "stop",
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] | None = None,
    command: Sequence[str] = ("cganjax.train",),
) -> TrainedRun:
    """Train a recipe; with `out`, resume what is there bit for bit.

    JAX's options stay as the caller set them. Without `should_stop`, in the main thread, the first Ctrl-C ends the
    training after the current step: a checkpoint is saved, and `Interrupted`, a KeyboardInterrupt, is raised with the
    run so far as its `run`. A second Ctrl-C interrupts at once.

    Args:
      recipe: the name of a recipe, or a config, such as `cganjax.recipe("mnist")` with some fields replaced. "auto"
        chooses the settings by the dataset; if `out` holds such a run of the same images, it has the settings of then.
      dataset: images and labels to train on. None: the recipe's data set, by name.
      seed: every random stream derives from it. None: the recipe's seed.
      out: the run folder. It receives config.json, manifest.json, metrics.jsonl, curves.png, samples/STEP.png and
        checkpoints/STEP. None: the run stays in memory and no file is written.
      test: for a classifier, the test images whose loss and accuracy are recorded after each epoch, or the name of a
        split of the recipe's data set, such as "test". None: no trials.
      data_dir: where data sets are looked for by name, see `cganjax.data.load`.
      stop_after: stop at this step; the same call with a later one resumes. The schedules refer to `config.steps`.
      init_from: the checkpoint or run whose weights a new run begins with: a shipped name, a checkpoint folder or a run
        folder with images of the same shape. The run has the networks of that checkpoint. Classes of the same name keep
        what was learnt of them, and others are new; see docs/how-to/train-and-resume.md. None: as the config says.
      extend_to: make the run in `out` so many steps long, and go on. From there on the schedules refer to the new
        length: a learning rate that had fallen rises, and falls again. The manifest lists each time under `extended`.
        The same call resumes the longer run, and so does the call that began it, without `extend_to`.
      overwrite: begin anew if `out` already holds a run.
      devices: the number of devices that share each batch. None: as the run had before; else one, or on a CPU that JAX
        sees as several devices, as many as help. The last bits of the result depend on it. After
        `jax.distributed.initialize` it counts the devices of all processes (None: all), and each process calls this
        function with the same arguments; see docs/scaling.md.
      block: the number of steps in one call of the device. None: 1 on a CPU, where loops are slow, and 25 elsewhere.
      on_nonfinite: what to do if a loss or a parameter is not finite. "stop" raises Diverged. "restore" goes back to
        the last checkpoint (or to the first state) and goes on with the next data: the batches since then, up to the
        bad one, are left out for good. The manifest lists each return under `restored`. It goes back at most three
        times in a run, and then raises Diverged. In memory it takes room for one more state.
      progress: True shows a bar or lines with the time left, False nothing; or a `Progress` of your own.
      should_stop: is asked after each step or block; if it returns True, the run saves and returns.
      command: the words that the manifest records as the command of this run.

    Returns:
      The `TrainedRun`: `generator`, `classifier`, `metrics`, `folder`, `config`, `step`.

    Raises:
      UserError: the recipe is unknown, a value cannot work, the networks do not support the images, the data hold
        fewer images than a batch, or `out` is in use by another process, or holds something else, a run of another
        config or one of other images; the checkpoint `init_from` does not fit; or there is no run to extend.
      FileNotFoundError: there is no checkpoint `init_from`.
      TypeError: the recipe or the dataset is of another type (also a UserError).
      CheckpointError: the run in `out` is damaged, or the checkpoint `init_from` is.
      Diverged: a loss or a parameter is no longer finite; the message names the last good checkpoint.
      OSError: a file cannot be written, such as on a full disk; the last checkpoint is sound.
      Interrupted: see above.

    Warns:
      BitsWarning: something on which the last bits depend is not as it was when the run was stopped, such as the number
        of CPU cores; see docs/how-to/determinism.md.

    Example:
      >>> import cganjax, dataclasses
      >>> config = dataclasses.replace(cganjax.recipe("pattern_1010"), steps=100)
      >>> run = cganjax.train(config, seed=1, progress=False)
      >>> run.step, run.metrics[-1]["step"], run.folder
      (100, 100, None)
      >>> run.generator(jax.numpy.zeros((3, run.generator.latent_size))).shape
      (3, 1, 4, 1)
    """
    checks.flag("overwrite", overwrite)
    folder = None if out is None else runs.place(out)
    before = None if overwrite else folder
    config = beginning.settled(_resolve(recipe, dataset, seed, before), init_from, before, dataset)
    config = check(config, dataset, stop_after=stop_after, block=block)
    _check_extend_to(extend_to, folder, overwrite)
    if on_nonfinite not in ON_NONFINITE:
        raise UserError(f"on_nonfinite is {checks.shown(on_nonfinite)}: expected {' or '.join(ON_NONFINITE)}")
    with contextlib.ExitStack() as at_end:
        run = at_end.enter_context(together.open_run(folder, config, overwrite=overwrite, extend_to=extend_to))
        config = run.config  # it may have become longer
        until = min(stop_after or config.steps, config.steps)
        count = device_count.choose(config, devices, None if overwrite else folder)
        if run.done >= until:
            return result.untouched(run)

        dataset, test = _images(config, dataset, test, data_dir)
        networks = models.build(config, dataset.spec)
        data.check_fits(dataset, networks.image_shape, config.batch_size)
        algorithm, key = algorithms.build(config, networks), rng.root(config.seed)
        watch = progress if isinstance(progress, Progress) else Shown() if progress else Progress()
        watch = watch if distributed.first() else Progress()
        init, spread = jax.jit(algorithm.init), parallel.Spread(count)
        source = _source(config, dataset) if run.done == 0 else None

        def first() -> Any:
            state = init(key)
            return spread.place(beginning.begin(state, source, config, networks) if source else state)

        restores = RESTORES if on_nonfinite == "restore" else 0
        run.keeps_last = restores > 0
        size = block or (1 if jax.default_backend() == "cpu" else BLOCK)
        origin = source and source.record()
        state, begun = together.begin(run, first(), dataset, command, count, size, origin), run.done
        for said in resumed_otherwise(run.manifest) if distributed.first() else ():
            warnings.warn(said, BitsWarning, stacklevel=2)
        hooks = _hooks(run, networks, key, state, test)
        notes = beginning.said(config, source, dataset.spec) if source else []
        watch.begin(Begun(config, dataset, folder, begun, until, count, notes))
        at_end.callback(watch.end)
        began, caught = time.perf_counter(), at_end.enter_context(_ctrl_c(should_stop))
        step, block = _compiled(algorithm.step, spread, size)

        def go_on(state: Any) -> Any:
            return loop.run(
                step,
                key,
                spread.place(state),
                data.batches(dataset, rng.stream(key, "data"), config.batch_size, start=run.batch),
                until=until,
                log_every=config.log_every,
                total=config.steps,
                carried=run.metrics.carried,
                block=block,
                on_log=_both(lambda *line: run.metrics.write(*line), watch.log),
                on_cut=lambda sums: run.metrics.cut(sums),
                on_step=watch.step,
                hooks=hooks,
                should_stop=distributed.agreed(should_stop or (lambda: bool(caught))),
            )

        state = _with_restores(go_on, state, first, run, watch, restores)
        seconds = time.perf_counter() - began
    trained = result.of(run, networks, parallel.Spread.one(state), begun, seconds)
    if caught and trained.step < until:
        raise Interrupted(trained)
    return trained


# --- before the first step --------------------------------------------------------------------------------------------


def check(
    config: Config, dataset: Dataset | None = None, *, stop_after: int | None = None, block: int | None = None
) -> Config:
    """Return the config, or raise UserError if it cannot be trained; no data are read.

    The networks and the batch are tried with the dataset. Without one, the networks are tried if the config names a
    data set whose images are known.
    """
    for name, value in (("stop_after", stop_after), ("block", block)):
        if value is not None:
            checks.whole(name, value, 1)
    spec = known.KNOWN.get(config.dataset) if dataset is None else dataset.spec
    if spec is not None:
        state = jax.eval_shape(trainer(config, spec).init, jax.random.key(0))
        memory.check(2 * memory.bytes_of(state), "the networks, their gradients and optimizers", _SMALLER)
    if dataset is not None:
        data.check_fits(dataset, dataset.spec.shape, config.batch_size)
    return config


def _config(given: str | Config, parameter: str, dataset: Dataset | None = None) -> Config:
    """The config itself, or that of the recipe of this name."""
    config = recipes.load(given, dataset) if isinstance(given, str) else given
    if not isinstance(config, Config):
        raise BadType(f"{parameter} is {checks.shown(given)}: give the name of a recipe or a Config")
    return config


def _check_dataset(dataset: Dataset | None) -> None:
    if dataset is not None and not isinstance(dataset, Dataset):
        raise BadType(f"dataset is of type {type(dataset).__name__}: give a Dataset, as cganjax.dataset makes it")


def _resolve(recipe: str | Config, dataset: Dataset | None, seed: int | None, folder: Path | None) -> Config:
    """The config with the seed and the data set that were given, or that of a run to resume which the data chose."""
    _check_dataset(dataset)
    config = _config(recipe, "recipe", dataset)
    if isinstance(recipe, str) and recipes.needs_data(recipe):
        config = runs.config_before(folder, recipe, dataset) or config
    config = cfg.check(config if seed is None else dataclasses.replace(config, seed=seed))
    if dataset is None:
        return config
    return dataclasses.replace(config, dataset=dataset.name, split=dataset.split, size=dataset.size or 0)


def _images(
    config: Config, dataset: Dataset | None, test: Dataset | str | None, data_dir: str | os.PathLike | None
) -> tuple[Dataset, Dataset | None]:
    """The training and the test images, read if they were not given."""
    given = dataset is not None
    if test is not None and not hasattr(config, "classifier"):
        raise UserError(f"test was given and recipe {config.recipe} trains a generator: leave test out")
    if isinstance(test, str) and given:
        raise UserError(f"test is {checks.shown(test)} and dataset was given: give test as a Dataset too")
    size = config.size or None
    if not given:
        dataset = data.load(config.dataset, config.split, data_dir, size)
        check(config, dataset)
    test = data.load(config.dataset, test, data_dir, size) if isinstance(test, str) else test
    if test is not None and (test.spec.shape, test.num_classes) != (dataset.spec.shape, dataset.num_classes):
        raise UserError(f"test holds images of {test.spec} and dataset of {dataset.spec}: they must be of one kind")
    return dataset, test


def _source(config: Config, dataset: Dataset) -> beginning.Source | None:
    """The checkpoint that a new run begins with, if any. Raises as `beginning.read` does."""
    checkpoint = getattr(config, "init_from", "")
    return beginning.read(checkpoint, dataset.spec) if checkpoint else None


def _check_extend_to(extend_to: int | None, folder: Path | None, overwrite: bool) -> None:
    if extend_to is None:
        return
    checks.whole("extend_to", extend_to, 1)
    if folder is None:
        raise UserError(f"extend_to is {extend_to}, and there is no run folder to extend: give one (out=)")
    if overwrite:
        raise UserError(f"extend_to is {extend_to}, and overwrite begins anew: leave one of them out")


def _hooks(run: "runs.Run | runs.InMemory", networks: Networks, key: jax.Array, state: Any, test: Dataset | None):
    """What happens during the run, in this order: a trial of a classifier, a preview of a generator, a checkpoint.

    The checkpoint comes last: a run that is resumed from it has the trial's row and the preview's picture.
    """
    config, hooks = run.config, []
    if test is not None:
        tried = trial.Trial(config, networks, test, lambda *row: run.metrics.write(*row))
        hooks.append(loop.Hook(config.epoch_steps, _on_one_device(tried)))
    if networks.generator is not None and run.folder is not None and distributed.first():
        previews = _on_one_device(preview.Preview(run.folder / run_folder.SAMPLES, networks, key))
        hooks.append(loop.Hook(config.sample_every, previews))
        if run.done == 0:
            previews(0, state)
    # Orbax takes the arrays of several processes whole: each writes its part of them.
    whole = run.folder is not None and distributed.several()
    return [*hooks, loop.Hook(config.checkpoint_every, run.save if whole else _on_one_device(run.save))]


def _compiled(step: Callable, spread: parallel.Spread, size: int) -> tuple[Callable, loop.Block | None]:
    """The step on the devices that share a batch, and a block of so many steps."""
    block = loop.Block(size, spread.jit(loop.scanned(step), leading=1)) if size > 1 else None
    return spread.jit(step), block


# --- during and after -------------------------------------------------------------------------------------------------


def _with_restores(
    go_on: Callable[[Any], Any],
    state: Any,
    first: Callable[[], Any],
    run: "runs.Run | runs.InMemory",
    watch: Progress,
    most: int,
) -> Any:
    """The last state of a run that goes back to its last good state, at most so often, if something is not finite.

    Args:
      go_on: trains from a state to the end, and returns the last one.
      state: the state to begin with.
      first: makes the state of step 0.
      run: keeps the states.
      watch: is told of each return.
      most: returns in the whole run, also before it was resumed.

    Raises:
      Diverged: something is not finite once more.
    """
    while True:
        try:
            return go_on(state)
        except loop.Diverged as error:
            if len(run.restored) >= most:
                raise loop.Diverged(error.step, error.what, _after_divergence(run)) from None
            state = run.restore(first(), error)
            watch.restored(str(error), run.done)


def _both(*calls: Callable[..., None]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        for each in calls:
            each(*arguments)

    return call


def _on_one_device(call: Callable[[int, Any], None]) -> Callable[[int, Any], None]:
    """A hook that sees the first device's copy of the state."""
    return lambda step, state: call(step, parallel.Spread.one(state))


@contextlib.contextmanager
def _ctrl_c(should_stop: Callable[[], bool] | None) -> Iterator[list[int]]:
    """Within it the first Ctrl-C is put into the list, and the second raises KeyboardInterrupt.

    Nothing is caught in another thread than the main one, if the caller decides by `should_stop`, or has a handler of
    its own.
    """
    caught: list[int] = []

    def catch(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        print("\nstopping after this step, saving ...", file=sys.stderr, flush=True)

    main = threading.current_thread() is threading.main_thread()
    if should_stop is not None or not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield caught
        return
    before = signal.signal(signal.SIGINT, catch)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)


def _after_divergence(run: "runs.Run | runs.InMemory") -> str:
    kept = "no checkpoint was made yet"
    if run.folder is None:
        kept = "nothing was kept, as the run was in memory"
    elif run.done:
        kept = f"the last good checkpoint is {run.folder / run_folder.STATES / str(run.done)}"
    return f"; {kept}. Try a smaller learning_rate"
