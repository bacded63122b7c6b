"""`Generator`, `Discriminator` and `Classifier`: networks from a checkpoint as pure functions of images in [0, 1]."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from cganjax import checks, parallel, pixels
from cganjax.sampling import chunks
from cganjax.spec import ImageSpec
from cganjax.types import BadArgument, BadType, Params, Weights


@dataclasses.dataclass(frozen=True, eq=False)
class _Loaded:
    """What every network from a checkpoint has."""

    weights: Weights = dataclasses.field(repr=False)
    num_classes: int | None  # K; None if the networks take and give no classes
    spec: ImageSpec  # of the images: their shape, the names of the classes, light on dark or dark on light
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

    # What lies on the host stays there, because a chunk of it is cut without a program of its own.
    def _check_images(self, images: Any) -> np.ndarray | jax.Array:
        return pixels.check_unit(images, self.image_shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Generator(_Loaded):
    """A trained generator as a pure function. `cganjax.load` makes one.

    `spec` says what its images are: their shape, whether drawings are light on dark (ink = 1) or dark on light, and the
    names of the classes that labels refer to.

    >>> import jax, cganjax
    >>> generator = cganjax.load("mnist")
    >>> z = jax.random.normal(jax.random.key(0), (2, generator.latent_size))
    >>> generator(z, [7, 7]).shape
    (2, 28, 28, 1)
    """

    latent_size: int  # L

    def __call__(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Generate one image per latent.

        Args:
          z: latents float [N, L] ~ N(0, I).
          labels: integers 0..K-1 of shape [N], the classes; None for an unconditional generator.

        Returns:
          float32 [N, H, W, C] in [0, 1].

        Raises:
          ValueError: z has another shape, is NaN or infinite, or a label is outside 0..K-1.
          TypeError: z that are no real numbers, labels that are missing or not integers, or labels for an unconditional
            generator.
        """
        z = self._check_latents(z)
        if self.num_classes is None:
            if labels is not None:
                raise BadType("labels were given to an unconditional generator: call it with z alone")
            return self._images(z)
        if labels is None:
            raise BadType(f"labels are missing: give an integer from 0 to {self.num_classes - 1} for each latent")
        labels = checks.labels(labels, self.num_classes)
        checks.paired(z, labels, "latents")
        return self._images(z, labels)

    def between(self, z: jax.Array, weights: jax.Array) -> jax.Array:
        """Generate images between classes.

        The network is given the weighted mean of what it is given for each class. It was not trained on such mixtures,
        so an image between two classes may show neither.

        Args:
          z: latents float [N, L] ~ N(0, I).
          weights: of the classes, float [N, K]; the sum of each row is 1. A row with a single 1 is that class.

        Returns:
          float32 [N, H, W, C] in [0, 1].

        Raises:
          ValueError: z or weights have another shape, are NaN or infinite, or the sum of a row is not 1.
          TypeError: the generator is unconditional, or z or weights are no real numbers.
        """
        z, weights = self._check_latents(z), checks.reals("weights", weights, "the weights of the classes [N, K]")
        if self.num_classes is None:
            raise BadType("an unconditional generator has no classes to mix: call it with z alone")
        if weights.shape != (z.shape[0], self.num_classes):
            raise BadArgument(f"weights have shape {weights.shape}: expected [{z.shape[0]}, {self.num_classes}]")
        if not isinstance(weights, jax.core.Tracer):
            sums = np.asarray(weights).sum(axis=1)
            if (wrong := np.flatnonzero(~(np.abs(sums - 1) < 1e-3))).size:
                raise BadArgument(f"weights[{wrong[0]}] sums to {sums[wrong[0]]:g}: expected 1")
        return self._images(z, weights)

    def _images(self, *inputs: Any) -> jax.Array:
        return _of_rows(functools.partial(_generate, self.apply), self.weights, *inputs)

    def _check_latents(self, z: Any) -> np.ndarray | jax.Array:
        z = checks.reals("z", z, f"latents [N, {self.latent_size}]")
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise BadArgument(f"z has shape {z.shape}: expected [N, {self.latent_size}]")
        return z


