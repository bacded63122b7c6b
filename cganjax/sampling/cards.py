"""What a checkpoint says about itself: fields of a card that somebody else may have written, and cards of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec

from cganjax import files, metrics_lines, models
from cganjax.data import known
from cganjax.data.arrays import MOST_CLASSES
from cganjax.spec import ImageSpec
from cganjax.types import CheckpointError

# A card may come from a stranger. Networks are described before the arrays are compared with them, and a size that no
# small image needs would make the description itself take hours or all memory.
_LARGEST = 2**24  # of a setting of a network, and of the pixels of an image
_DEEPEST = 200  # of a setting that counts layers
_LAYERS = ("blocks", "depth")
_Side = Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]


class _Spec(TypedDict):
    height: _Side
    width: _Side
    channels: int
    class_names: Annotated[list[str], msgspec.Meta(max_length=MOST_CLASSES)]
    polarity: NotRequired[str]


class _Data(TypedDict, total=False):
    name: str
    num_classes: Annotated[int, msgspec.Meta(ge=1, le=MOST_CLASSES)] | None
    split: str
    images: int
    fingerprint: str
    place: str
    size: int
    spec: _Spec


class _Record(TypedDict):
    data: _Data


class _Config(TypedDict):
    family: str
    generator: NotRequired[dict[str, _Side] | None]
    discriminator: NotRequired[dict[str, _Side] | None]
    classifier: NotRequired[dict[str, _Side] | None]


class _Settings(TypedDict):
    config: _Config


def spec_of(data: Any, where: Path) -> ImageSpec:
    """The spec in a card's or manifest's record of its data, also in those that were written before specs were.

    Raises:
      CheckpointError: the record is damaged, or states a size that no image of ours has; the message names `where`, the
        file that holds it.
    """
    files.check_kind({"data": data}, _Record, where)
    if "spec" not in data and data.get("num_classes") is None:
        raise _foreign(where, "data has neither spec nor num_classes")
    try:
        spec = known.recorded(data)
    except (TypeError, ValueError) as error:
        raise _foreign(where, f"data.spec: {error}") from None
    if spec.height * spec.width > _LARGEST:
        raise _foreign(where, f"data.spec has images of {spec.height}x{spec.width}")
    return spec


def settings_of(config: Mapping[str, Any], where: Path) -> models.Settings:
    """What a card's config says of the networks.

    Raises:
      CheckpointError: it does not say what networks need, or states a size that no network of ours has; the message
        names `where`, the file that holds it.
    """
    files.check_kind({"config": config}, _Settings, where)
    settings = models.Settings.of(config)
    parts = ("classifier",) if settings.classifier is not None else ("generator", "discriminator")
    for part in parts:
        sizes = getattr(settings, part)
        if sizes is None or (part == "generator" and "latent_size" not in sizes):
            raise _foreign(where, f"config.{part} is {sizes}")
        for name in _LAYERS:
            if sizes.get(name, 0) > _DEEPEST:
                raise _foreign(where, f"config.{part}.{name} is {sizes[name]}")
    return settings


def _foreign(where: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{where} does not describe networks that this version knows: {what}")


def card_of_run(name, config, manifest, roles, steps, metrics) -> dict[str, Any]:
    """What a card says about a run: where it came from, and what was measured at its end."""
    recorded = manifest["data"]
    return {
        "name": name,
        "roles": roles,
        "recipe": config["recipe"],
        "seed": config["seed"],
        "steps": steps,
        "data": {k: recorded[k] for k in ("name", "split", "images", "num_classes", "fingerprint")}
        | {"spec": known.recorded(recorded).to_json(), "place": recorded.get("place", "")}
        | {k: recorded[k] for k in ("size",) if k in recorded},
        "metrics": metrics,
        "versions": manifest["versions"],
        "git": manifest["git"],
        "config": config,
    } | ({"init_from": manifest["init_from"]} if manifest.get("init_from") else {})


def metrics_at(run: Path, step: int) -> dict[str, Any]:
    """The last metrics in a run's `metrics.jsonl` up to a step, or {}."""
    rows = [row for row in metrics_lines.read(run) if row["step"] <= step]
    return {k: v for row in rows if row["step"] == rows[-1]["step"] for k, v in row.items()}
