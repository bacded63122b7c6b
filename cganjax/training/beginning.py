"""A run that begins with the weights of a checkpoint, `init_from`: for new classes, or other images of the same shape.

The run has the network family of the checkpoint and its settings. Its optimizers are new, and it begins at step 0. A
class keeps what the networks learnt of it if the checkpoint has a class of that name. All other classes are new.
"""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checks, digests, files, models, recipes, rng, run_folder, sampling
from cganjax.data import Dataset
from cganjax.models import Networks
from cganjax.spec import ImageSpec
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.training.config import Config
from cganjax.training.state import GANState
from cganjax.types import BadType, CheckpointError, UserError, Weights

# Steps in which a new D learns alone, against a trained G; at most this fraction of the run.
DISCRIMINATOR_FIRST, OF_THE_RUN = 300, 1 / 5
_NETWORKS = ("family", "generator", "discriminator")  # the fields of a config that decide them
_NAMED = 10  # classes that a message lists


class Source(NamedTuple):
    """The checkpoint that a run begins with."""

    generator: sampling.Generator  # its moving average, if it has one
    discriminator: sampling.Discriminator | None  # most shipped checkpoints have none

    @property
    def name(self) -> str:
        """As its card says."""
        return self.generator.card["name"]

    @property
    def weights(self) -> dict[str, Weights]:
        """The networks by role."""
        return {role: network.weights for role, network in self._asdict().items() if network is not None}

    def record(self) -> dict[str, Any]:
        """What manifests and cards say of it; `digest` is that of the digests of all arrays."""
        card = self.generator.card
        earlier = {"init_from": card["init_from"]} if card.get("init_from") else {}
        digest = digests.of_json(digests.of_tree(self.weights))
        return {"name": self.name, "steps": card.get("steps"), "roles": [*self.weights], "digest": digest} | earlier


def read(checkpoint: str | os.PathLike, spec: ImageSpec | None = None) -> Source:
    """The networks of a shipped checkpoint, a checkpoint folder or a run.

    Args:
      checkpoint: its name or path.
      spec: of the images to train on, if they are known.

    Raises:
      FileNotFoundError: there is no such checkpoint.
      UserError: its images have another shape.
      CheckpointError: it is damaged, or holds no generator.
    """
    generator = sampling.load(checkpoint)
    there = "discriminator" in generator.card["roles"]
    source = Source(generator, sampling.load_discriminator(checkpoint) if there else None)
    if spec is not None and spec.shape != generator.spec.shape:
        theirs, ours = ("x".join(map(str, s.shape)) for s in (generator.spec, spec))
        raise UserError(
            f"init_from is {checkpoint}, which generates images of {theirs}, and the images to train on are {ours}: "
            "choose a checkpoint of that shape, or images of the checkpoint's"
        )
    return source


# --- before the run ---------------------------------------------------------------------------------------------------


def settled(
    config: Config, checkpoint: str | os.PathLike | None, folder: Path | None, dataset: Dataset | None = None
) -> Config:
    """The config with `init_from` and with what follows from it; unchanged if it begins with new weights.

    Args:
      config: the resolved run.
      checkpoint: to begin with; None: the one that the config names, if any.
      folder: may hold the run, which then has settled this already: the checkpoint need not be there any more.
      dataset: the images, for a recipe that chooses its settings by them.

    Raises:
      FileNotFoundError: there is no such checkpoint.
      UserError: the algorithm cannot begin with a checkpoint, or the config asks for other networks.
      CheckpointError: the checkpoint is damaged, or holds no generator.
    """
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise BadType(f"init_from is {checks.shown(checkpoint)}: expected the name or the path of a checkpoint")
    wanted = getattr(config, "init_from", "") if checkpoint is None else os.fspath(checkpoint)
    if not wanted:
        return config
    if not algorithms.ALGORITHMS[config.algorithm].init_from:
        able = ", ".join(name for name, algorithm in algorithms.ALGORITHMS.items() if algorithm.init_from)
        raise UserError(
            f"init_from is {wanted}, and algorithm {config.algorithm} of recipe {config.recipe} only begins with new "
            f"weights: choose a recipe of algorithm {able}, or leave init_from out"
        )
    config = dataclasses.replace(config, init_from=wanted)
    there = None if folder is None else _begun(folder, config)
    if there is not None:
        return _with_networks(config, there, there.discriminator_first, dataset)
    source = read(wanted)
    first = 0 if source.discriminator else min(DISCRIMINATOR_FIRST, int(OF_THE_RUN * config.steps))
    return _with_networks(config, models.Settings.of(source.generator.card["config"]), first, dataset)


def _begun(folder: Path, config: Config) -> Config | None:
    """The config of a run in that folder that began with the same checkpoint; None if there is none."""
    with contextlib.suppress(CheckpointError, TypeError, KeyError):  # opening the run says what is wrong with it
        there = cfg.from_json(files.read_json(folder / run_folder.CONFIG, run_folder.Config))
        if getattr(there, "init_from", "") == config.init_from:
            return there
    return None


