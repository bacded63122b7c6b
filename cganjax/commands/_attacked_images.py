"""The images that `decoy` attacks: generated ones, real test images of the target's data set, or files of the user."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cganjax import cli, data, pixels, rng, sampling
from cganjax.commands import _image_files as image_files
from cganjax.commands._class_labels import file_name_of, parse_labels
from cganjax.commands._same_images import check_same_images, default_generator

LIMIT = 20  # images of a folder or a file of many that are attacked, unless the user says how many


class Chosen(NamedTuple):
    """The images that the user chose."""

    names: Sequence[str]  # one per image: its class, or its file
    stem: str  # what a file of them is called
    made: Callable[[], tuple[np.ndarray, Mapping[str, Any]]]  # the images [N, H, W, C], and how to move their latents


def choose(args, target) -> Chosen:
    """What the flags say; UserError if they say nothing or contradict each other."""
    if args.images is not None:
        if args.labels or args.real or args.checkpoint:
            raise cli.UserError("--images attacks files of yours: give no LABELS, --real or --checkpoint with it")
        return _of_files(args, target)
    if args.limit is not None:
        raise cli.UserError("--limit is about the files of --images: give --images too, or leave it out")
    if not args.labels:
        raise cli.UserError(
            "no images were given: give LABELS, the classes to generate (or, with --real, to take real test images "
            "of), or --images FILE"
        )
    if args.real and args.checkpoint:
        raise cli.UserError("--checkpoint generates images and --real takes real ones: give one of them")
    return _real(args, target) if args.real else _generated(args, target)


def _generated(args, target) -> Chosen:
    name = args.checkpoint or default_generator(
        target.spec, "--checkpoint, a generator of such images, or attack real ones by --real or --images"
    )
    generator = sampling.load(name)
    if generator.num_classes is None:
        raise cli.UserError(f"{name} takes no labels: give a conditional generator")
    check_same_images({args.target: target}, generator, name, "give --target and --checkpoint of the same images")
    labels = parse_labels(" ".join(args.labels), generator.spec.class_names)

    def made():
        z = sampling.latents(rng.stream(rng.root(args.seed), "z"), len(labels), generator.latent_size)
        return np.asarray(generator(z, labels)), {"generator": generator, "z": z, "labels": labels}

    return _of_classes(generator.spec, labels, made)


def _real(args, target) -> Chosen:
    """Test images that the seed picks, among those that no threshold was made from."""
    _check_pixels(args, "real images")
    labels = parse_labels(" ".join(args.labels), target.spec.class_names)
    test = data.of_card(target.card, "test", args.data_dir)
    first = min(data.CALIBRATION, len(test.images) // 2)
    rows, key = np.empty(len(labels), int), rng.stream(rng.root(args.seed), "real")
    for label in np.unique(labels):
        places, mine = np.flatnonzero(labels == label), first + np.flatnonzero(test.labels[first:] == label)
        if len(mine) < len(places):
            raise cli.UserError(
                f"{len(places)} images of {target.spec.class_names[label]} were asked for, and {test.name} has "
                f"{len(mine)} test images of it that no threshold is made from: ask for fewer"
            )
        rows[places] = mine[jax.random.permutation(jax.random.fold_in(key, label), len(mine))[: len(places)]]
    return _of_classes(target.spec, labels, lambda: (pixels.rest_to_unit(test.images[rows]), {}))


def _of_files(args, target) -> Chosen:
    _check_pixels(args, "files")
    limit = LIMIT if args.limit is None else args.limit
    if limit < 1:
        raise cli.UserError(f"--limit is {args.limit}: give at least 1")
    crop = bool(target.card["data"].get("size"))
    files = [image_files.read(path, target.spec, limit=limit, crop=crop) for path in args.images]
    for file in files:
        if file.note:
            print(f"note: {file.note}", file=sys.stderr)
    images = np.concatenate([file.images for file in files])
    stem = file_name_of([Path(path).stem for path in args.images[:3]], 20) or "images"
    return Chosen([name for file in files for name in file.names], stem, lambda: (images, {}))


def _of_classes(spec, labels: np.ndarray, made: Callable) -> Chosen:
    names = [spec.class_names[label] for label in labels]
    return Chosen(names, file_name_of(names, 20), made)


def _check_pixels(args, what: str) -> None:
    if args.method.startswith("latent"):
        raise cli.UserError(f"--method {args.method} moves the latents of generated images, and {what} have none")
