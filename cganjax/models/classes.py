"""How a class enters a network: as labels int [N], or as weights of the classes, float [N, K], to mix classes."""

import jax
import jax.numpy as jnp


def one_hot(labels: jax.Array, num_classes: int, dtype) -> jax.Array:
    """Labels int [N] -> [N, K]; weights of the classes [N, K] are returned unchanged."""
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return labels.astype(dtype)
    return jax.nn.one_hot(labels, num_classes, dtype=dtype)


def embedded(embed, labels: jax.Array) -> jax.Array:
    """Labels int [N] -> their rows of a Linen `Embed`; weights [N, K] -> weighted sums of its rows: [N, features]."""
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return labels.astype(embed.embedding.dtype) @ embed.embedding
    return embed(labels)
