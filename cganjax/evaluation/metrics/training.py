"""How metrics train a classifier: one fixed recipe, a small CNN that is chosen by a hold-out of its own training data.

The recipe is a part of what those figures mean: another network, length or augmentation gives other figures.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import models, rng
from cganjax.evaluation.metrics import checks
from cganjax.spec import ImageSpec
from cganjax.training import algorithms, loop
from cganjax.training import config as cfg
from cganjax.types import Batch, UserError

# No augmentation: it would make up for a lack of variety, which is to be seen.
RECIPE = cfg.AugmentedClassification(
    recipe="metrics",
    dataset="given",
    split="all",
    seed=0,
    steps=2000,
    batch_size=128,
    family="cnn",
    classifier={"width_14": 16, "width_7": 32, "hidden": 64},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=100,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=100,
    checkpoint_every=100,
    keep=1,
)
HOLD_OUT = 0.1  # fraction of the images; their loss chooses among the weights after each `epoch_steps`
CHUNK = 500


def refuses(spec: ImageSpec) -> str | None:
    """Why the fixed network cannot be trained on images of a spec, or None if it can."""
    try:
        models.FAMILIES[RECIPE.family].SUPPORTS.check(RECIPE.family, spec)
    except UserError as error:
        return str(error)
    return None


def fit(
    images: np.ndarray, labels: np.ndarray, num_classes: int, *, seed: int, stream: str, recipe=RECIPE
) -> Callable[[np.ndarray], np.ndarray]:
    """Train on images and return the classifier of the lowest loss on their hold-out.

    Args:
      images: uint8 [N, H, W, C], so that real and generated images have the same 256 levels.
      labels: int [N], 0..num_classes-1.
      num_classes: K.
      seed, stream: the hold-out, the first weights and the order of batches derive from them.
      recipe: the settings, those of `RECIPE` unless a test needs a shorter training.

    Returns:
      A function: images uint8 [M, H, W, C] -> predicted classes int [M].

    Raises:
      ValueError: the network does not take images of this shape, or its loss is not finite from the start.
    """
    try:
        networks = models.build(recipe, ImageSpec.numbered(*images.shape[1:], num_classes))
    except UserError as error:
        raise ValueError(str(error)) from None
    order = checks.random(seed, f"{stream} hold-out").permutation(len(images))
    held, kept = np.split(order, [max(1, int(HOLD_OUT * len(order)))])
    key = rng.stream(rng.root(seed), stream)
    trainer, apply = algorithms.build(recipe, networks), networks.classifier.apply

    @jax.jit
    def scores(weights, images, labels):
        logs = jax.nn.log_softmax(apply(weights, images.astype(jnp.float32) / 255.0))
        right = jnp.take_along_axis(logs, labels[:, None], axis=1)[:, 0]
        return logs.argmax(axis=1), -right

    def over_all(weights, images, labels):
        parts = [scores(weights, images[i : i + CHUNK], labels[i : i + CHUNK]) for i in range(0, len(images), CHUNK)]
        return tuple(np.concatenate([np.asarray(p[j]) for p in parts]) for j in (0, 1))

    best, chosen = np.inf, None

    def choose(done: int, state) -> None:
        nonlocal best, chosen
        loss = float(over_all(state.classifier, images[held], labels[held])[1].mean())
        if loss < best or chosen is None:
            best, chosen = loss, jax.tree.map(jnp.copy, state.classifier)  # the next step takes over the state's memory

    try:
        loop.run(
            jax.jit(trainer.step, donate_argnums=1),
            key,
            trainer.init(key),
            _batches(images[kept], labels[kept], seed, stream, recipe.batch_size),
            until=recipe.steps,
            log_every=recipe.epoch_steps,
            hooks=[loop.Hook(recipe.epoch_steps, choose)],
        )
    except loop.Diverged as error:
        if chosen is None:
            raise ValueError(f"the classifier that this metric trains diverged: {error}") from None
    return lambda images: over_all(chosen, images, np.zeros(len(images), np.int32))[0]


def _batches(images: np.ndarray, labels: np.ndarray, seed: int, stream: str, size: int) -> Iterator[Batch]:
    """An endless stream, each epoch in an order of its own; of fewer images than a batch some come twice."""
    random, labels = checks.random(seed, f"{stream} order"), labels.astype(np.int32)
    rest = np.zeros(0, np.int64)
    while True:
        while len(rest) < size:
            rest = np.concatenate([rest, random.permutation(len(images))])
        rows, rest = rest[:size], rest[size:]
        yield Batch(jnp.asarray(images[rows]), jnp.asarray(labels[rows]))
