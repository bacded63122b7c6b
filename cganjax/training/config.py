"""A run's complete description: one frozen record an algorithm, its dotted keys, and `--set key=value` on them.

A recipe is one such record; what a field means stands beside it here, and nothing is configured elsewhere.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from cganjax.data import SPLIT, SPLITS
from cganjax.types import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What every training run has; the classes below add what their algorithm needs."""

    recipe: str  # the page in cganjax/recipes/ that this began as
    algorithm: str  # the training step: a key of ALGORITHMS
    dataset: str  # see cganjax.data.load
    split: str  # "train", "test" or "all", or some rows of it in canonical order, as "train[10000:]"
    seed: int  # every stream of random numbers derives from it
    steps: int  # length of the whole run, which the schedules refer to
    batch_size: int  # real images a step
    family: str  # the file in cganjax/models/ that builds the networks
    learning_rate: float  # of every optimiser, before its schedule
    log_every: int  # steps between lines of metrics.jsonl, each the mean since the last; a checkpoint has one too
    checkpoint_every: int  # steps between checkpoints
    keep: int  # newest checkpoints kept
    keep_best: bool = False  # keep the one of the lowest loss of G or of the classifier too, and sample from it; a
    # checkpoint's loss is the mean over the steps since the one before


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANConfig(Config):
    """What every generator and discriminator have."""

    generator: Mapping[str, int]  # the family's settings for G
    discriminator: Mapping[str, int]  # and for D
    beta1: float  # Adam's decay of the first moment; no other optimiser has it
    beta2: float  # and of the second
    sample_every: int  # steps between sample grids


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelativisticGAN(GANConfig):
    """Relativistic pairing with R1 and R2 penalties and an averaged generator: the flagship's."""

    algorithm: str = "relativistic"
    decay_from: float  # share of the run after which the learning rate falls linearly to 0
    gamma_start: float  # weight of R1 and R2 (each enters with gamma / 2), falling by a half cosine ...
    gamma_end: float  # ... to this
    gamma_until: float  # ... at this share of the run
    penalty_fraction: float  # share of each batch on which R1 and R2 are taken: one over a divisor of it
    mismatch_fraction: float = 0.0  # at most this share of D's generated images give way to real ones of another class:
    # 0, or one over a divisor of the batch
    latent_std: float = 1.0  # standard deviation of z in training; samples are drawn with 1, so that below 1 they reach
    # further out than those that G was trained on
    ema_decay: float  # of the generator's moving average, per step; it starts faster
    precision: str = "float32"  # of the networks' products and activations, or "bfloat16"; parameters stay float32


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetGAN(GANConfig):
    """D is driven to a target for real images and to zeros for generated ones, G to D's target: the originals'."""

    algorithm: str = "target"
    loss: str  # between D's outputs and their targets: "bce", binary cross-entropy, or "mse", of their sigmoid
    target: str  # of a real image: "one_hot" of its label, or "ones"
    optimizer: str  # "adam", or plain "sgd" without momentum
    gen_steps: int  # updates of G a step
    share_fake: bool  # one generated batch serves D's update and then G's; else each has latents of its own
    alternate: bool  # D is updated on the real batch and then on the generated one, else on both at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(Config):
    """A classifier by cross-entropy and SGD with Nesterov momentum, its rate lowered where the training loss rests."""

    algorithm: str = "classification"
    classifier: Mapping[str, int]  # the family's settings
    momentum: float  # Nesterov's
    weight_decay: float  # added to the gradient, of biases too
    epoch_steps: int  # steps whose mean training loss the plateau schedule sees, and after which test data are tried
    plateau_factor: float  # the learning rate is multiplied by it ...
    plateau_patience: int  # ... when more than so many epochs in a row are no better, as PyTorch counts
    learning_rate_floor: float  # the lowest learning rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentedClassification(Config):
    """A classifier by cross-entropy on changed images, and Adam whose rate falls to 0 by a half cosine."""

    algorithm: str = "augmented_classification"
    classifier: Mapping[str, int]  # the family's settings
    weight_decay: float  # a share of the weights that each update takes off, times the learning rate
    epoch_steps: int  # steps after which test data are tried
    shift: float  # each image is shifted by up to so many pixels ...
    rotation: float  # ... and turned by up to so many degrees
    noise: float  # and given uniform noise of up to this size in [0, 1]
    adversary_epsilon: float  # and moved against the classifier by up to this size (L-infinity; 0: not at all) ...
    adversary_steps: int  # ... in so many gradient steps


