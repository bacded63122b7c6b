"""Keys are derived, never chained: seed -> named stream -> step -> item.

A draw depends only on its place, so resuming, reordering or another batch size shifts no later draw.
"""

import zlib

import jax
import jax.numpy as jnp


def root(seed: int) -> jax.Array:
    """The typed key of a run, from its seed in 0..2^32-1 (JAX takes no more bits of it)."""
    return jax.random.key(seed)


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of the stream called `name` below `key`: the same name gives the same stream in every process."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def items(key: jax.Array, n: int, start: int | jax.Array = 0) -> jax.Array:
    """The keys [n] of items start..start+n-1; key i is `fold_in(key, i)`, so item i is the same whatever `n` is."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n, dtype=jnp.int32) + start)
