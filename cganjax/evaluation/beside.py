"""`make`: train an extractor and a reference classifier on images of one's own, and keep them beside the data.

The two are the networks of the recipes `digits_v1` and `digits_judge` with fewer steps: a wide CNN whose features are
compared, and a residual CNN of another seed for the accuracy. `plan` chooses their sizes and steps by the number of
images. `find` is the other half: which extractor was made for given images (`places`).
"""

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cganjax import checkpoint as ckpt
from cganjax import checks, files, recipes, run_folder, sampling
from cganjax.data import Dataset
from cganjax.evaluation import networks, places, rows
from cganjax.evaluation import reference as references
from cganjax.evaluation.places import OtherImages, find
from cganjax.evaluation.records import Unmeasurable
from cganjax.recipes import auto
from cganjax.run_lock import RunLock
from cganjax.training import session
from cganjax.training.config import Config
from cganjax.types import BadArgument, UserError

__all__ = ["OtherImages", "find", "make", "plan"]

MOST = 10_000  # images in each row of the report
_FEATURES = (128, 64, 32, 16, 8)
_SEEN = 320_000, 60_000  # images that the extractor sees in training, of so many training images
_GROWTH = 0.45  # with x times as many training images, the training sees x ** _GROWTH times as many
_PIXELS = 32 * 32  # images of more pixels take longer: the training sees fewer of them


def make(
    train: Dataset,
    test: Dataset,
    *,
    out: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
    steps: int | None = None,
) -> Path:
    """Train an extractor and a reference classifier, measure the real images, and write both beside the data.

    500 images take about a minute on 2 CPU cores, and 60,000 a quarter of an hour.

    Args:
      train: training images: both networks are trained on them, and they are the "real images" of the report.
      test: test images of the same kind, which generated images are compared with.
      out: the folder to write. None: `my_images.reference/` beside the folder `my_images/` or the file `my_images.npz`,
        and for a data set that is found by its name in the data folder, `NAME.reference/` there.
      data_dir: the data folder, for `out` alone.
      overwrite: replace an extractor and a reference that are there.
      progress: show what is under way, and about how much time is left.
      steps: of each training. None: by the number of images, see `plan`.

    Returns:
      The folder of the extractor with its reference, as `find` returns it; the reference classifier lies beside it.

    Raises:
      UserError: the folder cannot be written or is in use, no folder is known for such data, no network can be built
        for such images, or there are too few of them.
      OSError: the disk is full; nothing is left of what was written.

    Example:
      >>> import cganjax
      >>> images = np.random.default_rng(0).integers(0, 256, (90, 6, 6, 1), np.uint8)
      >>> train, test = cganjax.data.divide(cganjax.dataset(images=images, labels=np.arange(90) % 2))
      >>> make(train, test, out="mine.reference", progress=False, steps=2)
      PosixPath('mine.reference/extractor')
    """
    if (train.spec.shape, train.num_classes) != (test.spec.shape, test.num_classes):
        raise UserError(f"train holds images of {train.spec} and test of {test.spec}: they must be of one kind")
    auto.check_enough(train)
    configs = plan(train, test)
    if steps is not None:
        checks.whole("steps", steps, 1)
        configs = {role: dataclasses.replace(config, steps=steps) for role, config in configs.items()}
    for config in configs.values():
        session.check(config, train)
    target = _target(train, out, data_dir, overwrite)
    say = print if progress else _silent
    say(
        f"{train.name}: {len(train.images):,} training and {len(test.images):,} test images of {train.spec}; "
        f"writing {target}",
        flush=True,
    )
    with _part_of(target) as part:
        for i, (role, config) in enumerate(configs.items(), 1):
            say(f"{i} of 3: training {_SAID[role]}: {_described(config)}", flush=True)
            _train(part / role, config, role, train, test, progress)
        extractor, classifier = (sampling.load_classifier(part / role) for role in configs)
        say("3 of 3: measuring the real images", flush=True)
        _measure(part / places.EXTRACTOR, extractor, classifier, train, test, say if progress else None)
        _move(part, target)
    return target / places.EXTRACTOR


