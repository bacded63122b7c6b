"""Network families: `build(config, spec)` turns settings into pure functions.

Linen stays inside this room. A family is one file that offers `Generator` and `Discriminator`, or `Classifier`; its
line in `FAMILIES` is all that the rest of the project knows of it. It says SUPPORTS, the specs that
it can be built for; CONDITIONAL, whether labels
enter; SCORES, what D's or the classifier's numbers are (see `Networks`); CLASSIFIES, whether they are one a class; and
PIECEWISE_LINEAR where D is Conv, Dense and (leaky) ReLU alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import (
    all_cnn,
    cnn,
    depth_to_space,
    label_map,
    label_score,
    lenet5,
    mlp,
    mlp_gan,
    pattern_1010,
    residual,
    wide_cnn,
)
from cganjax.pixels import unit_to_signed
from cganjax.spec import ImageSpec
from cganjax.types import Params, UserError, Weights


class Network(NamedTuple):
    """Pure functions; nothing is hidden in them. `labels` are None where a network takes none."""

    init: Callable[[jax.Array], Weights]  # key -> weights
    apply: Callable[..., jax.Array]  # (weights, z or images, labels) -> images or scores, with running statistics
    train: Callable[..., tuple[jax.Array, Params]]  # (weights, key, z or images, labels) -> the same and new statistics
    features: Callable[..., jax.Array]  # as `apply` -> what the last layer sees [N, D], of networks that classify
    # (weights, unit [N], images, labels) -> as `apply`, with every bias of example i times unit_i; None where that does
    # not make it homogeneous in (images, unit)
    scaled: Callable[..., jax.Array] | None


class Networks(NamedTuple):
    """What a family builds: a generator and a discriminator that fit each other, or a classifier, or all three."""

    generator: Network | None  # z float [N, L], labels int [N] -> images [N, H, W, C] in [-1, 1]
    discriminator: Network | None  # images [N, H, W, C] in [-1, 1], labels int [N] -> scores [N], or logits [N, K or 1]
    classifier: Network | None  # images [N, H, W, C] in [0, 1] -> numbers [N, K]; it may be D in another role
    scores: str  # D's or the classifier's numbers: "logits" of a softmax or of a "sigmoid" each, or "unbounded"
    latent_size: int | None  # L
    num_classes: int | None  # K; None where neither G nor D takes labels
    spec: ImageSpec  # of the images

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.spec.shape


class Settings(NamedTuple):
    """What of a run's config decides its networks: all that is needed to load one."""

    family: str  # a key of `FAMILIES`
    generator: Mapping[str, int] | None = None  # the family's settings for G, with `latent_size`
    discriminator: Mapping[str, int] | None = None  # and for D
    classifier: Mapping[str, int] | None = None  # or for the classifier

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """Those of a config as JSON values. Raises KeyError if it names no family."""
        return cls(config["family"], *(config.get(name) for name in cls._fields[1:]))


FAMILIES = {
    "all_cnn": all_cnn,
    "cnn": cnn,
    "depth_to_space": depth_to_space,
    "label_map": label_map,
    "label_score": label_score,
    "lenet5": lenet5,
    "mlp": mlp,
    "mlp_gan": mlp_gan,
    "pattern_1010": pattern_1010,
    "residual": residual,
    "wide_cnn": wide_cnn,
}


def build(config: Any, spec: ImageSpec) -> Networks:
    """Build the networks of a run.

    Args:
      config: a `training.Config` or `Settings`: its `family`, and `generator` (with `latent_size`) and
        `discriminator`, or `classifier`.
      spec: of the images that the networks make or take.

    Raises:
      UserError: for an unknown family or setting (the known ones are named), or a spec that the family cannot be built
        for.
    """
    if config.family not in FAMILIES:
        raise UserError(f"unknown network family {config.family!r}: known are {', '.join(FAMILIES)}")
    room = FAMILIES[config.family]
    classifies = getattr(config, "classifier", None) is not None
    if hasattr(room, "Classifier") != classifies:
        kind = "classifiers" if classifies else "generators"
        raise UserError(f"family {config.family} builds no {kind}: choose another family, or a recipe for {kind}")
    room.SUPPORTS.check(config.family, spec)
    return _build(room, config, spec)


