"""From a checkpoint to images: `load`, `sample`, and the callables they hand out. Pixels here are in [0, 1]."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import models, parallel, pixels, rng
from cganjax.data import known
from cganjax.spec import ImageSpec
from cganjax.types import CheckpointError, Params, UserError, Weights

# Sizes that are compiled for: a call is padded to the next one, a longer call is worked in pieces of the last.
# One above 1 on a CPU: XLA rounds other batches otherwise there, and image i should be image i to the bit. No larger
# one: intermediate results of many images are mapped and unmapped at each call, and two halves keep two cores busy.
CHUNKS = (1, 32)
CHUNKS_OF_ACCELERATORS = (1, 64, 256, 1024)  # which larger pieces keep busy
_THREEFRY = "threefry2x32"


@dataclasses.dataclass(frozen=True, eq=False)
class _Loaded:
    """What every network from a checkpoint has."""

    weights: Weights = dataclasses.field(repr=False)
    num_classes: int | None  # K; None if the networks take and give no classes
    spec: ImageSpec  # of the images
    card: Mapping[str, Any] = dataclasses.field(repr=False)
    apply: Callable[..., jax.Array] = dataclasses.field(repr=False)  # (weights, inputs in its own range) -> outputs

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.spec.shape

    @property
    def params(self) -> Params:
        """The trained arrays, a nested dict."""
        return self.weights.params

    def _check_images(self, images: Any) -> jax.Array:
        images = jnp.asarray(images, jnp.float32)
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise ValueError(f"images have shape {images.shape}: expected [N, {', '.join(map(str, self.image_shape))}]")
        return images


@dataclasses.dataclass(frozen=True, eq=False)
class Generator(_Loaded):
    """A trained generator as a pure function; make one with `cganjax.load`."""

    latent_size: int  # L

    def __call__(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Latents float [N, L] ~ N(0, I) and labels int [N] -> images float32 [N, H, W, C] in [0, 1], ink = 1.

        Raises:
          ValueError: z of another shape, or a concrete label outside 0..K-1.
          TypeError: labels that are not integers, or labels for an unconditional generator.
        """
        z = self._check_latents(z)
        if self.num_classes is None:
            if labels is not None:
                raise TypeError("labels were given to an unconditional generator: call it with z alone")
            return _generate_in_chunks(self, z)
        if labels is None:
            raise TypeError("labels are missing: this generator is conditional")
        labels = check_labels(labels, self.num_classes)
        if len(labels) != len(z):
            raise ValueError(f"{len(z)} latents and {len(labels)} labels were given: expected as many of each")
        return _generate_in_chunks(self, z, labels)

    def between(self, z: jax.Array, weights: jax.Array) -> jax.Array:
        """Images between classes: latents float [N, L] and weights of the classes float [N, K] -> as a call.

        The network is told the weighted mean of what it is told of each class, weights of a row having the sum 1; a row
        with a single 1 is that class. A mixture is no class that it was trained on: what it draws need be no digit.

        Raises:
          ValueError: z or weights of another shape, or a concrete row of weights with another sum.
          TypeError: an unconditional generator.
        """
        z, weights = self._check_latents(z), jnp.asarray(weights, jnp.float32)
        if self.num_classes is None:
            raise TypeError("an unconditional generator has nothing between classes: call it with z alone")
        if weights.shape != (len(z), self.num_classes):
            raise ValueError(f"weights have shape {weights.shape}: expected [{len(z)}, {self.num_classes}]")
        if not isinstance(weights, jax.core.Tracer):
            sums = np.asarray(weights).sum(axis=1)
            if (wrong := np.flatnonzero(~(np.abs(sums - 1) < 1e-3))).size:
                raise ValueError(f"weights of row {wrong[0]} have the sum {sums[wrong[0]]:g}: expected 1")
        return _generate_in_chunks(self, z, weights)

    def _check_latents(self, z: Any) -> jax.Array:
        z = jnp.asarray(z, jnp.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise ValueError(f"z has shape {z.shape}: expected [N, {self.latent_size}]")
        return z


@dataclasses.dataclass(frozen=True, eq=False)
class Discriminator(_Loaded):
    """A trained discriminator as a pure function; make one with `cganjax.load_discriminator`."""

    scores: str  # "unbounded" (larger is more real), or "probabilities": outputs are in [0, 1], 1 for real
    needs_labels: bool

    def __call__(self, images: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Images float [N, H, W, C] in [0, 1], and labels int [N] where it is told them -> D's output.

        Returns:
          float32 [N] for the flagship; of a sigmoid discriminator [N, K], one a class, or [N, 1].

        Raises:
          ValueError: images of another shape, or a concrete label outside 0..K-1.
          TypeError: labels that are missing or not integers, or labels for an unconditional discriminator.
        """
        images = self._check_images(images)
        if labels is None:
            if self.needs_labels:
                raise TypeError("labels are missing: this discriminator is told the label of each image")
            return _judge(self.apply, self.scores, self.weights, images)
        if self.num_classes is None:
            raise TypeError("labels were given to an unconditional discriminator: call it with images alone")
        labels = check_labels(labels, self.num_classes)
        if len(labels) != len(images):
            raise ValueError(f"{len(images)} images and {len(labels)} labels were given: expected as many of each")
        return _judge(self.apply, self.scores, self.weights, images, labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier(_Loaded):
    """A trained classifier as a pure function; make one with `cganjax.load_classifier`.

    Gradients of `lenet5` are by hand, for reverse mode: `jax.grad` and `jax.vjp`, also twice, not `jax.jvp`.
    """

    scores: str  # what its numbers are: "logits" of a softmax, or "sigmoid": logits of one sigmoid a class
    apply_features: Callable[..., jax.Array] = dataclasses.field(repr=False)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images float [N, H, W, C] in [0, 1], ink = 1 -> float32 [N, K], see `scores`; before softmax or sigmoid.

        Raises:
          ValueError: images of another shape.
        """
        return _classify(self.apply, self.weights, self._check_images(images))

    def features(self, images: jax.Array) -> jax.Array:
        """The same images -> float32 [N, D], the activations that its last layer sees."""
        return _classify(self.apply_features, self.weights, self._check_images(images))


def _generate_in_chunks(generator: Generator, *inputs) -> jax.Array:
    """One piece under a transformation and up to the largest chunk, as many pieces as it takes otherwise."""
    count, size = len(inputs[0]), _chunks()[-1]
    if count <= size or any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((generator.weights, inputs))):
        return _generate(generator.apply, generator.weights, *inputs)

    def piece(start: int) -> jax.Array:
        return _generate(generator.apply, generator.weights, *_take(size, np.int32(start), *inputs))

    return _join(piece, count, size, generator.image_shape)


@functools.partial(jax.jit, static_argnums=0)
def _generate(apply, weights, *inputs):
    return pixels.signed_to_unit(apply(weights, *inputs))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _judge(apply, scores, weights, images, *labels):
    outputs = apply(weights, pixels.unit_to_signed(images), *labels)
    return jax.nn.sigmoid(outputs) if scores == "probabilities" else outputs


@functools.partial(jax.jit, static_argnums=0)
def _classify(apply, weights, images):
    return apply(weights, images)


# --- loading ----------------------------------------------------------------------------------------------------------


def load(checkpoint: str | os.PathLike = "mnist") -> Generator:
    """Load a generator.

    Args:
      checkpoint: a shipped name ("mnist"; see `cganjax.checkpoints()`), a run folder (its newest checkpoint, or its
        best where it keeps that) or one checkpoint folder.

    Raises:
      FileNotFoundError: there is no such name or folder; the known names are listed.
      CheckpointError: the checkpoint is damaged, foreign, or holds no generator.
    """
    return _role(checkpoint, "generator")


def load_discriminator(checkpoint: str | os.PathLike) -> Discriminator:
    """Load the discriminator of a run folder, or of a shipped checkpoint that has one. Errors as `load`."""
    return _role(checkpoint, "discriminator")


def load_classifier(checkpoint: str | os.PathLike) -> Classifier:
    """Load a classifier: of a checkpoint that is one ("lenet5"), or whose discriminator serves as one ("label-score").

    Raises:
      FileNotFoundError: there is no such name or folder; the known names are listed.
      CheckpointError: the checkpoint is damaged, foreign, or holds no classifier; those that have one are named.
    """
    return _role(checkpoint, "classifier")


def _role(checkpoint: str | os.PathLike, role: str):
    folder = ckpt.find(checkpoint)
    # The stamp lets a run that went on, or a checkpoint that was replaced, be read anew.
    return _read(folder, role, ckpt.stamp(folder))


@functools.lru_cache(maxsize=8)
def _read(folder: Path, role: str, stamp: tuple):
    del stamp
    card, parts = _read_shipped(folder) if (folder / ckpt.CARD).exists() else read_run(folder)
    if role not in card["roles"]:
        have = [name for name, other in ckpt.checkpoints().items() if role in other["roles"]]
        raise CheckpointError(f"{folder} holds no {role}: one is in {', '.join(have) or 'run folders of yours'}")
    try:
        networks = models.build(models.Settings.of(card["config"]), known.recorded(card["data"]))
    except (TypeError, KeyError, UserError) as error:
        raise CheckpointError(f"{folder} was made for networks that this version does not know: {error}") from None
    network = getattr(networks, role)
    # Where D serves as the classifier, the weights are D's.
    weights = parts.get(role, parts.get("discriminator"))
    expected = jax.eval_shape(network.init, jax.random.key(0))
    if weights is None or jax.tree.map(_kind, weights) != jax.tree.map(_kind, expected):
        raise CheckpointError(f"{folder} holds arrays that are not those of its networks")
    # Outside of any trace: a cached tracer would outlive its transformation. Only here: what else is traced above would
    # be computed at once, in tens of small programs that each are compiled first.
    with jax.ensure_compile_time_eval():
        weights = jax.device_put(weights)
    common = (weights, networks.num_classes, networks.spec, card, network.apply)
    if role == "generator":
        return Generator(*common, networks.latent_size)
    if role == "classifier":
        return Classifier(*common, networks.scores, network.features)
    needs_labels = networks.num_classes is not None and networks.classifier is None
    return Discriminator(*common, "probabilities" if networks.scores == "sigmoid" else networks.scores, needs_labels)


def _kind(array) -> tuple:
    return array.shape, array.dtype


def _read_shipped(folder: Path) -> tuple[dict[str, Any], dict[str, Weights]]:
    card = ckpt.read_card(folder)
    return card, ckpt.read_weights(folder, card)


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Weights]]:
    """Read a run folder (its newest checkpoint, or its best where it keeps that), or `RUN/checkpoints/STEP`."""
    from cganjax.training import algorithms
    from cganjax.training import (
        config as cfg,  # it brings optax, which sampling from a shipped checkpoint does not need
    )

    at_step = folder.name.isdigit() and folder.parent.name == ckpt.STATES
    run, at = (folder.parent.parent, int(folder.name)) if at_step else (folder, None)
    if not (run / ckpt.CONFIG).exists():
        raise CheckpointError(f"{folder} is no checkpoint: it holds neither {ckpt.CARD} nor {ckpt.CONFIG}")
    values, manifest = ckpt.read_run(run)
    try:
        config = cfg.from_json(values)
        networks = models.build(config, known.recorded(manifest["data"]))
        like = jax.eval_shape(algorithms.build(config, networks).init, jax.random.key(0))
    except (TypeError, KeyError, UserError) as error:
        raise CheckpointError(f"{run / ckpt.CONFIG} is no run of this version: {error}") from None
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), like)
    states = ckpt.RunStates(run)
    try:
        state = states.restore(like, at or (states.best() if config.keep_best else None))
    finally:
        states.close()
    step, parts = int(state.step), state.weights()
    roles = [role for role in ("generator", "discriminator", "classifier") if getattr(networks, role)]
    return card_of_run(run.name, values, manifest, roles, step, metrics_at(run, step)), parts


