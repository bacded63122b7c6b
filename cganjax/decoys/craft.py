"""`decoy`: attack images so that classifiers become unsure of them, and judge what came out.

What is asked for is checked here and handed on: attacks/batches.py applies the method and lays its images back inside
their bounds, judging.py judges them again, doubts.py says what looks wrong.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import pixels, rng
from cganjax import scores as scores_of
from cganjax.decoys import attacks, judging
from cganjax.decoys.attacks import batches, objectives
from cganjax.decoys.attacks.batches import Batch
from cganjax.decoys.attacks.norms import NORMS, Bounds
from cganjax.decoys.detectors import Detector
from cganjax.decoys.doubts import DOUBTS, Doubt, doubtful
from cganjax.decoys.judging import Judge, Seen

TRANSFER = "ensemble"  # the method for a list of classifiers
KEEP = 10.0  # weight of the term that holds the arg max
INK = 0.1  # a pixel above it has ink
BISECTIONS = 8  # of `minimal`: the smallest epsilon is known to a part in 256 of the largest


class DecoyResult(NamedTuple):
    """Decoys and what was seen of them; N images, M classifiers where a list was given."""

    images: np.ndarray  # float32 [N, H, W, C] in [0, 1], within epsilon of the clean images
    confidence: np.ndarray  # float32 [N] or [N, M], the highest confidence after the attack
    clean_confidence: np.ndarray  # and before it
    label_kept: np.ndarray  # bool [N] or [N, M], the arg max is the one before the attack
    rejected: np.ndarray | None  # bool [N], or [N, D] for a list of D detectors; None where none was given
    clean_rejected: np.ndarray | None  # before the attack
    queries: np.ndarray  # int [N], how often a classifier was shown a version of the image, gradients counted once
    epsilon: np.ndarray  # float32 [N], the bound of each; with `minimal` the smallest, NaN where none was enough
    z: np.ndarray | None  # float32 [N, L], the latents where they were moved; the bound is then about their images
    doubts: tuple[str, ...]  # the names of what is doubtful, see docs/doubts.md


def decoy(
    key: jax.Array,
    images: Any,
    classifier: Callable | Sequence[Callable],
    *,
    epsilon: float | np.ndarray,
    method: str = "auto",
    detector: Detector | Sequence[Detector] | None = None,
    scores: str | Sequence[str] | None = None,
    objective: str = "auto",
    norm: str = "linf",
    keep_label: bool = True,
    ink_only: bool = False,
    minimal: bool = False,
    generator: Callable | None = None,
    z: Any = None,
    labels: Any = None,
    chunk: int | None = None,
    **settings: Any,
) -> DecoyResult:
    """Change images within epsilon so that the highest confidence of a classifier collapses.

    Decoy i depends on (key, i, image i) alone.

    Args:
      key: one `jax.random.key`.
      images: float [N, H, W, C] in [0, 1], ink = 1.
      classifier: images -> numbers [N, K], or a list of such, attacked together; pure: the same object, with the same
        arrays in its `.params` where it has them, is the same function. JAX must be able to trace it, unless the
        method works by queries ("coordinate", "spsa", "square"): then any callable on NumPy arrays will do.
      epsilon: the largest change, in the norm; a number, or one an image [N].
      method: a key of `attacks.METHODS`; "auto" is "pgd" for one classifier and `TRANSFER` for a list.
      detector: calibrated, or a list of them: `rejected` is by their thresholds.
      scores: what the numbers are, "logits", "sigmoid" or "probabilities" (for a list one each), where a classifier
        does not say so by its own `.scores`; else "logits".
      objective: what is lowered, a key of `objectives.OBJECTIVES`; "auto" is as in `objectives.AUTO`. Of a classifier
        of sigmoids "uniform" is "softplus", and "margin" is "confidence". "coordinate" takes "auto" alone.
      norm: "linf" or "l2".
      keep_label: hold each classifier's arg max, so that the decoy stays the same digit for any onlooker. "coordinate"
        as it was published held none: it is `keep_label=False`.
      ink_only: change only pixels that have ink (above 0.1).
      minimal: find for each image the smallest epsilon, up to the given one, at which every detector rejects it.
      generator, z, labels: of "latent" and "latent+pixel" alone: images are generator(z [N, L], labels int [N]).
        "latent" adds no pixel noise: its epsilon is 0, and `radius` bounds the latent.
      chunk: images attacked at once; None is what is fast here, see `attacks.batches.at_once`.
      **settings: the method's own, such as `steps`.

    Raises:
      ValueError: images out of [0, 1] or of another shape, epsilon negative or larger than any image, an unknown
        method, objective or norm (the known are listed), generator, z or labels for a method that does not use them or
        of another length, numbers that are not [N, K], not finite, or not what they were said to be.
      TypeError: a classifier that JAX cannot trace with a method of gradients, an uncalibrated detector, an unknown
        setting of the method, labels that are not integers.

    Warns:
      Doubt: see docs/doubts.md; the same names are in `doubts`.

    References:
      "False novelty" is the name of Enevoldsen et al. (arXiv 2311.05006); attacks that make inliers look like outliers
      are in Chen et al. (ALOE, arXiv 2003.09711). Each method cites its own.
    """
    judge = judging.judge(classifier, scores, detector)
    clean = np.asarray(pixels.check_unit(images))
    sizes = _sizes(epsilon, clean, norm)
    name = method if method != "auto" else TRANSFER if judge.several else "pgd"
    line = attacks.check(name, settings)
    if chunk is None:
        chunk = batches.at_once(gradient=line.gradient)
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ValueError(f"chunk is {chunk!r}: expected a whole number of images, at least 1")
    if name == "coordinate" and objective != "auto":
        raise ValueError(f"objective is {objective}: method coordinate lowers the highest confidence, leave it out")
    if minimal and not judge.detectors:
        raise ValueError("minimal was asked for without a detector: give one from cganjax.calibrate")
    if minimal and line.latent:
        raise ValueError(f"minimal finds the smallest epsilon, and method {name} moves latents: take one of pixels")
    before = judge.look(clean)
    latents, classes = _latents(line, name, generator, z, labels, clean, sizes)
    traced = _traceable(judge.classifiers, clean.shape[1:], name, needed=line.gradient)
    goal = objectives.Goal(
        tuple(map(objectives.Held, judge.classifiers)),
        judge.kinds,
        tuple(objectives.choose(objective, kind, several=judge.several) for kind in judge.kinds),
        keep=KEEP if keep_label else 0.0,
    )
    batch = Batch(
        keys=rng.items(key, len(clean)),
        bounds=Bounds(clean, sizes, (clean > INK if ink_only else np.ones_like(clean)).astype(np.float32)),
        labels=before.answers,
        z=latents,
        classes=classes,
        generator=generator if line.latent else None,
    )

    def attack(sizes: np.ndarray) -> attacks.Found:
        there = batch._replace(bounds=batch.bounds._replace(epsilon=sizes))
        one = functools.partial(batches.attack, line, goal, norm, settings, traced)
        return batches.by_parts(one, there, chunk, threads=traced)

    found = attack(sizes)
    if minimal:
        found, sizes = _smallest(attack, found, batch, judge, before)
    after = judge.look(found.images)
    within = np.where(np.isnan(sizes), batch.bounds.epsilon, sizes)
    batch = batch._replace(bounds=batch.bounds._replace(epsilon=within))
    doubts = doubtful(judge, goal, batch, norm, before, after, by_gradient=line.gradient and not line.latent)
    for doubt in doubts:
        warnings.warn(f"{doubt}: {DOUBTS[doubt]} (docs/doubts.md)", Doubt, stacklevel=2)
    return DecoyResult(
        images=found.images,
        confidence=judge.shaped(after.confidence),
        clean_confidence=judge.shaped(before.confidence),
        label_kept=judge.shaped(after.answers == before.answers),
        rejected=judge.verdict(after.rejected),
        clean_rejected=judge.verdict(before.rejected),
        queries=found.queries,
        epsilon=sizes,
        z=found.z,
        doubts=doubts,
    )


# --- the smallest epsilon ---------------------------------------------------------------------------------------------


def _smallest(attack: Callable, found: attacks.Found, batch: Batch, judge: Judge, before: Seen):
    """Bisect each image's epsilon: the decoys of the smallest that was enough, and that, or NaN where none was."""

    def enough(images: np.ndarray) -> np.ndarray:
        return np.all([np.asarray(d.rejects(images)) for d in judge.detectors], axis=0)

    high, low, images, queries = batch.bounds.epsilon.copy(), np.zeros(len(found.images)), found.images, found.queries
    never = ~enough(images)
    for _ in range(BISECTIONS):
        middle = ((low + high) / 2).astype(np.float32)
        tried = attack(middle)
        queries = queries + tried.queries
        fell = enough(tried.images)
        images = np.where(fell[:, None, None, None], tried.images, images)
        high, low = np.where(fell, middle, high), np.where(fell, low, middle)
        never &= ~fell
    strange = before.rejected.all(axis=1)  # without any attack
    images = np.where(strange[:, None, None, None], batch.bounds.clean, images)
    high = np.where(strange, 0.0, np.where(never, np.nan, high)).astype(np.float32)
    return attacks.Found(images, queries, None), high


