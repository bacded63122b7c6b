"""Checkpoints into memory: `load`, `load_discriminator`, `load_classifier`, and the weights of a run folder."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import models, run_folder, run_states
from cganjax.sampling import cards
from cganjax.sampling.records import Classifier, Discriminator, Generator
from cganjax.spec import ImageSpec
from cganjax.types import CheckpointError, UserError, Weights


def load(checkpoint: str | os.PathLike = ckpt.DEFAULT) -> Generator:
    """Load a trained generator.

    Args:
      checkpoint: a shipped name (hyphens and underscores are alike), a run folder (its newest checkpoint, or its best
        one if the run keeps that), or one checkpoint folder. The default is "mnist".

    Returns:
      The generator. It is kept in memory, so that the next call returns the same object unless the checkpoint changed.

    Raises:
      TypeError: the checkpoint is neither a name nor a path.
      FileNotFoundError: there is no such name or folder; the known names are listed.
      CheckpointError: the checkpoint is damaged, was made by something else, or holds no generator.

    Warns:
      cganjax.types.DamagedCheckpoint: the newest checkpoint of a run folder is damaged, and an older one is read.

    >>> import cganjax
    >>> generator = cganjax.load("mnist")
    >>> generator.spec.shape, generator.num_classes
    ((28, 28, 1), 10)
    """
    return _role(checkpoint, "generator")


def load_discriminator(checkpoint: str | os.PathLike) -> Discriminator:
    """Load a trained discriminator.

    Args:
      checkpoint: as for `load`: the run of a generator, or a shipped checkpoint with a discriminator ("label-score").

    Returns:
      The discriminator: images [N, H, W, C] in [0, 1] -> one output per image, or one per class.

    Raises:
      TypeError: the checkpoint is neither a name nor a path.
      FileNotFoundError: there is no such name or folder; the known names are listed.
      CheckpointError: the checkpoint is damaged, was made by something else, or holds no discriminator; the shipped
        checkpoints that have one are named.

    >>> import jax, cganjax
    >>> discriminator = cganjax.load_discriminator("label-score")
    >>> discriminator(cganjax.sample(jax.random.key(0), [3, 1, 4])).shape
    (3, 10)
    """
    return _role(checkpoint, "discriminator")


def load_classifier(checkpoint: str | os.PathLike) -> Classifier:
    """Load a classifier.

    Args:
      checkpoint: as for `load`: one that is a classifier ("lenet5"), or one whose discriminator serves as a classifier
        ("label-score").

    Returns:
      The classifier: images [N, H, W, C] in [0, 1] -> outputs [N, K].

    Raises:
      TypeError: the checkpoint is neither a name nor a path.
      FileNotFoundError: there is no such name or folder; the known names are listed.
      CheckpointError: the checkpoint is damaged, was made by something else, or holds no classifier; the shipped
        checkpoints that have one are named.

    >>> import jax, cganjax
    >>> classifier = cganjax.load_classifier("lenet5")
    >>> outputs = classifier(cganjax.sample(jax.random.key(0), [3, 1, 4]))
    >>> outputs.shape, outputs.argmax(axis=-1).tolist()
    ((3, 10), [3, 1, 4])
    """
    return _role(checkpoint, "classifier")


def _role(checkpoint: str | os.PathLike, role: str):
    folder = ckpt.find(checkpoint)
    # The stamp changes when a run goes on or a checkpoint is replaced, and the checkpoint is then read again.
    return _read(folder, role, ckpt.stamp(folder))


@functools.lru_cache(maxsize=8)
def _read(folder: Path, role: str, stamp: tuple):
    del stamp
    card, parts = _read_shipped(folder) if (folder / ckpt.CARD).exists() else read_run(folder)
    if role not in card["roles"]:
        have = [name for name, other in ckpt.checkpoints().items() if role in other["roles"]]
        raise CheckpointError(
            f"{folder} holds no {role}: expected a run folder of yours that has one, or one of {', '.join(have)}"
            f"{_other_ways(card['roles'])}"
        )
    where = folder / ckpt.CARD
    networks = _build(cards.settings_of(card["config"], where), cards.spec_of(card.get("data"), where), where)
    network = getattr(networks, role)
    # If D serves as the classifier, the weights are D's.
    weights = parts.get(role, parts.get("discriminator"))
    if network is None or weights is None or _kinds(weights) != _kinds(jax.eval_shape(network.init, jax.random.key(0))):
        raise CheckpointError(f"{folder} holds arrays that do not fit its networks: get the checkpoint again")
    if not all(np.isfinite(array).all() for array in jax.tree.leaves(weights)):
        raise CheckpointError(f"{folder} holds weights that are not finite: get the checkpoint again, or train anew")
    # Outside of any trace: a cached tracer would outlive its transformation. Nothing else is inside, because everything
    # traced there would be computed at once, in tens of small programs that each are compiled first.
    with jax.ensure_compile_time_eval():
        weights = jax.device_put(weights)
    common = (weights, networks.num_classes, networks.spec, card, network.apply)
    if role == "generator":
        return Generator(*common, networks.latent_size)
    if role == "classifier":
        return Classifier(*common, networks.scores, network.features)
    needs_labels = networks.num_classes is not None and networks.classifier is None
    return Discriminator(*common, "probabilities" if networks.scores == "sigmoid" else networks.scores, needs_labels)


def _other_ways(roles: Sequence[str]) -> str:
    """The end of a sentence about a role that a checkpoint lacks: the roles that it has, and how to load them."""
    loaders = {"generator": "load", "discriminator": "load_discriminator", "classifier": "load_classifier"}
    known = [role for role in loaders if role in roles]
    if not known:
        return ""
    return f"; it holds a {' and a '.join(known)}: use {' or '.join(loaders[role] for role in known)}"


def _build(config: Any, spec: ImageSpec, where: Path) -> models.Networks:
    """The networks of a config that was read from `where`; a family may refuse it."""
    try:
        return models.build(config, spec)
    except UserError as error:
        raise CheckpointError(f"{where} does not describe networks that this version knows: {error}") from error


def _kinds(weights: Any) -> Any:
    return jax.tree.map(lambda array: (array.shape, array.dtype), weights)


def _read_shipped(folder: Path) -> tuple[dict[str, Any], dict[str, Weights]]:
    card = ckpt.read_card(folder)
    return card, ckpt.read_weights(folder, card)


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Weights]]:
    """Read a run folder (its newest checkpoint, or its best one if the run keeps that), or `RUN/checkpoints/STEP`.

    Returns:
      The card of the run at that step, and the weights of each network by name.

    Raises:
      CheckpointError: the folder holds no run, one that this version cannot read, or no checkpoint that is sound.

    Warns:
      DamagedCheckpoint: of a run folder, the checkpoint to read is damaged, and the next sound one is read.
    """
    # These import optax, which sampling from a shipped checkpoint does not need.
    from cganjax.training import algorithms
    from cganjax.training import config as cfg

    at_step = folder.name.isdigit() and folder.parent.name == run_folder.STATES
    run, at = (folder.parent.parent, int(folder.name)) if at_step else (folder, None)
    if not (run / run_folder.CONFIG).exists():
        raise CheckpointError(f"{folder} is no checkpoint: it holds neither {ckpt.CARD} nor {run_folder.CONFIG}")
    values, manifest = run_folder.read_run(run)
    try:
        config = cfg.from_json(values)
    except (TypeError, KeyError) as error:  # a field or an algorithm that is missing or unknown, as it documents
        raise CheckpointError(f"{run / run_folder.CONFIG} is no run of this version: {error}") from error
    cards.settings_of(values, run / run_folder.CONFIG)
    networks = _build(config, cards.spec_of(manifest["data"], run / run_folder.MANIFEST), run / run_folder.CONFIG)
    like = jax.eval_shape(algorithms.build(config, networks).init, jax.random.key(0))
    states = run_states.RunStates(run)
    if at is None:
        _, state, damaged = states.restore_newest(like, best=config.keep_best)
    else:
        state, damaged = states.restore(like, at), []
    step, parts = int(state.step), state.weights()
    run_states.warn_of_damage(run, step, damaged, stacklevel=5)  # of `load`
    roles = [role for role in ("generator", "discriminator", "classifier") if getattr(networks, role)]
    return cards.card_of_run(run.name, values, manifest, roles, step, cards.metrics_at(run, step)), parts
