"""`decoy`: attack images so that classifiers become unsure of them, and measure the result.

The arguments are checked here. attacks/batches.py applies the method and projects its images into their bounds,
observe.py shows them to classifiers and detectors again, and diagnostics.py finds reasons not to trust the figures.
"""

import functools
import warnings as warn
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checks, pixels, rng
from cganjax import scores as scores_of
from cganjax.decoys import attacks, diagnostics, observe
from cganjax.decoys.attacks import batches, objectives, parts
from cganjax.decoys.attacks.batches import Batch
from cganjax.decoys.attacks.norms import NORMS, Bounds
from cganjax.decoys.detectors import Detector
from cganjax.decoys.diagnostics import PAGE, WARNINGS, DecoyWarning
from cganjax.decoys.observe import Observation, Targets
from cganjax.spec import LIGHT_ON_DARK
from cganjax.types import BadArgument, BadType

TRANSFER = "ensemble"  # the method for a list of classifiers
KEEP = 10.0  # weight of the term that keeps each arg max
INK = 0.1  # a pixel has ink if it differs from the paper by more
BISECTIONS = 8  # of `minimal`: the smallest epsilon is known to 1/256 of the largest


class DecoyResult(NamedTuple):
    """Decoys and their figures, for N images.

    The figures are those of the classifier or list of M classifiers given as `evaluated_on`, or else of those attacked.

    >>> import jax, cganjax
    >>> images = cganjax.sample(jax.random.key(0), [3, 1])
    >>> classifiers = [cganjax.load_classifier(name) for name in ("lenet5", "surrogate-mlp")]
    >>> result = cganjax.decoy(jax.random.key(1), images, classifiers, epsilon=0.1, method="fgsm")
    >>> result.images.shape, result.confidence.shape, result.rejected
    ((2, 28, 28, 1), (2, 2), None)
    """

    images: np.ndarray  # float32 [N, H, W, C] in [0, 1], within epsilon of the clean images
    confidence: np.ndarray  # float32 [N] or [N, M], the highest confidence after the attack
    clean_confidence: np.ndarray  # the same before the attack
    label_kept: np.ndarray  # bool [N] or [N, M], the arg max is the one before the attack
    rejected: np.ndarray | None  # bool [N], or [N, D] for a list of D detectors; None without a detector
    clean_rejected: np.ndarray | None  # the same before the attack
    queries: np.ndarray  # int [N], how often a version of the image was shown to what is attacked, by gradients too
    epsilon: np.ndarray  # float32 [N], the bound of each; with `minimal` the smallest, NaN if none was enough
    z: np.ndarray | None  # float32 [N, L], the latents if they were moved; the bound is then around their images
    warnings: tuple[str, ...]  # names of reasons not to trust the figures, see docs/how-to/decoy-warnings.md

    @property
    def doubts(self) -> tuple[str, ...]:
        """The old name of `warnings`; it will go in the next version."""
        return self.warnings


