"""How good are a checkpoint's samples? Judged by a CNN that took no part in their making, beside a row of real data.

    python -m benchmarks.quality mnist --data-dir DIR                 # against the test split: for reports
    python -m benchmarks.quality runs/mnist-s0 --reference train      # against train: for choosing between runs

The judge is trained here from seed 0 on MNIST's train split (once; its weights are kept in runs/judges). Its 128
features are its own, so its Frechet distances compare with no others. 10,000 samples of balanced labels against 10,000
real images. Precision, recall (Kynkaanniemi et al., arXiv 1904.06991), density and coverage (Naeem et al., arXiv
2002.09797) with k = 5. `std` is the standard deviation of a pixel within its class, averaged over pixels and classes.
"""

import io
import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import cganjax
from cganjax import cli, data, files, pixels, rng, sampling

N, K_NEAREST, EPOCHS, BATCH = 10_000, 5, 6, 128


class Judge(nn.Module):
    """Images float [N, 28, 28, 1] in [0, 1] -> features [N, 128] and logits [N, 10]."""

    @nn.compact
    def __call__(self, x, dropout_key=None):
        for width in (32, 64):
            x = nn.relu(nn.Conv(width, (3, 3))(x))
            n, h, w, c = x.shape
            # Not nn.max_pool: its gradient is slow on XLA's CPU backend.
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))  # [N, 14, 14, 32], then [N, 7, 7, 64]
        x = nn.relu(nn.Conv(128, (3, 3))(x))  # [N, 7, 7, 128]
        features = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
        kept = nn.Dropout(0.4, deterministic=dropout_key is None)(features, rng=dropout_key)
        return features, nn.Dense(10)(kept)