def plan(train: Dataset, test: Dataset) -> dict[str, Config]:
    """The trainings of the extractor and of the reference classifier for a data set.

    The covariance of F features needs more than F test images: fewer of them mean fewer features, so that the Frechet
    distance is measurable. Letters have a left and a right, so no image is mirrored.

    >>> import cganjax
    >>> configs = plan(cganjax.dataset("digits"), cganjax.dataset("digits", split="test"))
    >>> configs["extractor"].classifier, configs["classifier"].family
    ({'width_14': 24, 'width_7': 48, 'hidden': 128}, 'residual')
    """
    count, spec = len(train.images), train.spec
    features = next((f for f in _FEATURES if 2 * f <= len(test.images)), _FEATURES[-1])
    large = count >= 5_000
    batch = 128 if large else max(1, min(64, count // 4))
    seen = _SEEN[0] * (count / _SEEN[1]) ** _GROWTH / max(1, spec.height * spec.width / _PIXELS) ** 0.5
    steps = max(100, round(seen / batch))
    common = {"dataset": train.name, "split": train.split, "batch_size": batch, "steps": steps, "rotation": 5.0}
    common |= {"epoch_steps": steps, "log_every": max(1, steps // 20), "checkpoint_every": steps}
    common |= {"shift": min(spec.height, spec.width) / 20}
    extractor, classifier = recipes.load("digits_v1"), recipes.load("digits_judge")
    if spec.height % 4 or spec.width % 4:  # convolutions that halve the side twice cannot be built
        extractor = dataclasses.replace(extractor, family="mlp", classifier={"hidden": features, "depth": 2})
        classifier = dataclasses.replace(classifier, family="mlp", classifier={"hidden": 128, "depth": 1})
    else:
        widths = {"width_14": 32, "width_7": 64} if large else {"width_14": 24, "width_7": 48}
        extractor = dataclasses.replace(extractor, classifier=widths | {"hidden": features})
        classifier = dataclasses.replace(classifier, classifier={"width": 24 if large else 16, "blocks": 1})
    return {
        places.EXTRACTOR: dataclasses.replace(extractor, **common),
        places.CLASSIFIER: dataclasses.replace(classifier, **common),
    }


# --- the parts of `make` ----------------------------------------------------------------------------------------------

_SAID = {places.EXTRACTOR: "the extractor", places.CLASSIFIER: "the reference classifier"}
_ROLES = {places.EXTRACTOR: ["classifier", "extractor"], places.CLASSIFIER: ["classifier", "judge"]}


def _silent(*said: Any, **options: Any) -> None:
    """`print` that prints nothing."""


def _described(config: Config) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in config.classifier.items())
    return f"{config.family} ({sizes}), {config.steps:,} steps of {config.batch_size} images"


def _target(train: Dataset, out: str | os.PathLike | None, data_dir: str | os.PathLike | None, overwrite: bool) -> Path:
    """The folder to write, which holds nothing that would be lost."""
    record = places.record_of(train)
    if out is None:
        target = places.folder_for(record, data_dir)
        if target is None:
            raise UserError(
                f"{train.name} lies in no folder, so there is no place beside it: say where to write by --out DIR, and "
                "then give evaluate --extractor DIR"
            )
    else:
        target = Path(files.expanded(out))
    if places.is_whole(target) and not overwrite:
        card = ckpt.read_card(target / places.EXTRACTOR)
        raise UserError(
            f"{target} exists, {networks.made_from(card['data'])}: evaluate uses it as long as the images are the "
            "same; to make it again, add --overwrite"
        )
    mine = (places.EXTRACTOR, places.CLASSIFIER, run_folder.LOCK)
    if target.exists() and not (target.is_dir() and all(name.startswith(mine) for name in os.listdir(target))):
        raise UserError(f"{target} holds something else than a reference: give another folder by --out DIR")
    return target


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A folder on the same disk for what is not finished, for one process at a time; nothing of it is left."""
    try:
        files.writable_folder(target)
    except UserError as error:
        raise UserError(f"{error}: write elsewhere by --out DIR, and then give evaluate --extractor DIR") from None
    lock, part = RunLock(target), target / f"{places.EXTRACTOR}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        part.mkdir()
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        lock.release()
        with contextlib.suppress(OSError):  # it holds what it held before
            target.rmdir()


def _move(part: Path, target: Path) -> None:
    """Put both networks into place; the extractor, whose reference says that all is there, goes first and comes last.

    Wherever this is interrupted, the folder has all of one reference, or counts as none.
    """
    for role in (places.EXTRACTOR, places.CLASSIFIER):
        if (target / role).exists():
            os.replace(target / role, part / f"{role}.before")
    for role in (places.CLASSIFIER, places.EXTRACTOR):
        os.replace(part / role, target / role)


def _train(folder: Path, config: Config, role: str, train: Dataset, test: Dataset, progress: bool) -> None:
    """Train one network, and write it as a checkpoint."""
    # With `should_stop` Ctrl-C ends the training at once: half a training is of no use here.
    run = session.train(config, train, test=test, progress=progress, should_stop=lambda: False)
    name = re.sub(r"[^A-Za-z0-9._]+", "-", train.name).strip("-.")[:100]
    card = {**run.classifier.card, "name": f"{name or 'own'}-{role}", "roles": _ROLES[role], "quality": {}}
    ckpt.write_shipped(folder, card, {"classifier": run.classifier.weights})


def _measure(folder: Path, extractor: Any, classifier: Any, train: Dataset, test: Dataset, say: Any) -> None:
    """Measure the reference with its rows, and write it beside the extractor."""
    n = min(MOST, len(train.images))
    try:
        real_test, real_train = (references.real_images(d, extractor.image_shape, d.split) for d in (test, train))
        stored = rows.with_rows(extractor, classifier, real_test, real_train, n, say=say)
        references.write(folder, stored.exact, extractor)
    except (Unmeasurable, BadArgument) as error:
        raise UserError(f"{train.name}: {error}") from None
