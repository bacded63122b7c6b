"""Network families: `build(family, ...)` turns settings into pure (init, apply) pairs.

Linen stays inside this room. A family is one file that offers `Generator` and `Discriminator` modules; its line in
`FAMILIES` is all that the rest of the project knows of it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cganjax.models import depth_to_space
from cganjax.types import Params, UserError


class Network(NamedTuple):
    """A pure pair; nothing is hidden in it."""

    init: Callable[[jax.Array], Params]  # key -> params
    apply: Callable[..., jax.Array]  # (params, z or images, labels) -> images or scores


class Networks(NamedTuple):
    """A generator and a discriminator that fit each other."""

    generator: Network  # apply(params, z float [N, L], labels int [N]) -> images [N, H, W, C] in [-1, 1]
    discriminator: Network  # apply(params, images [N, H, W, C] in [-1, 1], labels int [N]) -> scores [N]
    latent_size: int  # L
    num_classes: int  # K
    image_shape: tuple[int, int, int]  # (H, W, C)


FAMILIES = {"depth_to_space": depth_to_space}


def build(family: str, generator: Mapping[str, int], discriminator: Mapping[str, int], num_classes: int) -> Networks:
    """Build a family's networks.

    Args:
      family: a key of `FAMILIES`.
      generator: `latent_size` and the fields of the family's `Generator`.
      discriminator: the fields of the family's `Discriminator`.
      num_classes: K, the number of labels.

    Raises:
      UserError: for an unknown family or setting; the known ones are named.
    """
    if family not in FAMILIES:
        raise UserError(f"unknown network family {family!r}: known are {', '.join(FAMILIES)}")
    room = FAMILIES[family]
    g_settings = {k: v for k, v in generator.items() if k != "latent_size"}
    g_module = _module(room.Generator, g_settings, num_classes)
    d_module = _module(room.Discriminator, discriminator, num_classes)
    latent_size, image_shape = generator["latent_size"], room.IMAGE_SHAPE
    z, images = jnp.zeros((1, latent_size)), jnp.zeros((1, *image_shape))
    labels = jnp.zeros(1, jnp.int32)
    networks = Networks(
        Network(lambda key: g_module.init(key, z, labels)["params"], lambda p, *a: g_module.apply({"params": p}, *a)),
        Network(lambda key: d_module.init(key, images, labels)["params"],
                lambda p, *a: d_module.apply({"params": p}, *a)),
        latent_size,
        num_classes,
        image_shape,
    )  # fmt: skip
    for network in (networks.generator, networks.discriminator):
        try:
            jax.eval_shape(network.init, jax.random.key(0))
        except (TypeError, ValueError) as error:
            raise UserError(f"these settings make no {family} networks: {str(error).splitlines()[0]}") from None
    return networks


def _module(kind, settings: Mapping[str, int], num_classes: int):
    try:
        return kind(num_classes=num_classes, **settings)
    except TypeError as error:
        raise UserError(
            f"the settings {dict(settings)} do not fit {kind.__module__}.{kind.__name__}: {error}"
        ) from None