# --- checks -----------------------------------------------------------------------------------------------------------


def _sizes(epsilon: Any, clean: np.ndarray, norm: str) -> np.ndarray:
    """Epsilon as float32 [N]."""
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}: known are {', '.join(NORMS)}")
    largest = 1.0 if norm == "linf" else float(np.sqrt(clean[0].size))
    sizes = np.asarray(epsilon, np.float32)
    if sizes.shape not in ((), (len(clean),)):
        raise ValueError(f"epsilon has shape {sizes.shape}: expected one number, or {len(clean)}, one an image")
    if not ((sizes >= 0) & (sizes <= largest)).all():
        raise ValueError(f"epsilon is {epsilon}: expected 0 to {largest:g}, in pixels of [0, 1] and norm {norm}")
    return np.broadcast_to(sizes, (len(clean),))


def _traceable(classifiers: Sequence[Callable], shape: tuple[int, ...], method: str, *, needed: bool) -> bool:
    """Whether JAX can trace every classifier; TypeError where it cannot and the method needs it."""
    for m, classifier in enumerate(classifiers):
        error = scores_of.trace_error(classifier, shape)
        if error is not None and not needed:
            return False
        if error is not None:
            reason = (str(error).strip().splitlines() or [""])[0][:120]
            by_queries = ", ".join(name for name, line in attacks.METHODS.items() if not line.gradient)
            raise TypeError(
                f"classifier {m} cannot be traced by JAX ({type(error).__name__}: {reason}), and method {method} needs "
                f"its gradient: take a method of queries, {by_queries}"
            )
    return True


def _latents(line: attacks.Method, method: str, generator, z, labels, clean: np.ndarray, sizes: np.ndarray):
    """Latents and classes of a method that moves latents, or None twice."""
    if not line.latent:
        given = {"generator": generator, "z": z, "labels": labels}
        given = [f"{name}=" for name, value in given.items() if value is not None]
        if given:
            raise ValueError(f"method {method} moves no latent and does not use {', '.join(given)}: leave it out")
        return None, None
    if generator is None or z is None or labels is None:
        raise ValueError(f"method {method} moves latents: give generator=, z= and labels=")
    z, labels = jnp.asarray(z, jnp.float32), jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}: expected integers, the classes that the generator was asked for")
    if z.ndim != 2 or len(z) != len(clean) or labels.shape != (len(clean),):
        raise ValueError(
            f"z has shape {z.shape} and labels {labels.shape}, for {len(clean)} images: expected [N, L] and [N]"
        )
    if method == "latent" and sizes.any():
        raise ValueError("method latent adds no pixel noise: give epsilon=0, or take latent+pixel")
    if np.abs(np.asarray(generator(z, labels)) - clean).max() > 1e-3:
        raise ValueError("the images are not generator(z, labels): give the latents and labels that they came from")
    return z, labels