def train_judge(dataset, seed=0):
    """Six epochs of Adam with shifts of up to 2 pixels; params."""
    key, judge = rng.root(seed), Judge()
    steps = EPOCHS * (len(dataset.images) // BATCH)
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, steps))
    params = judge.init(rng.stream(key, "init"), jnp.zeros((1, 28, 28, 1)))

    @jax.jit
    def step(params, opt, batch, i):
        key_shift, key_dropout = jax.random.split(jax.random.fold_in(rng.stream(key, "augment"), i))
        padded = jnp.pad(pixels.signed_to_unit(pixels.rest_to_signed(batch.images)), ((0, 0), (2, 2), (2, 2), (0, 0)))
        shifts = jax.random.randint(key_shift, (BATCH, 2), 0, 5)
        crop = jax.vmap(lambda x, s: jax.lax.dynamic_slice(x, (s[0], s[1], 0), (28, 28, 1)))
        images = crop(padded, shifts)

        def loss(p):
            logits = judge.apply(p, images, key_dropout)[1]
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels).mean()

        updates, opt = optimizer.update(jax.grad(loss)(params), opt)
        return optax.apply_updates(params, updates), opt

    opt = optimizer.init(params)
    for i, batch in zip(range(steps), data.batches(dataset, rng.stream(key, "data"), BATCH), strict=False):
        params, opt = step(params, opt, batch, i)
        if i % (steps // EPOCHS) == 0:
            jax.block_until_ready(params)
            print(f"judge: epoch {i // (steps // EPOCHS)} of {EPOCHS}", flush=True)
    return params


def judge_all(params, images):
    """Features float64 [N, 128] and predicted labels int [N]."""
    apply = jax.jit(Judge().apply)
    parts = [apply(params, images[i : i + 500]) for i in range(0, len(images), 500)]
    return np.concatenate([p[0] for p in parts]).astype(np.float64), np.concatenate([p[1].argmax(1) for p in parts])


def frechet(a, b):
    """Squared Frechet distance of two Gaussians fitted to features [N, F] (Heusel et al., arXiv 1706.08500, eq. 6)."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the root of a product: the roots of its eigenvalues, which are real and not negative.
    root_trace = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root_trace)


def distances(a, b):
    """Squared distances [len(a), len(b)], float32."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    return np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0)


def prdc(real, fake):
    """Precision, recall, density and coverage from features [N, F]."""

    def radii(x):
        return np.partition(distances(x, x), K_NEAREST, axis=1)[:, K_NEAREST]  # the nearest of all is the point itself

    real_radii, fake_radii, between = radii(real), radii(fake), distances(real, fake)
    return {
        "precision": float((between < real_radii[:, None]).any(0).mean()),
        "recall": float((between < fake_radii[None]).any(1).mean()),
        "density": float((between < real_radii[:, None]).sum(0).mean() / K_NEAREST),
        "coverage": float((between.min(1) < real_radii).mean()),
    }


def judge_row(params, reference_features, images, labels):
    """All figures of one set of images [N, 28, 28, 1] in [0, 1] with the labels that were asked for."""
    features, predicted = judge_all(params, images)
    std = np.mean([np.asarray(images)[labels == k].std(0).mean() for k in range(10)])
    return {
        "accuracy": float((predicted == labels).mean()),
        "frechet": frechet(reference_features, features),
        **prdc(reference_features, features),
        "std": float(std),
    }


def main(argv=None):
    """Print a row for real data and one for each checkpoint."""
    parser = cli.Parser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("checkpoints", nargs="*", default=["mnist"], help="shipped names, run or checkpoint folders")
    parser.add_argument("--data-dir", help="where MNIST lies (see cganjax.data.load)")
    parser.add_argument(
        "--reference", choices=("test", "train"), default="test", help="choose by train, report by test"
    )
    parser.add_argument("--judges", type=Path, default=Path("runs/judges"), help="where the judge's weights are kept")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--overwrite", action="store_true", help="replace that file where it exists")
    cli.add_backend(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    args = parser.parse_args(argv)
    cli.choose_backend(args.backend)
    generators = [cganjax.load(name) for name in args.checkpoints]
    for name, generator in zip(args.checkpoints, generators, strict=True):
        if generator.num_classes is None:
            raise cli.UserError(f"{name} takes no labels, so its samples cannot be judged by them")
    if args.json:
        files.new_file(args.json, args.overwrite)

    train, test = (data.load("mnist", split, args.data_dir) for split in ("train", "test"))
    template = Judge().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    kept = args.judges / f"{train.fingerprint[:12]}.npz"
    if not kept.exists():
        began = time.perf_counter()
        args.judges.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, *map(np.asarray, jax.tree.leaves(train_judge(train))))
        files.write_file(kept, buffer.getvalue())
        print(f"judge trained in {time.perf_counter() - began:.0f} s")
    with np.load(kept) as arrays:
        params = jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in arrays.files])
    accuracy = (judge_all(params, pixels.rest_to_unit(test.images))[1] == test.labels).mean()
    print(f"the judge's own accuracy on real test images: {accuracy:.4f}; reference: {args.reference}")

    train_images, test_images = (pixels.rest_to_unit(d.images[:N]) for d in (train, test))  # by digest: random
    reference, other = (test_images, train_images) if args.reference == "test" else (train_images, test_images)
    other_labels = (train if args.reference == "test" else test).labels[:N]
    features = judge_all(params, reference)[0]
    rows = {"real data": judge_row(params, features, other, other_labels)}
    labels = np.arange(N) % 10
    for generator in generators:
        images = sampling.sample_from(generator, jax.random.key(args.seed), labels)
        rows[generator.card["name"]] = judge_row(params, features, np.asarray(images), labels)
    for name, row in rows.items():
        print(f"{name:24}", " ".join(f"{metric} {value:.4f}" for metric, value in row.items()), flush=True)
    if args.json:
        about = {"reference": args.reference, "samples": N, "judge_accuracy": float(accuracy), "rows": rows}
        files.write_json(args.json, about)
        print(args.json)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
