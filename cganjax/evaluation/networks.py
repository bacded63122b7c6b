"""The networks that the commands measure generators with, chosen by the user or by the generators' data."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cganjax import checkpoint as ckpt
from cganjax import sampling
from cganjax.data import Dataset
from cganjax.evaluation import arguments, defaults, places
from cganjax.evaluation.records import Unmeasurable
from cganjax.evaluation.rows import ROWS
from cganjax.types import CheckpointError, UserError

GIVEN = "named by you"


class Networks(NamedTuple):
    """An extractor, where its reference is stored, and a reference classifier if there is one."""

    extractor: Any  # a `Classifier`, whose features are compared
    folder: Path  # of the extractor
    classifier: Any  # a `Classifier` of another training, or None
    why: str = GIVEN  # this extractor: "shipped for ...", "made from ...", or `GIVEN`
    why_classifier: str = GIVEN  # the same of the classifier

    @property
    def beside_data(self) -> bool:
        """Whether the extractor is one that `cganjax reference` made from its data."""
        return places.classifier_beside(self.folder) is not None


def choose(
    generators: Mapping[str, Any],
    extractor: str | os.PathLike | None = None,
    classifier: str | os.PathLike | None = None,
    *,
    dataset: Dataset | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Networks:
    """The networks for generators: those that are named, else those shipped for the data, else those kept beside them.

    Args:
      generators: `Generator` by the name that the user gave it; at least one. The data of the first count.
      extractor: a shipped name, a run, a checkpoint folder, or a folder that `cganjax reference` made; None to choose.
      classifier: the reference classifier, in the same form; None for the one that belongs to the extractor, if any.
      dataset: the training images to compare with, if they are others than those of the generators.
      data_dir: where data sets are looked for by name.

    Raises:
      UserError: there is no extractor for the data (it says how to make one), or generators and networks do not fit
        each other.
      CheckpointError: a file is damaged; it is named.
      UnknownCheckpoint: there is no such extractor or classifier.
    """
    if extractor is None:
        folder, why = _for_data(*next(iter(generators.items())), dataset, data_dir)
    else:
        folder, why = places.extractor_in(extractor), GIVEN
    loaded = _loaded(folder)
    for name, generator in generators.items():
        check_comparable(name, generator, extractor or loaded.card["name"], loaded)
    return Networks(loaded, folder, *reference_classifier(loaded, classifier, folder, why))


def reference_classifier(
    extractor: Any, named: str | os.PathLike | None, folder: Path, why: str = GIVEN
) -> tuple[Any, str, str]:
    """The reference classifier that was named, or else the one made with the extractor, or shipped for its data.

    Args:
      extractor: the extractor, a `Classifier`.
      named: the classifier that the user named.
      folder: of the extractor.
      why: the extractor was chosen.

    Returns:
      The classifier or None, why the extractor was chosen, and why the classifier was.

    Raises:
      UserError: it does not fit the extractor.
    """
    if named is not None:
        chosen, by = ckpt.find(named), GIVEN
    elif (chosen := places.classifier_beside(folder)) is not None:
        by = f"made with {extractor.card['name']}"
    elif (chosen := defaults.classifier_for(extractor.card["data"])) is not None:
        by = _shipped_for(ckpt.find(chosen))
    else:
        return None, why, ""
    classifier = _loaded(ckpt.find(chosen))
    try:
        arguments.check_classifier(extractor, classifier)
    except Unmeasurable as error:
        raise UserError(f"{error} (--classifier)") from None
    return classifier, why, by


def _for_data(
    name: str, generator: Any, dataset: Dataset | None, data_dir: str | os.PathLike | None
) -> tuple[Path, str]:
    """The folder of the extractor for a data set, or for the data of a generator, and why it is that one."""
    of_generator = generator.card.get("data", {})
    records = [of_generator]
    if dataset is not None:
        given = places.record_of(dataset)
        # Of the generator's own place, the images that are there now count.
        same = all(given[key] == of_generator.get(key, "") for key in ("name", "place"))
        records = [given] if same else [given, of_generator]
    for record in records:
        shipped = defaults.extractor_for(record)
        if shipped is not None:
            folder = ckpt.find(shipped)
            return folder, _shipped_for(folder)
        folder = places.find(record, data_dir)
        if folder is not None:
            return folder, made_from(ckpt.read_card(folder)["data"])
    raise UserError(
        f"{name} generates images of {generator.spec} ({of_generator.get('name', 'its data')}), and there is no "
        f"extractor for such images: {defaults.advice(of_generator)}; or name one by --extractor"
    )


def _shipped_for(folder: Path) -> str:
    return f"shipped for {ckpt.read_card(folder)['data']['name']}"


def made_from(record: Mapping[str, Any]) -> str:
    """Why the extractor beside data is taken, of the record in its card.

    >>> made_from({"name": "mine", "place": "/data/mine", "images": 417})
    'made from /data/mine on its 417 training images'
    """
    return f"made from {record.get('place') or record['name']} on its {record['images']:,} training images"


def _loaded(folder: Path) -> Any:
    """The classifier in a folder; of one beside data, an error says how to make it again."""
    try:
        return sampling.load_classifier(folder)
    except CheckpointError as error:
        raise again(folder, error) from None


def again(folder: Path, error: CheckpointError) -> CheckpointError:
    """An error in the files of an extractor; if they lie beside data, it says how to make them again."""
    if folder.parent.suffix != places.SUFFIX:
        return error
    return CheckpointError(f"{error}; cganjax reference DATA --overwrite makes all files in {folder.parent} again")


def quality(extractor: Any, rows: Mapping[str, Any]) -> dict[str, Any]:
    """How good an extractor is: its accuracy on test images, and the Frechet distance of real images, if known.

    Args:
      extractor: a `Classifier`; its card has the accuracy.
      rows: figures of real images and of known failures, with as many images each.
    """
    card, best = extractor.card, rows.get(ROWS[0], {})
    found = {"name": card["name"]}
    if "test_accuracy" in card.get("metrics", {}):
        found |= {"test_accuracy": card["metrics"]["test_accuracy"], "data": card["data"]["name"]}
    if "frechet" in best:
        found |= {"frechet_of_real": best["frechet"], "real": best["samples"]}
    return found


def check_comparable(name: str, generator: Any, extractor_name: str | os.PathLike, extractor: Any) -> None:
    """Raise UserError unless an extractor takes a generator's images and has the same number of classes."""
    if generator.image_shape != extractor.image_shape:
        raise UserError(
            f"{name} generates images of {generator.image_shape}, and {extractor_name} takes {extractor.image_shape}: "
            "give an --extractor of the same data"
        )
    if generator.num_classes not in (None, extractor.num_classes):
        raise UserError(
            f"{name} knows {generator.num_classes} classes, {extractor_name} {extractor.num_classes}: give an "
            "--extractor of the same data"
        )