def decoy(
    key: jax.Array,
    images: Any,
    classifier: Callable | Sequence[Callable],
    *,
    epsilon: float | np.ndarray,
    method: str = "auto",
    detector: Detector | Sequence[Detector] | None = None,
    evaluated_on: Callable | Sequence[Callable] | None = None,
    scores: str | Sequence[str] | None = None,
    evaluated_scores: str | Sequence[str] | None = None,
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
      images: float [N, H, W, C] in [0, 1].
      classifier: images -> outputs [N, K], or a list of such, attacked together. It must be pure: the same object, with
        the same arrays in its `.params` if it has them, is the same function. JAX must be able to trace it, unless the
        method works by queries ("coordinate", "spsa", "square"): then any callable on NumPy arrays will do.
      epsilon: the largest change, in the norm; one number, or one per image [N].
      method: a key of `attacks.METHODS`; "auto" is "pgd" for one classifier and `TRANSFER` for a list.
      detector: a calibrated detector or a list of them; `rejected` is by their thresholds. With `evaluated_on`, give
        detectors of those classifiers.
      evaluated_on: a classifier or a list of them that the attack must not look at. The figures of the result are then
        theirs: attack surrogates, and measure on a target, in one call.
      scores: the kind of outputs, "logits", "sigmoid" or "probabilities" (for a list of classifiers one each), for a
        classifier that has no `.scores`; the default is "logits".
      evaluated_scores: the same for `evaluated_on`.
      objective: what is lowered, a key of `objectives.OBJECTIVES`; "auto" is as in `objectives.AUTO`. For a classifier
        of sigmoids "uniform" is "softplus", and "margin" is "confidence". "coordinate" takes "auto" alone.
      norm: "linf" or "l2".
      keep_label: keep the arg max of each attacked classifier, so that the decoy still belongs to its class. The
        published "coordinate" kept none: it is `keep_label=False`.
      ink_only: change only pixels that have ink, in grey images: above 0.1 if they are light on dark, below 0.9 if they
        are dark on light. The polarity is that of the classifier's `.spec`; without one it is light on dark.
      minimal: find for each image the smallest epsilon, up to the given one, at which every detector rejects it.
      generator, z, labels: for "latent" and "latent+pixel" alone: images are generator(z [N, L], labels int [N]).
        "latent" adds no pixel noise: its epsilon is 0, and `radius` bounds the latent.
      chunk: images attacked at once; None chooses what is fast here, see `attacks.parts.at_once`.
      **settings: the method's own, such as `steps`.

    Returns:
      A `DecoyResult`: the decoys, and for each image its confidence, its label and its rejection before and after.

    Raises:
      ValueError: images out of [0, 1], NaN, no floats or of another shape, epsilon negative or larger than any image,
        an unknown method, objective or norm (the known are listed), generator, z or labels for a method that does not
        use them or of another length, z that is not finite, `ink_only` for colour images, a chunk or a setting that is
        out of range or needs more memory than is free, or outputs that are not [N, K], not finite, or not of their
        kind.
      TypeError: a key that is none, a classifier that cannot be called, or that JAX cannot trace with a method that
        needs gradients, an uncalibrated detector, an unknown setting of the method, labels that are not integers,
        `keep_label`, `ink_only` or `minimal` that is neither True nor False.

    Warns:
      DecoyWarning: see docs/how-to/decoy-warnings.md; the same names are in the result's `warnings`.

    References:
      "False novelty" is the name of Enevoldsen et al. (arXiv 2311.05006); attacks that make inliers look like outliers
      are in Chen et al. (ALOE, arXiv 2003.09711). Each method cites its own.

    >>> import jax, cganjax
    >>> images = cganjax.sample(jax.random.key(0), [3, 1])
    >>> result = cganjax.decoy(jax.random.key(1), images, cganjax.load_classifier("lenet5"), epsilon=0.2)
    >>> bool((result.confidence < result.clean_confidence).all()), result.label_kept.tolist()
    (True, [True, True])
    """
    key = checks.typed_key(key)
    attacked = observe.targets(classifier, scores, None if evaluated_on is not None else detector)
    targets = attacked
    if evaluated_on is not None:
        targets = observe.targets(evaluated_on, evaluated_scores, detector, name="evaluated_on")
    elif evaluated_scores is not None:
        raise BadArgument("evaluated_scores is of use with evaluated_on= alone: give scores=")
    clean = np.asarray(pixels.check_unit(images))
    keep_label, ink_only = checks.flag("keep_label", keep_label), checks.flag("ink_only", ink_only)
    name, entry, settings = check(
        clean.shape,
        epsilon=epsilon,
        method=method,
        objective=objective,
        norm=norm,
        minimal=minimal,
        ink_only=ink_only,
        several=attacked.several,
        detectors=len(targets.detectors),
        settings=settings,
    )
    size = _chunk(chunk, entry)
    mask = _ink(clean, attacked.classifiers) if ink_only else np.ones_like(clean)
    before = _both(attacked, targets, clean)
    z, classes = _latents(entry, name, generator, z, labels, clean)
    traced = _traceable(attacked.classifiers, clean.shape[1:], name, needed=entry.gradient)
    goal = _goal(attacked, objective, keep_label)
    sizes = np.broadcast_to(np.asarray(epsilon, np.float32), (len(clean),))
    bounds = Bounds(clean, sizes, mask.astype(np.float32))
    keys = rng.items(key, len(clean))
    batch = Batch(keys, bounds, before.attacked.predictions, z, classes, generator if entry.latent else None)

    def attack(sizes: np.ndarray) -> attacks.Found:
        there = batch._replace(bounds=bounds._replace(epsilon=sizes))
        one = functools.partial(batches.attack, entry, goal, norm, settings, traced)
        return batches.by_parts(one, there, size, threads=traced)

    found = attack(sizes)
    if minimal:
        found, sizes = _smallest(attack, found, batch, targets, before.targets)
    after = targets.observe(found.images)
    within = np.where(np.isnan(sizes), bounds.epsilon, sizes)
    batch = batch._replace(bounds=bounds._replace(epsilon=within))
    gradient_goal = goal if entry.gradient and not entry.latent else None
    names = _warnings(attacked, targets, batch, norm, gradient_goal, before, found.images, after)
    for warning in names:
        warn.warn(f"{warning}: {WARNINGS[warning]} ({PAGE})", DecoyWarning, stacklevel=2)
    return _result(found, sizes, targets, before.targets, after, names)


# --- the steps of `decoy` ---------------------------------------------------------------------------------------------


class _Before(NamedTuple):
    """What is said of the clean images."""

    attacked: Observation  # by the classifiers that are attacked
    targets: Observation  # by those that the figures are about; the same object if these are the same


def _both(attacked: Targets, targets: Targets, clean: np.ndarray) -> _Before:
    """Show the clean images to what is attacked and to what is evaluated, once if they are the same."""
    before = attacked.observe(clean)
    return _Before(before, before if targets is attacked else targets.observe(clean))


def _chunk(chunk: int | None, entry: attacks.Method) -> int:
    """How many images to attack at once."""
    return parts.at_once(gradient=entry.gradient) if chunk is None else checks.whole("chunk", chunk, 1)


def _goal(attacked: Targets, objective: str, keep_label: bool) -> objectives.Goal:
    """What the attack lowers."""
    return objectives.Goal(
        tuple(map(objectives.Held, attacked.classifiers)),
        attacked.kinds,
        tuple(objectives.choose(objective, kind, several=attacked.several) for kind in attacked.kinds),
        keep=KEEP if keep_label else 0.0,
    )


def _warnings(
    attacked: Targets,
    targets: Targets,
    batch: Batch,
    norm: str,
    goal: objectives.Goal | None,
    before: _Before,
    images: np.ndarray,
    after: Observation,
) -> tuple[str, ...]:
    """The names of the reasons not to trust the figures.

    Args:
      goal: what the attack lowered, if it moved pixels by gradients.
      images: the decoys. after: what `targets` say of them.
    """

    def confidence_after() -> np.ndarray:
        """Of what was attacked, on the first images."""
        first = after if targets is attacked else attacked.observe(images[: diagnostics.FEW])
        return first.confidence[: diagnostics.FEW]

    few, logits = diagnostics.few(batch), diagnostics.probabilities_as_logits
    seen = {
        "zero_gradient": goal is not None and diagnostics.zero_gradient(goal, few),
        "random_classifier": diagnostics.random_classifier(attacked.observe(few.bounds.clean), before.attacked),
        "probabilities_as_logits": logits(attacked, before.attacked)
        or (targets is not attacked and logits(targets, before.targets)),
        "noise_beats_gradient": goal is not None
        and diagnostics.noise_beats_gradient(attacked, few, norm, confidence_after),
        "rejected_before": diagnostics.rejected_before(targets, before.targets),
    }
    return tuple(name for name, there in seen.items() if there)


def _result(
    found: attacks.Found,
    sizes: np.ndarray,
    targets: Targets,
    before: Observation,
    after: Observation,
    names: tuple[str, ...],
) -> DecoyResult:
    """The decoys with the figures of the targets, before and after."""
    return DecoyResult(
        images=found.images,
        confidence=targets.shaped(after.confidence),
        clean_confidence=targets.shaped(before.confidence),
        label_kept=targets.shaped(after.predictions == before.predictions),
        rejected=targets.verdict(after.rejected),
        clean_rejected=targets.verdict(before.rejected),
        queries=found.queries,
        epsilon=sizes,
        z=found.z,
        warnings=names,
    )


# --- the smallest epsilon ---------------------------------------------------------------------------------------------


def _smallest(attack: Callable, found: attacks.Found, batch: Batch, targets: Targets, before: Observation):
    """Bisect each image's epsilon: the decoys of the smallest that was enough, and that epsilon, or NaN."""

    def enough(images: np.ndarray) -> np.ndarray:
        return np.all([np.asarray(d.rejects(images)) for d in targets.detectors], axis=0)

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


def check(
    shape: tuple[int, ...],
    *,
    epsilon: Any,
    method: str = "auto",
    objective: str = "auto",
    norm: str = "linf",
    minimal: bool = False,
    ink_only: bool = False,
    several: bool = False,
    detectors: int = 0,
    settings: Mapping[str, Any],
) -> tuple[str, attacks.Method, dict[str, Any]]:
    """Check the arguments of `decoy` that can be checked without running a classifier.

    Args:
      shape: (N, H, W, C) of the images. several: a list of classifiers is attacked. detectors: how many are given.
      The others are as of `decoy`.

    Returns:
      The method's name, its table entry, and its settings as Python's numbers.

    Raises:
      ValueError or TypeError: as of `decoy`.
    """
    name = checks.one_of("method", method, ("auto", *attacks.METHODS))
    name = name if name != "auto" else TRANSFER if several else "pgd"
    checks.one_of("norm", norm, NORMS)
    sizes = _check_sizes(epsilon, shape, norm)
    entry, settings = attacks.check(name, settings, norm)
    objectives.choose(objective, "logits", several=several)
    if name == "coordinate" and objective != "auto":
        raise BadArgument(f"objective is {objective}: method coordinate lowers the highest confidence, leave it out")
    if checks.flag("minimal", minimal) and not detectors:
        raise BadArgument("minimal was asked for without a detector: give one from cganjax.calibrate")
    if minimal and entry.latent:
        raise BadArgument(f"minimal finds the smallest epsilon, and method {name} moves latents: take one of pixels")
    if name == "latent" and np.any(sizes):
        raise BadArgument("method latent adds no pixel noise: give epsilon=0, or take latent+pixel")
    if ink_only and shape[-1] != 1:
        raise BadArgument(f"ink_only was asked for on images of {shape[-1]} channels: only grey drawings have ink")
    return name, entry, settings


def _check_sizes(epsilon: Any, shape: tuple[int, ...], norm: str) -> np.ndarray:
    n, *image = shape
    largest = 1.0 if norm == "linf" else float(np.sqrt(np.prod(image)))
    expected = f"0 to {largest:g}, in pixels of [0, 1] and norm {norm}"
    sizes = checks.array("epsilon", epsilon, expected)
    if not checks.is_real(sizes.dtype):
        raise BadType(f"epsilon is {checks.shown(epsilon)}: expected {expected}")
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which is refused
        sizes = np.asarray(sizes, np.float32)
    if sizes.shape not in ((), (n,)):
        raise BadArgument(f"epsilon has shape {sizes.shape}: expected one number, or {n}, one per image")
    if not ((sizes >= 0) & (sizes <= largest)).all():
        raise BadArgument(f"epsilon is {checks.shown(epsilon)}: expected {expected}")
    return sizes


def _ink(clean: np.ndarray, classifiers: Sequence[Callable]) -> np.ndarray:
    """Which pixels of grey images have ink: bool [N, H, W, C]."""
    specs = [classifier.spec for classifier in classifiers if hasattr(classifier, "spec")]
    polarities = {spec.polarity for spec in specs} or {LIGHT_ON_DARK}
    if len(polarities) > 1:
        raise BadArgument("ink_only was asked for with classifiers of light and of dark drawings: attack them apart")
    return clean > INK if polarities == {LIGHT_ON_DARK} else clean < 1 - INK


def _traceable(classifiers: Sequence[Callable], shape: tuple[int, ...], method: str, *, needed: bool) -> bool:
    """Whether JAX can trace every classifier; TypeError if it cannot and the method needs that."""
    for m, classifier in enumerate(classifiers):
        error = scores_of.trace_error(classifier, shape)
        if error is not None and not needed:
            return False
        if error is not None:
            reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:120]}"
            if isinstance(error, jax.errors.JAXTypeError):
                reason = "it needs the values of the images, as functions of NumPy do"
            by_queries = ", ".join(name for name, entry in attacks.METHODS.items() if not entry.gradient)
            raise BadType(
                f"classifier {m} cannot be traced by JAX ({reason}), and method {method} needs "
                f"its gradient: take a method of queries, {by_queries}"
            )
    return True


