"""The complete description of a run: frozen records, their dotted keys, and `--set key=value` on them.

Every field is declared once, with what it means and which values it takes; `--help`, `--dry-run` and `check` read it
from there. This file holds what every algorithm has. An algorithm's own record is in its file in `algorithms/`.
"""

import dataclasses
import difflib
import importlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cganjax.checks import shown
from cganjax.data import SIZES, SPLIT, SPLITS
from cganjax.types import UserError

# --- how a field is declared ------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """Which values a field takes."""

    holds: Callable[[Any], bool]  # of a value of the field's type
    says: str  # completes "it must be ..."


ABOVE_0 = Rule(lambda v: 0 < v < math.inf, "above 0 and finite")
FROM_0 = Rule(lambda v: 0 <= v < math.inf, "0 or more and finite")
FRACTION = Rule(lambda v: 0 <= v <= 1, "within 0 and 1")
FRACTION_ABOVE_0 = Rule(lambda v: 0 < v <= 1, "above 0, at most 1")
BELOW_1 = Rule(lambda v: 0 <= v < 1, "0 or more, below 1")
MOST = 2**31 - 1  # steps are counted in int32, and no batch or layer is wider
COUNT = Rule(lambda v: 1 <= v <= MOST, "at least 1, at most 2^31 - 1")
SEED = Rule(lambda v: 0 <= v < 2**32, "within 0 and 2^32 - 1")
A_SIZE = Rule(lambda v: v == 0 or SIZES[0] <= v <= SIZES[1], f"0, or within {SIZES[0]} and {SIZES[1]}")
A_SPLIT = Rule(lambda v: SPLIT.fullmatch(v) is not None, SPLITS)


def one_of(names: Iterable[str]) -> Rule:
    """The rule that a value is one of these names."""
    known = tuple(names)
    return Rule(lambda v: v in known, f"one of {', '.join(known)}")


def field(help: str, rule: Rule | None = None, **options: Any) -> Any:
    """A field of a config: what it means, the rule for its value (of a mapping, for each value in it), its default."""
    return dataclasses.field(metadata={"help": help, "rule": rule}, **options)


# --- the records ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What every training run has. The record of an algorithm adds what that algorithm needs."""

    recipe: str = field("the recipe in cganjax/recipes/ that the run started from")
    algorithm: str = field("the training algorithm: a key of training.algorithms.ALGORITHMS")
    dataset: str = field("the data set, as cganjax.data.load names it")
    split: str = field("the images to train on, in canonical order", A_SPLIT)
    seed: int = field("every stream of random numbers derives from it", SEED)
    steps: int = field("length of the whole run, which the schedules refer to", COUNT)
    batch_size: int = field("real images per step", COUNT)
    family: str = field("the network family: a key of models.FAMILIES")
    learning_rate: float = field("learning rate of every optimizer, before its schedule", ABOVE_0)
    log_every: int = field("steps between lines of metrics.jsonl, each the mean since the line before", COUNT)
    checkpoint_every: int = field("steps between checkpoints; each adds a line to metrics.jsonl", COUNT)
    keep: int = field("number of newest checkpoints that are kept", COUNT)
    keep_best: bool = field(
        "also keep the checkpoint of the lowest mean loss (of G or of the classifier) over the last checkpoint_every "
        "steps, and sample from that one",
        default=False,
    )
    size: int = field(
        "side in pixels that the pictures of a folder are resized to; 0: as they are if they have one size",
        A_SIZE,
        default=0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANConfig(Config):
    """What every run of a generator G and a discriminator D has."""

    generator: Mapping[str, int] = field("settings of G, which the network family defines", COUNT)
    discriminator: Mapping[str, int] = field("settings of D, which the network family defines", COUNT)
    beta1: float = field("Adam's decay of the first moment; other optimizers ignore it", BELOW_1)
    beta2: float = field("Adam's decay of the second moment; other optimizers ignore it", BELOW_1)
    sample_every: int = field("steps between sample grids", COUNT)
    init_from: str = field(
        "the checkpoint or run whose weights a new run begins with, see `train --init-from`; empty: new weights",
        default="",
    )


_MOVED = {
    "AugmentedClassification": "augmented",
    "Classification": "classification",
    "RelativisticGAN": "relativistic",
    "TargetGAN": "target",
}


def __getattr__(name: str) -> type[Config]:
    """The records that earlier versions defined here and that are now in their algorithms' files."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cganjax.training.algorithms.{_MOVED[name]}"), name)


# --- a config as values and as text -----------------------------------------------------------------------------------


def to_json(config: Config) -> dict[str, Any]:
    """The record as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, Any]) -> Config:
    """The inverse of `to_json`; a field that is missing takes its default, so that older configs load.

    Raises:
      TypeError: a field is unknown, or one without a default is missing.
      KeyError: the algorithm is unknown.
    """
    from cganjax.training.algorithms import ALGORITHMS  # they import this file

    return ALGORITHMS[values["algorithm"]].config(**values)


