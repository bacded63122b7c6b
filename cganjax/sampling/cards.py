"""What a checkpoint says about itself: fields of a card that somebody else may have written, and cards of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cganjax import models, run_folder
from cganjax.data import known
from cganjax.spec import DARK_ON_LIGHT, LIGHT_ON_DARK, ImageSpec
from cganjax.types import CheckpointError

_SPEC = {"height": int, "width": int, "channels": int, "class_names": list, "polarity": str}


def spec_of(data: Any, where: Path) -> ImageSpec:
    """The spec in a card's or manifest's record of its data, also in those that were written before specs were.

    Raises:
      CheckpointError: the record is damaged; the message names `where`, the file that holds it.
    """
    if not isinstance(data, Mapping):
        raise _foreign(where, f"data is {data!r}")
    if "spec" in data:
        spec = data["spec"]
        if not isinstance(spec, Mapping) or not spec.keys() <= _SPEC.keys():
            raise _foreign(where, f"data.spec is {spec!r}")
        for name, kind in _SPEC.items():
            value = spec.get(name, "" if name == "polarity" else None)
            if not isinstance(value, kind) or isinstance(value, bool) or (kind is int and value < 1):
                raise _foreign(where, f"data.spec.{name} is {value!r}")
        if spec.get("polarity", LIGHT_ON_DARK) not in (LIGHT_ON_DARK, DARK_ON_LIGHT):
            raise _foreign(where, f"data.spec.polarity is {spec['polarity']!r}")
    elif not _is_count(data.get("num_classes")) or not isinstance(data.get("name", ""), str):
        raise _foreign(where, f"data.num_classes is {data.get('num_classes')!r}")
    try:
        return known.recorded(data)
    except ValueError as error:
        raise _foreign(where, f"data.spec: {error}") from None


def settings_of(config: Mapping[str, Any], where: Path) -> models.Settings:
    """What a card's config says of the networks.

    Raises:
      CheckpointError: it does not say what networks need; the message names `where`, the file that holds it.
    """
    if not isinstance(config.get("family"), str):
        raise _foreign(where, f"config.family is {config.get('family')!r}")
    parts = ("classifier",) if config.get("classifier") is not None else ("generator", "discriminator")
    for part in parts:
        if not isinstance(config.get(part), Mapping):
            raise _foreign(where, f"config.{part} is {config.get(part)!r}")
    if "generator" in parts and not _is_count(config["generator"].get("latent_size")):
        raise _foreign(where, f"config.generator.latent_size is {config['generator'].get('latent_size')!r}")
    return models.Settings.of(config)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _foreign(where: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{where} does not describe networks that this version knows: {what}")


def card_of_run(name, config, manifest, roles, steps, metrics) -> dict[str, Any]:
    """What a card says about a run: where it came from, and what was measured at its end."""
    return {
        "name": name,
        "roles": roles,
        "recipe": config["recipe"],
        "seed": config["seed"],
        "steps": steps,
        "data": {k: manifest["data"][k] for k in ("name", "split", "images", "num_classes", "fingerprint")}
        | {"spec": known.recorded(manifest["data"]).to_json(), "place": manifest["data"].get("place", "")},
        "metrics": metrics,
        "versions": manifest["versions"],
        "git": manifest["git"],
        "config": config,
    }


def metrics_at(run: Path, step: int) -> dict[str, Any]:
    """The last metrics in a run's `metrics.jsonl` up to a step, or {}."""
    rows = [row for row in run_folder.read_metrics(run / run_folder.METRICS) if row["step"] <= step]
    return {k: v for row in rows if row["step"] == rows[-1]["step"] for k, v in row.items()}
