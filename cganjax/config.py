"""A run's complete description: one frozen record, its dotted keys, and `--set key=value` on them.

A recipe is a `Config`; what a field means stands beside it here, and nothing is configured elsewhere.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from cganjax.types import UserError

SPLITS = ("train", "test", "all")


@dataclasses.dataclass(frozen=True)
class Config:
    """One training run, fully resolved."""

    recipe: str  # the page in experiments/recipes/ that this began as
    dataset: str  # see cganjax.data.load
    split: str  # "train", "test" or "all"
    seed: int  # every stream of random numbers derives from it
    steps: int  # length of the whole run, which the schedules refer to
    batch_size: int  # real images, and as many generated ones, a step
    family: str  # the file in cganjax/models/ that builds the networks
    generator: Mapping[str, int]  # the family's settings for G
    discriminator: Mapping[str, int]  # and for D
    learning_rate: float  # Adam's, of both networks
    decay_from: float  # share of the run after which the learning rate falls linearly to 0
    beta1: float  # Adam's decay of the first moment
    beta2: float  # and of the second
    gamma_start: float  # weight of R1 and R2 (each enters with gamma / 2), falling by a half cosine ...
    gamma_end: float  # ... to this
    gamma_until: float  # ... at this share of the run
    penalty_fraction: float  # share of each batch on which R1 and R2 are taken
    ema_decay: float  # of the generator's moving average, per step; it starts faster
    log_every: int  # steps between lines of metrics.jsonl, each the mean since the last; a checkpoint has one too
    sample_every: int  # steps between sample grids
    checkpoint_every: int  # steps between checkpoints
    keep: int  # newest checkpoints kept


def to_json(config: Config) -> dict[str, Any]:
    """The record as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, Any]) -> Config:
    """The inverse of `to_json`. Raises TypeError where a field lacks or is unknown."""
    return Config(**values)


def dumps(config: Config) -> str:
    """The resolved run as text, one field a line, in the order of the declaration."""
    return json.dumps(to_json(config), indent=2)


def override(config: Config, assignments: Iterable[str]) -> Config:
    """Apply `key=value` texts, where a key may be dotted (`generator.hidden=128`).

    Raises:
      UserError: for an unknown key (the nearest and all known are named), or a value of another type.
    """
    flat = _flatten(to_json(config))
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: give it as key=value")
        if key == "recipe":
            raise UserError(f"--set {text}: a recipe is chosen by --recipe")
        if key not in flat:
            near = difflib.get_close_matches(key, flat, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"unknown key {key!r}{hint} Known keys: {', '.join(flat)}")
        flat[key] = _parse(key, value, type(flat[key]))
    return check(from_json(_unflatten(flat)))


def check(config: Config) -> Config:
    """Return the config, or raise UserError naming the first field that cannot work."""
    rules = (
        ("steps", config.steps >= 1, "at least 1"),
        ("batch_size", config.batch_size >= 2, "at least 2"),
        ("split", config.split in SPLITS, f"one of {', '.join(SPLITS)}"),
        ("learning_rate", 0 < config.learning_rate < math.inf, "above 0 and finite"),
        ("decay_from", 0 <= config.decay_from <= 1, "within 0 and 1"),
        ("beta1", 0 <= config.beta1 < 1, "within 0 and 1"),
        ("beta2", 0 <= config.beta2 < 1, "within 0 and 1"),
        ("gamma_start", 0 <= config.gamma_start < math.inf, "0 or more and finite"),
        ("gamma_end", 0 <= config.gamma_end < math.inf, "0 or more and finite"),
        ("gamma_until", 0 < config.gamma_until <= 1, "above 0, at most 1"),
        ("penalty_fraction", 0 < config.penalty_fraction <= 1, "above 0, at most 1"),
        ("ema_decay", 0 <= config.ema_decay < 1, "within 0 and 1"),
        ("seed", 0 <= config.seed < 2**32, "within 0 and 2^32 - 1"),
        *((name, getattr(config, name) >= 1, "at least 1")
          for name in ("log_every", "sample_every", "checkpoint_every", "keep")),
        *((f"{net}.{name}", value >= 1, "at least 1")
          for net in ("generator", "discriminator") for name, value in getattr(config, net).items()),
    )  # fmt: skip
    for key, fine, expected in rules:
        if not fine:
            raise UserError(f"{key} is {_flatten(to_json(config))[key]}: it must be {expected}")
    return config


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat


def _unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in flat.items():
        outer, dot, inner = key.partition(".")
        if dot:
            values.setdefault(outer, {})[inner] = value
        else:
            values[key] = value
    return values


def _parse(key: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{key}={text}: expected {'a whole number' if kind is int else 'a number'}") from None