def card_of_run(name, config, manifest, roles, steps, metrics) -> dict[str, Any]:
    """What a card says of a run: where it came from and what was observed at its end."""
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
    """What a run's `metrics.jsonl` last said up to a step, or {}."""
    rows = [row for row in ckpt.read_metrics(run / ckpt.METRICS) if row["step"] <= step]
    return {k: v for row in rows if row["step"] == rows[-1]["step"] for k, v in row.items()}


# --- sampling ---------------------------------------------------------------------------------------------------------


def sample(
    key: jax.Array,
    labels: Any = None,
    *,
    n: int | None = None,
    checkpoint: str | os.PathLike = "mnist",
    truncation: float | jax.Array = 1.0,
) -> jax.Array:
    """Draw images of the classes asked for.

    Image i depends on (key, i, label i) alone: its latent comes from `fold_in(key, i)`. Works under `jit`, `vmap` and
    `grad` in one piece; outside of them any number of labels is worked in chunks of bounded memory.

    Args:
      key: a typed key, or a legacy uint32 key.
      labels: integers 0..K-1 as any array-like of shape [N], or one integer (N = 1).
      n: the number of images of an unconditional checkpoint, in place of labels.
      checkpoint: see `load`.
      truncation: in (0, 1]; latents are scaled by it towards 0, their mean for each class: below 1 images are more
        typical and less varied.

    Returns:
      float32 [N, H, W, C] in [0, 1], ink = 1.

    Raises:
      ValueError: a label outside 0..K-1 (named with its position), labels of more dimensions, truncation out of range.
      TypeError: labels or n that are not integers, labels given to an unconditional checkpoint, or n to a conditional.
      FileNotFoundError, CheckpointError: see `load`.

    >>> import jax, cganjax
    >>> cganjax.sample(jax.random.key(0), [3, 1, 4]).shape
    (3, 28, 28, 1)
    """
    return sample_from(load(checkpoint), key, labels, n=n, truncation=truncation)


