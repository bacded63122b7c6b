"""Decoys against classifiers of other libraries, unmodified: `python -m experiments.outside --data-dir DIR`.

A random forest and a support vector machine of scikit-learn, and a small network of PyTorch where that is installed,
are trained on 10,000 images of MNIST; methods `square` and `spsa` then ask for their scores and see nothing else.
"""

import dataclasses
import sys
import time
from collections.abc import Callable

import numpy as np

from cganjax import cli, data, pixels


@dataclasses.dataclass(frozen=True)
class Outside:
    """A model of another library as `cganjax.decoy` takes it."""

    answer: Callable[[np.ndarray], np.ndarray]
    scores: str

    def __call__(self, images) -> np.ndarray:
        """Images [N, H, W, C] -> numbers [N, K]."""
        return self.answer(np.asarray(images))


def scikit_learn(images: np.ndarray, labels: np.ndarray) -> dict[str, Outside]:
    """Classifiers of scikit-learn, trained on images [N, H, W, C] in [0, 1]."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    models = {
        "random forest": RandomForestClassifier(200, random_state=0, n_jobs=-1),
        "SVM": SVC(C=10, gamma="scale"),
    }
    flat = images.reshape(len(images), -1)
    made = {}
    for name, model in models.items():
        model.fit(flat, labels)
        # An SVM's one-against-rest scores order the classes; their softmax is its confidence.
        give, scores = (model.predict_proba, "probabilities") if name == "random forest" else (
            model.decision_function, "logits")  # fmt: skip
        made[name] = Outside(lambda x, give=give: give(x.reshape(len(x), -1)).astype(np.float32), scores)
    return made


def pytorch(images: np.ndarray, labels: np.ndarray, epochs: int = 3) -> Outside | None:
    """A small network of PyTorch, or None where that is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, stride=2), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(1152, 10),
    )  # fmt: skip
    x, y = torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy()

    return Outside(answer, "logits")


def main(argv=None) -> int:
    """Train, calibrate, attack, tabulate."""
    p = cli.Parser(prog="python -m experiments.outside", description=__doc__)
    p.add_argument("--n", type=int, default=50, help="generated digits (default: 50)")
    p.add_argument("--epsilon", type=float, default=0.2, help="largest change of a pixel (default: 0.2)")
    p.add_argument("--queries", type=int, default=1000, help="budget of square an image (default: 1000)")
    p.add_argument("--data-dir", metavar="DIR", help="where MNIST lies (default: as for train)")
    p.add_argument("--seed", type=int, default=0, help="of the digits and the attacks (default: 0)")
    cli.add_backend(p)
    args = p.parse_args(argv)
    cli.check_seed(args.seed)
    if args.n < 1 or args.queries < 10 or not 0 <= args.epsilon <= 1:
        raise cli.UserError(f"--n {args.n}, --queries {args.queries}, --epsilon {args.epsilon}: give at least 1, at "
                            "least 10, and within 0 and 1")  # fmt: skip
    cli.choose_backend(args.backend)
    from cganjax import decoys, detectors, rng, sampling

    train, test = (data.load("mnist", split, args.data_dir) for split in ("train", "test"))
    images, labels = pixels.rest_to_unit(train.images[:10000]), train.labels[:10000]
    real = pixels.rest_to_unit(test.images)
    models = scikit_learn(images, labels)
    network = pytorch(images, labels)
    if network is None:
        print("PyTorch is not installed: its network is left out")
    else:
        models["PyTorch network"] = network
    asked = np.arange(args.n) % 10
    key = rng.root(args.seed)
    clean = np.asarray(sampling.sample(rng.stream(key, "digits"), asked))
    heads = zip(("accuracy", "usable", "rejected", "read as before", "queries", "s"), (9, 8, 10, 16, 9, 7), strict=True)
    print(f"{'':18}{'method':10}" + "".join(f"{name:>{width}}" for name, width in heads))
    for name, model in models.items():
        detector = detectors.calibrate("msp", model, real[:5000])
        accuracy = (model(real[5000:]).argmax(axis=1) == test.labels[5000:]).mean()
        usable = (model(clean).argmax(axis=1) == asked) & ~np.asarray(detector.rejects(clean))
        if not usable.any():
            raise cli.UserError(f"{name} rejects or misreads all {args.n} digits: give a larger --n")
        for method, settings in (("square", {"queries": args.queries}), ("spsa", {})):
            began = time.perf_counter()
            result = decoys.decoy(
                rng.stream(key, method), clean[usable], model, epsilon=args.epsilon, method=method, detector=detector,
                **settings,
            )  # fmt: skip
            print(f"{name:18}{method:10}{100 * accuracy:8.1f}%{usable.sum():8}{100 * result.rejected.mean():9.1f}%"
                  f"{100 * result.label_kept.mean():15.1f}%{int(result.queries.mean()):9}"
                  f"{time.perf_counter() - began:7.1f}", flush=True)  # fmt: skip
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