def _build(room, config: Any, spec: ImageSpec) -> Networks:
    images, num_classes = jnp.zeros((1, *spec.shape)), spec.num_classes
    if hasattr(room, "Classifier"):
        classifier = _network(room.Classifier, config.classifier, spec, num_classes, images, None)
        return Networks(None, None, classifier, room.SCORES, None, num_classes, spec)
    if not room.CONDITIONAL:
        num_classes = None
    labels = None if num_classes is None else jnp.zeros(1, jnp.int32)
    latent_size = config.generator["latent_size"]
    settings = {k: v for k, v in config.generator.items() if k != "latent_size"}
    generator = _network(room.Generator, settings, spec, num_classes, jnp.zeros((1, latent_size)), labels)
    discriminator = _network(room.Discriminator, config.discriminator, spec, num_classes, images, labels)
    if not getattr(room, "PIECEWISE_LINEAR", False):
        discriminator = discriminator._replace(scaled=None)
    classifier = _as_classifier(discriminator) if room.CLASSIFIES else None
    return Networks(generator, discriminator, classifier, room.SCORES, latent_size, num_classes, spec)


def _network(
    kind, settings: Mapping[str, int], spec: ImageSpec, num_classes: int | None, x: jax.Array, labels
) -> Network:
    where = f"{kind.__module__}.{kind.__name__}"
    try:
        shape = {"shape": spec.shape} if "shape" in kind.__annotations__ else {}
        module = kind(num_classes=num_classes, **shape, **settings)
    except TypeError as error:
        raise UserError(f"the settings {dict(settings)} do not fit {where}: {error}") from None

    def init(key: jax.Array) -> Weights:
        variables = module.init(key, x, labels, False)
        return Weights(variables["params"], variables.get("batch_stats", {}))

    def variables(weights: Weights):
        return {"params": weights.params, "batch_stats": weights.statistics}

    def apply(weights: Weights, x: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        return module.apply(variables(weights), x, labels, False)

    def train(weights: Weights, key: jax.Array, x: jax.Array, labels: jax.Array | None = None):
        y, changed = module.apply(variables(weights), x, labels, True, mutable=["batch_stats"], rngs={"dropout": key})
        return y, changed.get("batch_stats", {})

    def features(weights: Weights, x: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        _, seen = module.apply(variables(weights), x, labels, False, mutable=["intermediates"])
        return seen["intermediates"]["features"][0]

    def scaled(weights: Weights, unit: jax.Array, x: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        def with_unit(call, args, kwargs, context):
            y, layer = call(*args, **kwargs), context.module
            if not (isinstance(layer, (nn.Conv, nn.Dense)) and layer.use_bias):
                return y
            rest = (1,) * (y.ndim - 1)
            return y + (unit - 1).reshape(-1, *rest) * layer.variables["params"]["bias"].reshape(*rest, -1)

        with nn.intercept_methods(with_unit):
            return apply(weights, x, labels)

    try:
        jax.eval_shape(init, jax.random.key(0))
    except (TypeError, ValueError) as error:
        raise UserError(f"these settings make no {where}: {str(error).splitlines()[0]}") from None
    return Network(init, apply, train, features, scaled)


def _as_classifier(discriminator: Network) -> Network:
    """D of a family whose D scores every class, seen as a classifier of images in [0, 1]."""

    def apply(weights: Weights, images: jax.Array, labels: None = None) -> jax.Array:
        return discriminator.apply(weights, unit_to_signed(images))

    def train(weights: Weights, key: jax.Array, images: jax.Array, labels: None = None):
        return discriminator.train(weights, key, unit_to_signed(images))

    def features(weights: Weights, images: jax.Array, labels: None = None) -> jax.Array:
        return discriminator.features(weights, unit_to_signed(images))

    return Network(discriminator.init, apply, train, features, None)