def sample_from(generator: Generator, key, labels=None, *, n=None, truncation=1.0) -> jax.Array:
    """`sample` for a generator at hand."""
    key = _typed_key(key)
    _check_truncation(truncation)
    if generator.num_classes is None:
        if labels is not None:
            raise TypeError("labels were given to an unconditional checkpoint: give n=, the number of images")
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"n is {n!r}: an unconditional checkpoint takes n=, a number of images")
        if n < 0:
            raise ValueError(f"n is {n}: expected a number of images, 0 or more")
        count = int(n)
    else:
        if n is not None:
            raise TypeError(f"n={n!r} was given to a conditional checkpoint: give labels, one for each image")
        if labels is None:
            raise TypeError("labels are missing: give integers, one for each image")
        labels = check_labels(labels, generator.num_classes)
        count = len(labels)
    if count == 0:
        return jnp.zeros((0, *generator.image_shape), jnp.float32)
    if any(isinstance(value, jax.core.Tracer) for value in (key, labels, truncation)):
        return _draw(generator, key, labels, 0, count, truncation)
    return _in_chunks(generator, key, labels, count, truncation)


def _draw(generator: Generator, key, labels, start, count: int, truncation) -> jax.Array:
    inputs = () if generator.num_classes is None else (labels,)
    return _sample(generator.apply, generator.latent_size, count, generator.weights, key, start, truncation, *inputs)