ALGORITHMS = {
    "relativistic": RelativisticGAN,
    "target": TargetGAN,
    "classification": Classification,
    "augmented_classification": AugmentedClassification,
}
_CHOICES = {
    "loss": ("bce", "mse"),
    "target": ("one_hot", "ones"),
    "optimizer": ("adam", "sgd"),
    "precision": ("float32", "bfloat16"),
}
# What a value must be: key -> (fine?, how it is said).
_ABOVE_0 = (lambda v: 0 < v < math.inf, "above 0 and finite")
_FROM_0 = (lambda v: 0 <= v < math.inf, "0 or more and finite")
_SHARE = (lambda v: 0 <= v <= 1, "within 0 and 1")
_SOME_SHARE = (lambda v: 0 < v <= 1, "above 0, at most 1")
_BELOW_1 = (lambda v: 0 <= v < 1, "0 or more, below 1")
_COUNT = (lambda v: v >= 1, "at least 1")
_RULES = {
    "seed": (lambda v: 0 <= v < 2**32, "within 0 and 2^32 - 1"),
    "split": (lambda v: SPLIT.fullmatch(v) is not None, SPLITS),
    **dict.fromkeys(("learning_rate", "latent_std"), _ABOVE_0),
    **dict.fromkeys(("gamma_start", "gamma_end", "weight_decay", "learning_rate_floor", "shift", "rotation"), _FROM_0),
    **dict.fromkeys(("decay_from", "noise", "adversary_epsilon"), _SHARE),
    "mismatch_fraction": (lambda v: 0 <= v <= 0.5, "within 0 and 0.5"),
    **dict.fromkeys(("gamma_until", "penalty_fraction", "plateau_factor"), _SOME_SHARE),
    **dict.fromkeys(("beta1", "beta2", "ema_decay", "momentum"), _BELOW_1),
    **dict.fromkeys(
        (
            "steps",
            "batch_size",
            "gen_steps",
            "epoch_steps",
            "adversary_steps",
            "log_every",
            "sample_every",
            "checkpoint_every",
            "keep",
        ),
        _COUNT,
    ),
    **{key: (lambda v, known=known: v in known, f"one of {', '.join(known)}") for key, known in _CHOICES.items()},
}


def to_json(config: Config) -> dict[str, Any]:
    """The record as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, Any]) -> Config:
    """The inverse of `to_json`. Raises TypeError where a field lacks or is unknown, KeyError for the algorithm."""
    return ALGORITHMS[values["algorithm"]](**values)


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
        if key in ("recipe", "algorithm"):
            raise UserError(f"--set {text}: a recipe is chosen by --recipe, and its algorithm is a part of it")
        if key not in flat:
            near = difflib.get_close_matches(key, flat, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"unknown key {key!r}{hint} Known keys: {', '.join(flat)}")
        flat[key] = _parse(key, value, type(flat[key]))
    empty = {name: {} for name, value in to_json(config).items() if isinstance(value, Mapping)}
    return check(from_json(empty | _unflatten(flat)))


def check(config: Config) -> Config:
    """Return the config, or raise UserError naming the first field that cannot work."""
    for key, value in _flatten(to_json(config)).items():
        fine, expected = _COUNT if "." in key else _RULES.get(key, (lambda v: True, ""))
        if not fine(value):
            raise UserError(f"{key} is {value}: it must be {expected}")
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
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UserError(f"{key}={text}: expected true or false")
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{key}={text}: expected {'a whole number' if kind is int else 'a number'}") from None