def _latents(entry: attacks.Method, method: str, generator, z, labels, clean: np.ndarray):
    """Latents and classes for a method that moves latents, or None twice."""
    if not entry.latent:
        given = {"generator": generator, "z": z, "labels": labels}
        given = [f"{name}=" for name, value in given.items() if value is not None]
        if given:
            raise BadArgument(f"method {method} moves no latent and does not use {', '.join(given)}: leave it out")
        return None, None
    if generator is None or z is None or labels is None:
        raise BadArgument(f"method {method} moves latents: give generator=, z= and labels=")
    if not callable(generator):
        raise BadType(f"generator is {checks.shown(generator)}: expected a callable of z and labels")
    z = jnp.asarray(checks.reals("z", z, "latents [N, L]"))
    labels = checks.array("labels", labels, "integers, the classes that the generator was asked for")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise BadType(f"labels are {labels.dtype}: expected integers, the classes that the generator was asked for")
    labels = jnp.asarray(labels)
    if z.ndim != 2 or len(z) != len(clean) or labels.shape != (len(clean),):
        raise BadArgument(
            f"z has shape {z.shape} and labels {labels.shape}, for {len(clean)} images: expected [N, L] and [N]"
        )
    made = np.asarray(generator(z, labels))
    if made.shape != clean.shape or not np.abs(made - clean).max() <= 1e-3:
        raise BadArgument("the images are not generator(z, labels): give the latents and labels that they came from")
    return z, labels