def latents(key: jax.Array, n: int, latent_size: int, start: int | jax.Array = 0) -> jax.Array:
    """The latents of images start..start+n-1 that `sample` draws from a key: float32 [n, latent_size] ~ N(0, I).

    Image i of `sample(key, labels)` is `generator(latents(key, n, generator.latent_size), labels)[i]`, to rounding,
    whatever n is.
    """
    return jax.vmap(lambda k: jax.random.normal(k, (latent_size,), jnp.float32))(rng.items(_typed_key(key), n, start))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sample(apply, latent_size, count, weights, key, start, truncation, *labels):
    z = latents(key, count, latent_size, start)  # [count, L]
    return pixels.signed_to_unit(apply(weights, z * jnp.asarray(truncation, jnp.float32), *labels))


def _in_chunks(generator: Generator, key, labels, count: int, truncation) -> jax.Array:
    chunks = _chunks()
    size = next((c for c in chunks if c >= count), chunks[-1])
    labels = None if labels is None else np.asarray(labels)

    def piece(start: int) -> jax.Array:
        part = None if labels is None else np.zeros(size, np.int32)
        if part is not None:
            rest = labels[start : start + size]
            part[: len(rest)] = rest
        return _draw(generator, key, part, np.int32(start), size, np.float32(truncation))

    if count <= size:
        images = piece(0)
        return images if count == size else images[:count]  # also a slice of everything is a program of its own
    return _join(piece, count, size, generator.image_shape)


