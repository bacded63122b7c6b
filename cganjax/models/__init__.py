"""Network families: `build(config, spec)` turns settings into pure functions.

Only this package uses Linen. A family is one file that defines `Generator` and `Discriminator`, or `Classifier`, and
has an entry in `FAMILIES`. Its file says:

SUPPORTS          the specs that it can be built for
SETTINGS          what each of its settings means
SCORES            what the outputs of D or of the classifier are, see `Networks`
CLASSIFIES        whether they are one output per class, given no label
CONDITIONAL       whether G takes labels; not in families of classifiers
PIECEWISE_LINEAR  that D consists of Conv, Dense and (leaky) ReLU layers only; optional
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax import checks
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
    """One network as pure functions. `labels` are None if it takes none."""

    init: Callable[[jax.Array], Weights]  # key -> weights
    apply: Callable[..., jax.Array]  # (weights, z or images, labels) -> images or outputs, by running statistics
    train: Callable[..., tuple[jax.Array, Params]]  # (weights, key, z or images, labels) -> the same and new statistics
    features: Callable[..., jax.Array]  # as `apply` -> inputs of the last layer [N, D]; for classifiers
    # (weights, unit [N], images, labels) -> as `apply`, with every bias of example i multiplied by unit_i; None unless
    # that makes it homogeneous in (images, unit)
    scaled: Callable[..., jax.Array] | None


class Networks(NamedTuple):
    """What a family builds: a generator and a discriminator that fit each other, a classifier, or all three."""

    generator: Network | None  # z float [N, L], labels int [N] -> images [N, H, W, C] in [-1, 1]
    discriminator: Network | None  # images [N, H, W, C] in [-1, 1], labels int [N] -> scores [N], or logits [N, K or 1]
    classifier: Network | None  # images [N, H, W, C] in [0, 1] -> outputs [N, K]; it may be D in another role
    scores: str  # D's or the classifier's outputs: "logits" of a softmax, of one "sigmoid" each, or "unbounded"
    latent_size: int | None  # L
    num_classes: int | None  # K; None if neither G nor D takes labels
    spec: ImageSpec  # of the images

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.spec.shape


class Settings(NamedTuple):
    """The part of a run's config that decides its networks; it suffices to load one."""

    family: str  # a key of `FAMILIES`
    generator: Mapping[str, int] | None = None  # the family's settings for G, with `latent_size`
    discriminator: Mapping[str, int] | None = None  # and for D
    classifier: Mapping[str, int] | None = None  # or for the classifier

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """The settings in a config of JSON values. Raises KeyError if it names no family."""
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
      spec: of the images that the networks generate or take.

    Raises:
      UserError: the family or a setting is unknown (the message lists the known ones), the family builds no such
        networks, or it does not support the spec.
    """
    if config.family not in FAMILIES:
        raise UserError(f"unknown network family {config.family!r}: known are {', '.join(FAMILIES)}")
    family = FAMILIES[config.family]
    classifies = getattr(config, "classifier", None) is not None
    if hasattr(family, "Classifier") != classifies:
        kind = "classifiers" if classifies else "generators"
        others = ", ".join(name for name, other in FAMILIES.items() if hasattr(other, "Classifier") == classifies)
        raise UserError(f"family {config.family} builds no {kind}: choose a family that does ({others})")
    family.SUPPORTS.check(config.family, spec)
    return _build(family, config, spec)


def _build(family, config: Any, spec: ImageSpec) -> Networks:
    images, num_classes = _one(*spec.shape), spec.num_classes
    if hasattr(family, "Classifier"):
        classifier = _network(family.Classifier, config.classifier, spec, num_classes, images, None)
        return Networks(None, None, classifier, family.SCORES, None, num_classes, spec)
    if not family.CONDITIONAL:
        num_classes = None
    labels = None if num_classes is None else jax.ShapeDtypeStruct((1,), jnp.int32)
    latent_size = config.generator.get("latent_size")
    if not isinstance(latent_size, int) or latent_size < 1:
        found = checks.shown(latent_size)
        raise UserError(f"generator.latent_size is {found}: it must be a whole number of at least 1")
    settings = {k: v for k, v in config.generator.items() if k != "latent_size"}
    generator = _network(family.Generator, settings, spec, num_classes, _one(latent_size), labels)
    discriminator = _network(family.Discriminator, config.discriminator, spec, num_classes, images, labels)
    if not getattr(family, "PIECEWISE_LINEAR", False):
        discriminator = discriminator._replace(scaled=None)
    classifier = _as_classifier(discriminator) if family.CLASSIFIES else None
    return Networks(generator, discriminator, classifier, family.SCORES, latent_size, num_classes, spec)


def _one(*shape: int) -> jax.ShapeDtypeStruct:
    """One input of this shape, of which nothing is allocated yet."""
    return jax.ShapeDtypeStruct((1, *shape), jnp.float32)


def _network(
    kind, settings: Mapping[str, int], spec: ImageSpec, num_classes: int | None, x: jax.ShapeDtypeStruct, labels
) -> Network:
    where = f"{kind.__module__}.{kind.__name__}"
    try:
        shape = {"shape": spec.shape} if "shape" in kind.__annotations__ else {}
        module = kind(num_classes=num_classes, **shape, **settings)
    except (TypeError, ValueError) as error:  # such as of "parent", which every module of Linen has
        raise UserError(f"the settings {dict(settings)} do not fit {where}: {error}") from None

    def init(key: jax.Array) -> Weights:
        zeros = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), (x, labels))
        variables = module.init(key, *zeros, False)
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
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"these settings make no {where}: {str(error).splitlines()[0]}") from None
    return Network(init, apply, train, features, scaled)


def _as_classifier(discriminator: Network) -> Network:
    """D as a classifier of images in [0, 1], for a family whose D scores every class."""

    def apply(weights: Weights, images: jax.Array, labels: None = None) -> jax.Array:
        return discriminator.apply(weights, unit_to_signed(images))

    def train(weights: Weights, key: jax.Array, images: jax.Array, labels: None = None):
        return discriminator.train(weights, key, unit_to_signed(images))

    def features(weights: Weights, images: jax.Array, labels: None = None) -> jax.Array:
        return discriminator.features(weights, unit_to_signed(images))

    return Network(discriminator.init, apply, train, features, None)
