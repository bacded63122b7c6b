"""What `augment` buys with few training images: recipe `auto` on parts of Fashion-MNIST.

    python -m benchmarks.small_sets --extractor RUN --data-dir DIR --images 500 --classes 0 1 9 --augment 0 0.3

Trains one G for each value of `--augment`, otherwise alike, on the first so many of the training images. Each row
compares 5,000 samples with 5,000 training images that G was not trained on, in the features of the extractor, a run
folder or a shipped name. No test image is used. "memorised" is the fraction of samples that are nearer to a training
image than 99 % of the images that G was not trained on: 0.01 if G copies nothing. "left" is the fraction of ankle boots
that point to the left: the data's unless G mirrors. Rows are JSON. The first two are of other real images, and of the
training images themselves, which is what a G that copies them all would reach. Grids go into `--out`.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import cganjax
from cganjax import cli, data, pixels, recipes, rng
from cganjax.data import batching
from cganjax.evaluation import reference
from cganjax.evaluation.metrics import frechet, memorisation, neighbours, prdc
from cganjax.report import grids
from cganjax.training import config as cfg
from cganjax.types import Weights

MEASURED = 5000
HELD_OUT_FROM = 40_000  # rows of the training images from which the held-out ones are taken
BOOT = 9


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_sets", description=__doc__.partition("\n")[0])
    parser.add_argument("--extractor", required=True, help="a classifier's run folder or shipped name")
    parser.add_argument("--data-dir", help="folder with fashion_mnist/")
    parser.add_argument("--images", type=int, default=500, help="training images (default: 500)")
    parser.add_argument("--classes", type=int, nargs="+", default=list(range(10)), help="classes (default: all)")
    parser.add_argument("--augment", type=float, nargs="+", default=[0.0, 0.3, 0.6], help="values of `augment`")
    parser.add_argument("--recipe", default="auto", help="whose settings, but for `augment` (default: auto)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--parts", type=int, default=3, help="measure so often, at equal distances (default: 3)")
    parser.add_argument("--out", type=Path, help="folder for grids of samples")
    args = parser.parse_args(argv)
    args.classes.sort()
    cli.keep_freed_memory()
    whole = data.load("fashion_mnist", "train", args.data_dir)
    held_out = _of_classes(whole, slice(HELD_OUT_FROM, None), args.classes, slice(MEASURED))
    train = _of_classes(whole, slice(HELD_OUT_FROM), args.classes, slice(args.images))
    others = _of_classes(whole, slice(HELD_OUT_FROM), args.classes, slice(args.images, args.images + MEASURED))
    measure = _measure(cganjax.load_classifier(args.extractor), train, held_out, args.classes)
    for name, real in (("others", others), ("training", train)):
        print(json.dumps({"real": name} | measure(pixels.rest_to_unit(real.images), real.labels)), flush=True)
    for augment in args.augment:
        _train(args, augment, train, measure)
    return cli.DONE


def _of_classes(dataset, rows, classes, part):
    """Rows of these classes, which are in order, numbered from 0."""
    images, labels = dataset.images[rows], dataset.labels[rows]
    keep = np.flatnonzero(np.isin(labels, classes))[part]
    names = tuple(dataset.spec.class_names[k] for k in classes)
    return dataset._replace(
        images=images[keep],
        labels=np.searchsorted(classes, labels[keep]).astype(np.int32),
        spec=dataset.spec._replace(class_names=names),
    )


def _measure(extractor, train, held_out, classes):
    """(images in [0, 1], labels) -> figures."""
    of_held_out = reference.features_of(extractor, pixels.rest_to_unit(held_out.images)).astype(np.float64)
    scale = 1 / np.sqrt((of_held_out**2).mean())
    of_held_out *= scale
    target = frechet.statistics(of_held_out)
    bank = reference.features_of(extractor, pixels.rest_to_unit(train.images)) * scale
    _, unseen = neighbours.nearest(of_held_out, bank)
    boots = held_out.images[held_out.labels == classes.index(BOOT)].mean(0) if BOOT in classes else None

    def measure(images, labels):
        features = reference.features_of(extractor, images).astype(np.float64) * scale
        _, nearest = neighbours.nearest(features, bank)
        figures = {"frechet": frechet.distance(target, frechet.statistics(features))}
        figures |= prdc.prdc(of_held_out, features) | memorisation.memorisation(nearest, unseen)
        figures["std"] = float(np.mean([images[labels == k].std(0).mean() for k in np.unique(labels)]))
        figures["brightness"] = float(images.mean())
        if boots is not None:
            mine = images[labels == classes.index(BOOT)]
            lean = np.asarray(mine - mine[:, :, ::-1]).reshape(len(mine), -1) @ (boots - boots[:, ::-1]).ravel()
            figures["left"] = float((lean > 0).mean())
        return {name: round(float(value), 4) for name, value in figures.items()}

    return measure


def _train(args, augment, train, measure):
    config = cfg.override(recipes.load(args.recipe, train), [*args.set, f"augment={augment}"])
    networks = cganjax.models.build(config, train.spec)
    trainer, key = cganjax.trainer(config, train.spec), rng.root(config.seed)
    state, step = jax.jit(trainer.init)(key), jax.jit(trainer.step, donate_argnums=1)
    generate = jax.jit(lambda params, z, labels: networks.generator.apply(Weights(params, {}), z, labels))
    labels = np.arange(MEASURED, dtype=np.int32) % train.num_classes
    z = jax.random.normal(jax.random.key(1), (MEASURED, networks.latent_size))
    begun = time.process_time()
    batches = batching.batches(train, rng.stream(key, "data"), config.batch_size)
    for done in range(1, config.steps + 1):
        state, info = step(key, state, next(batches))
        if done % (config.steps // args.parts) == 0:
            parts = [
                generate(state.generator_ema, z[i : i + 500], labels[i : i + 500]) for i in range(0, MEASURED, 500)
            ]
            images = np.asarray(pixels.signed_to_unit(jnp.concatenate(parts)))
            row = {"images": args.images, "augment": augment, "step": done, "cpu_s": round(time.process_time() - begun)}
            row |= measure(images, labels)
            row["margin"] = round(float(info.score_real - info.score_fake), 3)
            print(json.dumps(row), flush=True)
            if args.out:
                sheet = grids.grid(images[:100], 10, train.spec)
                name = f"{args.images}-{augment}-{done}.png"
                args.out.mkdir(parents=True, exist_ok=True)
                (args.out / name).write_bytes(grids.png(sheet))


if __name__ == "__main__":
    sys.exit(cli.execute(main))