def _chunks() -> tuple[int, ...]:
    return CHUNKS if jax.default_backend() == "cpu" else CHUNKS_OF_ACCELERATORS


def _join(piece: Callable[[int], jax.Array], count: int, size: int, shape: tuple[int, ...]) -> jax.Array:
    """`piece(start)` are images start..start+size-1: all of `count`, at least `size`, of them."""
    # Pieces are written into one buffer in place; the last begins early, so that it is a whole one too.
    images = jnp.zeros((count, *shape), jnp.float32)
    starts = (*range(0, count - size, size), count - size)
    for start, made in zip(starts, parallel.in_turn(piece, starts), strict=True):
        images = _write(images, made, np.int32(start))
    return images


@functools.partial(jax.jit, static_argnums=0)
def _take(size, start, *arrays):
    return [jax.lax.dynamic_slice_in_dim(array, start, size) for array in arrays]


@functools.partial(jax.jit, donate_argnums=0)
def _write(images, piece, start):
    return jax.lax.dynamic_update_slice_in_dim(images, piece, start, axis=0)


# --- checks -----------------------------------------------------------------------------------------------------------


def check_labels(labels: Any, num_classes: int) -> jax.Array | np.ndarray:
    """Labels as int32 [N]. Values are checked where they are concrete.

    Raises:
      TypeError: they are not integers. ValueError: one is outside 0..num_classes-1, or there are two dimensions.
    """
    labels = _as_array(labels)
    if labels.ndim > 1:
        raise ValueError(f"labels have shape {labels.shape}: expected [N] or a single integer")
    if labels.size == 0:
        return np.zeros(0, np.int32)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}: expected integers in 0..{num_classes - 1}")
    labels = labels.reshape(-1)
    if isinstance(labels, jax.core.Tracer):
        return labels.astype(jnp.int32)
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        at = int(wrong[0])
        raise ValueError(f"label {int(labels[at])} at position {at} is outside 0..{num_classes - 1}")
    return labels.astype(np.int32)


def _as_array(labels: Any) -> jax.Array | np.ndarray:
    if isinstance(labels, jax.core.Tracer):
        return labels
    if isinstance(labels, (list, tuple)) and any(isinstance(x, jax.core.Tracer) for x in labels):
        return jnp.stack(labels)
    try:
        array = np.asarray(labels)
    except ValueError:
        raise ValueError("labels are ragged: expected integers of shape [N]") from None
    if array.dtype == object and array.size and all(isinstance(x, int) for x in array.ravel()):
        # Python integers in an object array; one beyond int64 is no label of any model.
        return np.clip(array, -(2**63), 2**63 - 1).astype(np.int64)
    return array


def _typed_key(key: Any) -> jax.Array:
    """A typed threefry key.

    A batched draw from an `rbg` key would make image i depend on its neighbours, so of such a key the first half is
    taken, which is a threefry key of the same seed.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.ndim == 0:
        if str(jax.random.key_impl(key)) == _THREEFRY:
            return key
        key = jax.random.key_data(key)
        dtype = key.dtype
    if dtype is not None and dtype == np.uint32 and key.shape in ((2,), (4,)):
        return jax.random.wrap_key_data(jnp.asarray(key)[:2], impl=_THREEFRY)
    raise TypeError(f"key is {type(key).__name__} {getattr(key, 'shape', '')}: expected one jax.random.key(seed)")


def _check_truncation(truncation: Any) -> None:
    if not isinstance(truncation, (int, float, np.number, np.ndarray, jax.Array)) or isinstance(truncation, bool):
        raise TypeError(f"truncation is {truncation!r}: expected a number in (0, 1]")
    if np.shape(truncation) != ():
        raise ValueError(f"truncation has shape {np.shape(truncation)}: expected one number in (0, 1]")
    if not jnp.issubdtype(jnp.result_type(truncation), jnp.number):
        raise TypeError(f"truncation is {truncation!r}: expected a number in (0, 1]")
    if not isinstance(truncation, jax.core.Tracer) and not 0 < float(truncation) <= 1:
        raise ValueError(f"truncation is {truncation}: expected a number in (0, 1]")