@dataclasses.dataclass(frozen=True, eq=False)
class Discriminator(_Loaded):
    """A trained discriminator as a pure function. `cganjax.load_discriminator` makes one.

    >>> import jax, cganjax
    >>> discriminator = cganjax.load_discriminator("label-score")
    >>> discriminator.scores, discriminator.needs_labels
    ('probabilities', False)
    >>> outputs = discriminator(cganjax.sample(jax.random.key(0), [3, 1]))
    >>> outputs.shape, bool((outputs >= 0).all() and (outputs <= 1).all())
    ((2, 10), True)
    """

    scores: str  # "unbounded" (larger is more real), or "probabilities": outputs are in [0, 1], 1 for real
    needs_labels: bool

    def __call__(self, images: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """The discriminator's output for each image.

        Args:
          images: floats [N, H, W, C] in [0, 1], of the polarity that `spec` says. Under a transformation of JAX only
            their shape and dtype are checked.
          labels: integers 0..K-1 of shape [N] if it needs them (`needs_labels`).

        Returns:
          float32 [N] for the flagship; [N, K] or [N, 1] for a discriminator with sigmoid outputs.

        Raises:
          ValueError: images are none or have another shape, are no floats (uint8, for instance), are NaN or outside
            [0, 1]; or a label is outside 0..K-1.
          TypeError: labels that are missing or not integers, or labels for an unconditional discriminator.
        """
        images = self._check_images(images)
        if labels is None:
            if self.needs_labels:
                raise BadType("labels are missing: this discriminator needs the label of each image")
            return self._outputs(images)
        if self.num_classes is None:
            raise BadType("labels were given to an unconditional discriminator: call it with images alone")
        labels = checks.labels(labels, self.num_classes)
        checks.paired(images, labels, "images")
        return self._outputs(images, labels)

    def _outputs(self, *inputs: Any) -> jax.Array:
        return _of_rows(functools.partial(_discriminate, self.apply, self.scores), self.weights, *inputs)


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier(_Loaded):
    """A trained classifier as a pure function. `cganjax.load_classifier` makes one.

    `lenet5` defines its own gradient, for reverse mode only: `jax.grad` and `jax.vjp` work (also twice), `jax.jvp` does
    not.

    >>> import jax, cganjax
    >>> classifier = cganjax.load_classifier("lenet5")
    >>> images = cganjax.sample(jax.random.key(0), [3, 1])
    >>> classifier.scores, classifier(images).shape, classifier.features(images).shape
    ('logits', (2, 10), (2, 84))
    """

    scores: str  # what its outputs are: "logits" of a softmax, or "sigmoid": logits of one sigmoid per class
    apply_features: Callable[..., jax.Array] = dataclasses.field(repr=False)

    def __call__(self, images: jax.Array) -> jax.Array:
        """The outputs for each class, before softmax or sigmoid (see `scores`).

        Args:
          images: floats [N, H, W, C] in [0, 1], of the polarity that `spec` says. Under a transformation of JAX only
            their shape and dtype are checked.

        Returns:
          float32 [N, K].

        Raises:
          ValueError: images are none or have another shape, are no floats (uint8, for instance), are NaN or outside
            [0, 1].
        """
        return self._of_images(self.apply, images)

    def features(self, images: jax.Array) -> jax.Array:
        """The activations that enter the last layer, for the same images: float32 [N, D]."""
        return self._of_images(self.apply_features, images)

    def _of_images(self, apply: Callable, images: Any) -> jax.Array:
        return _of_rows(functools.partial(_classify, apply), self.weights, self._check_images(images))


def _of_rows(call: Callable, weights: Weights, *inputs: Any) -> jax.Array:
    """`call(weights, *inputs)`, all at once if the weights are traced and in chunks otherwise."""
    if parallel.is_traced(weights):
        return call(weights, *inputs)
    return chunks.in_chunks(lambda rows: call(weights, *rows), inputs)


@functools.partial(jax.jit, static_argnums=0)
def _generate(apply, weights, *inputs):
    return pixels.signed_to_unit(apply(weights, *inputs))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _discriminate(apply, scores, weights, images, *labels):
    outputs = apply(weights, pixels.unit_to_signed(images), *labels)
    return jax.nn.sigmoid(outputs) if scores == "probabilities" else outputs


@functools.partial(jax.jit, static_argnums=0)
def _classify(apply, weights, images):
    return apply(weights, images)