def _with_networks(config: Config, theirs: Any, discriminator_first: int, dataset: Dataset | None) -> Config:
    """The config with the networks of the checkpoint, unless the user asked for others than those of the recipe."""
    own, asked, found = _recipe_of(config, dataset), _settings(config), _settings(theirs)
    usual = asked if own is None else _settings(own)
    for name, value in asked.items():
        if value not in (usual.get(name), found.get(name)):
            raise UserError(
                f"{name} is {value}, and it is {found.get(name)} in {config.init_from}: leave it out, since a run has "
                "the networks of the checkpoint that it begins with (init_from)"
            )
    networks = {name: getattr(theirs, name) for name in _NETWORKS}
    return dataclasses.replace(
        config, **networks, discriminator_first=config.discriminator_first or discriminator_first
    )


def _recipe_of(config: Config, dataset: Dataset | None) -> Config | None:
    """The recipe as its page has it; None if it has no page, or depends on images that are not given."""
    with contextlib.suppress(UserError):
        return recipes.load(config.recipe, dataset)
    return None


def _settings(networks: Any) -> dict[str, Any]:
    """The family, and the settings of G and D by their dotted keys."""
    parts = {part: getattr(networks, part, None) or {} for part in ("generator", "discriminator")}
    dotted = {f"{part}.{name}": value for part, settings in parts.items() for name, value in settings.items()}
    return {"family": networks.family} | dotted


def said(config: Config, source: Source, spec: ImageSpec) -> list[str]:
    """What a user should know about the beginning, in sentences."""
    with_d = " and its discriminator" if source.discriminator else ""
    found = [f"the run begins with the generator of {source.name}{with_d}, and has the networks of that checkpoint"]
    known = [name for name in spec.class_names if name in source.generator.spec.class_names]
    new = [name for name in spec.class_names if name not in known]
    found.append(f"classes that {source.name} has: {_listed(known)}; new classes: {_listed(new)}")
    if config.discriminator_first:
        why = f"{source.name} holds no discriminator, so " if source.discriminator is None else ""
        found.append(
            f"{why}the discriminator learns alone for the first {config.discriminator_first} steps "
            "(discriminator_first), while the generator stays as it is"
        )
    return found


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return ", ".join(names) or "none"


# --- the first state --------------------------------------------------------------------------------------------------


def begin(state: GANState, source: Source, config: Config, networks: Networks) -> GANState:
    """A new run's first state with the weights of the checkpoint; G and its average are both the average there.

    What the networks hold for a class comes from the class of the same name. For a new class it is the mean over all
    classes of the checkpoint plus the row of a new network, so that new classes differ from each other. That network
    has a key of its own: with the key of the run it may have the very rows that the checkpoint's classes began with.

    Args:
      state: of new networks.
      source: what the run begins with.
      config: of the run, settled.
      networks: of the run.

    Raises:
      UserError: the checkpoint has other networks than the run, or networks that hold something else for each class
        than a row of an array.
    """
    if _settings(models.Settings.of(source.generator.card["config"])) != _settings(config):
        raise UserError(f"{config.init_from} has other networks than this run: begin anew (overwrite=True)")
    theirs = source.generator.spec.class_names
    rows = np.array([theirs.index(name) if name in theirs else -1 for name in networks.spec.class_names])
    key = rng.stream(rng.root(config.seed), "new classes")

    def carried(role: str, fresh: Weights) -> Weights:
        if role not in source.weights:
            return fresh
        by_class = _by_class(config, networks, role)
        return jax.tree.map(
            # A copy: the state is donated to the step, and the source may be in use elsewhere.
            lambda new, old, rowwise: jnp.array(_rows(rows, new, old) if rowwise else old),
            getattr(networks, role).init(key),
            source.weights[role],
            by_class,
        )

    generator = carried("generator", state.generator)
    return state._replace(
        generator=generator,
        generator_ema=jax.tree.map(jnp.copy, generator.params),
        discriminator=carried("discriminator", state.discriminator),
    )


def _rows(rows: np.ndarray, new: Any, old: Any) -> np.ndarray:
    """One row per class of the run: row `rows[k]` of the checkpoint, or a new one where that is -1."""
    new, old = np.asarray(new), np.asarray(old)
    return np.where(rows[:, None] >= 0, old[rows], old.mean(axis=0, keepdims=True) + new)


def _by_class(config: Config, networks: Networks, role: str) -> Any:
    """For each array of a network whether it has one row per class, from its shapes for two and for three classes."""
    shapes = []
    for count in (2, 3):
        spec = ImageSpec.numbered(*networks.spec.shape, count)
        shapes.append(jax.eval_shape(getattr(models.build(config, spec), role).init, jax.random.key(0)))

    def of(two: Any, three: Any) -> bool:
        if two.shape == three.shape:
            return False
        if len(two.shape) != 2 or two.shape != (2, three.shape[1]) or three.shape[0] != 3:
            raise UserError(
                f"family {config.family} mixes its classes with other inputs, so none can be new: leave init_from out"
            )
        return True

    return jax.tree.map(of, *shapes)


def check_same(recorded: Mapping[str, Any] | None, config: Config) -> None:
    """Raise UserError if the checkpoint that a recorded run began with is not what it was."""
    if recorded and read(config.init_from).record()["digest"] != recorded["digest"]:
        raise UserError(
            f"{config.init_from} holds other weights than those that the run began with: put {recorded['name']} of "
            f"step {recorded['steps']} there"
        )