def dumps(config: Config) -> str:
    """The resolved run as text, one field per line, in the order of the declaration."""
    return json.dumps(to_json(config), indent=2)


def describe(config: Config) -> str:
    """One line per dotted key: the key, its value, what it means."""
    rows = [(key, str(value), help) for key, value, help in _described(config)]
    key_width, value_width = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "\n".join(f"{key:{key_width}}  {value:{value_width}}  {help}".rstrip() for key, value, help in rows)


def reference() -> str:
    """The keys of every algorithm, one line each: the key, what it means, which values it takes."""
    from cganjax.training.algorithms import ALGORITHMS

    sections, seen = [("every run", _declared(Config))], {*_declared(Config)}
    for name, algorithm in ALGORITHMS.items():
        own = {key: f for key, f in _declared(algorithm.config).items() if key not in seen}
        sections.append((f"algorithm {name}", own))
    return "\n".join(
        line
        for title, fields in sections
        for line in (f"{title}:", *(f"  {key}  {_explained(f)}" for key, f in fields.items()))
    )


def _explained(field: dataclasses.Field) -> str:
    rule, help = field.metadata["rule"], field.metadata["help"]
    return help if rule is None else f"{help} ({rule.says})"


def _described(config: Config) -> Iterator[tuple[str, Any, str]]:
    from cganjax import models

    family = models.FAMILIES.get(config.family)
    settings = {} if family is None else family.SETTINGS
    for name, declared in _declared(type(config)).items():
        value, help = getattr(config, name), declared.metadata["help"]
        if not isinstance(value, Mapping):
            yield name, value, help
        for inner, size in value.items() if isinstance(value, Mapping) else ():
            yield f"{name}.{inner}", size, settings.get(inner, help)


def _declared(kind: type[Config]) -> dict[str, dataclasses.Field]:
    """The fields of a record, each as the class that says what it means declares it."""
    found = {}
    for base in reversed(kind.__mro__):
        for name, declared in getattr(base, "__dataclass_fields__", {}).items():
            if "help" in declared.metadata:
                found[name] = declared
    return found


# --- changes and checks -----------------------------------------------------------------------------------------------


def override(config: Config, assignments: Iterable[str]) -> Config:
    """Apply `key=value` texts, where a key may be dotted (`generator.hidden=128`).

    Raises:
      UserError: for an unknown key (the nearest and all known are named), or a value of another type.
    """
    flat = _flatten(to_json(config))
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: expected key=value")
        if key in ("recipe", "algorithm"):
            raise UserError(f"--set {text}: a recipe is chosen by --recipe, and its algorithm is a part of it")
        if key not in flat:
            near = difflib.get_close_matches(key, flat, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"unknown key {key!r}{hint} Known keys: {', '.join(flat)}")
        flat[key] = _parse(key, value, _type(config, key))
    empty = {name: {} for name, value in to_json(config).items() if isinstance(value, Mapping)}
    return check(from_json(empty | _unflatten(flat)))


def check(config: Config) -> Config:
    """Return the config, NumPy's numbers as Python's, or raise UserError naming the first field that cannot work."""
    from cganjax.training.algorithms import ALGORITHMS  # they import this file

    for name, value in to_json(config).items():
        kind = _type(config, name)
        if isinstance(value, Mapping) == (kind in _KINDS):  # a mapping for one value, or one value for a mapping
            raise UserError(f"{name} is {shown(value)}: it must be {_KINDS.get(kind, 'whole numbers by name')}")
    declared, flat = _declared(type(config)), {}
    for key, value in _flatten(to_json(config)).items():
        rule, kind = declared[key.partition(".")[0]].metadata["rule"], _type(config, key)
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, _ACCEPTED[kind]) or (isinstance(value, bool) and kind is not bool):
            raise UserError(f"{key} is {shown(value)}: it must be {_KINDS[kind]}")
        if rule is not None and not (rule.holds(value) and (kind is not float or abs(value) <= sys.float_info.max)):
            raise UserError(f"{key} is {shown(value) if kind is not str else value}: it must be {rule.says}")
        flat[key] = value
    if config.algorithm not in ALGORITHMS or not isinstance(config, ALGORITHMS[config.algorithm].config):
        own = next((name for name, known in ALGORITHMS.items() if isinstance(config, known.config)), "another")
        raise UserError(f"algorithm is {config.algorithm}: it must be {own}, which this config belongs to")
    return dataclasses.replace(config, **_unflatten(flat))


_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
_ACCEPTED = {bool: bool, int: int, float: (int, float), str: str}


def _type(config: Config, key: str) -> type:
    return int if "." in key else type(config).__dataclass_fields__[key].type


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
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UserError(f"{key}={text}: expected true or false")
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{key}={text}: expected {_KINDS[kind]}") from None
