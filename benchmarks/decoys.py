"""PGD and the FGSM curve on `lenet5` against foolbox, ART and torchattacks, in PyTorch on the same weights.

    python -m benchmarks.decoys --repeats 5 --data-dir DIR
    python -m benchmarks.decoys --images 200 --curve 1000    # shorter, and on generated digits

PGD goes 20 steps of an eighth of epsilon 0.1, L-infinity, up the cross-entropy, from a random start. Before a time is
taken the two networks' logits agree to 1e-4, every side's images from the clean start lie within epsilon and [0, 1],
and the accuracies after that attack, in the notes, differ by no more than a percentage point. The notes also count how
often an image went forward and back through the network: each peer's as its network saw them. cganjax's are by
construction: it returns the image of the highest loss that it saw, and so shows the last image too, and from a random
start the clean one: two forward passes more than the 20 and 20 of foolbox and torchattacks. ART also runs two more, to
evaluate.

Peers get tensors in their own layout, a network in eval mode whose weights ask for no gradient, all cores, and the
fastest of a few batch sizes, found by the attacks that were checked; foolbox by `run`, which evaluates nothing. Peers
have no decoy objective: `cganjax.decoy` is compared with their same PGD. Its time includes evaluating every image
before and after the attack, and the warnings. The curve is of cross-entropy; PyTorch goes through it as its FGSM
tutorial does (one gradient per epsilon), in batches of 1,000, and by one gradient for all epsilons, as cganjax does.
Its accuracies may differ by a point too: on an empty background pixels tie in max pooling, where PyTorch gives the
gradient to the first and cganjax shares it. A first call compiles; no cache is read.

A library that is not installed is left out: pip install torch foolbox adversarial-robustness-toolbox torchattacks
"""

import functools
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import timing
from cganjax import cli, data, parallel, pixels

STEPS, EPSILON = 20, 0.1
STEP = EPSILON * 2.5 / STEPS
BATCHES = (1000, 250, 64)  # a peer's best is taken
CURVE_BATCH = 1000
MODULES = {"foolbox": "foolbox", "adversarial-robustness-toolbox": "art", "torchattacks": "torchattacks"}


def network(params):
    """`lenet5` in PyTorch: images [N, 1, 28, 28] in [0, 1] -> logits, from the weights of ours."""
    from torch import nn

    from benchmarks import torch_flagship
    from cganjax.models import lenet5

    class Lenet5(nn.Module):
        """The same layers; the features are flattened in our order, rows, columns, channels, by the first `Linear`."""

        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(1, 6, 5, padding=2),
                nn.MaxPool2d(2),
                nn.ReLU(),
                nn.Conv2d(6, 16, 5),
                nn.MaxPool2d(2),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(400, 120),
                nn.ReLU(),
                nn.Linear(120, 84),
                nn.ReLU(),
                nn.Linear(84, 10),
            )

        def forward(self, images):
            return self.body((images - lenet5.MEAN) / lenet5.STD)

    net = Lenet5()
    layers = [layer for layer in net.body if hasattr(layer, "weight")]
    names = ("ConvMaxPool_0", "ConvMaxPool_1", "Dense_0", "Dense_1", "Dense_2")
    for name, layer in zip(names, layers, strict=True):
        arrays = params[name]
        if name == "Dense_0":  # its inputs are rows, columns, channels in ours, and channels first in PyTorch
            kernel = np.asarray(arrays["kernel"]).reshape(5, 5, 16, 120).transpose(2, 0, 1, 3).reshape(400, 120)
            arrays = {**arrays, "kernel": kernel}
        (torch_flagship.fill_conv if isinstance(layer, nn.Conv2d) else torch_flagship.fill_linear)(layer, arrays)
    return net.eval().requires_grad_(False)


def peer(module: str, net, images: np.ndarray, labels: np.ndarray, batch: int, random_start: bool):
    """A call without arguments: PGD by that library on images [N, 1, 28, 28], to an array of the same shape."""
    import torch

    if module == "art":
        from art.attacks.evasion import ProjectedGradientDescentPyTorch
        from art.estimators.classification import PyTorchClassifier

        shape, loss = images.shape[1:], torch.nn.CrossEntropyLoss()
        estimator = PyTorchClassifier(net, loss, shape, nb_classes=10, clip_values=(0.0, 1.0), device_type="cpu")
        settings = {"eps": EPSILON, "eps_step": STEP, "max_iter": STEPS, "num_random_init": int(random_start)}
        attack = ProjectedGradientDescentPyTorch(estimator, batch_size=batch, verbose=False, **settings)
        return functools.partial(attack.generate, images, labels)
    if module == "foolbox":
        import foolbox

        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=random_start)
        run = functools.partial(attack.run, model, epsilon=EPSILON)
    else:
        import torchattacks

        run = torchattacks.PGD(net, eps=EPSILON, alpha=STEP, steps=STEPS, random_start=random_start)
    parts = list(zip(torch.from_numpy(images).split(batch), torch.from_numpy(labels).split(batch), strict=True))
    return lambda: torch.cat([run(x, y) for x, y in parts]).numpy()


class Passes:
    """While it is entered, counts the images that go forward and back through a PyTorch network."""

    def __init__(self, net):
        self._net, self.forward, self.back = net, 0, 0

    def __enter__(self):
        def went_back(gradient):
            self.back += len(gradient)

        def went(_, inputs, logits):
            self.forward += len(logits)
            if logits.requires_grad:
                logits.register_hook(went_back)

        self._hook = self._net.register_forward_hook(went)
        return self

    def __exit__(self, *exc):
        self._hook.remove()


def torch_curve(net, images, labels, epsilons, *, shared: bool) -> np.ndarray:
    """PyTorch's FGSM tutorial in batches: accuracy at each epsilon; `shared`: one gradient for all of them."""
    import torch

    right = np.zeros(len(epsilons))
    for x, y in zip(images.split(CURVE_BATCH), labels.split(CURVE_BATCH), strict=True):
        for e, epsilon in enumerate(epsilons):
            if e == 0 or not shared:
                x.requires_grad_()
                logits = net(x)
                before = logits.argmax(1) == y
                (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, y), x)
                x, sign = x.detach(), slope.sign()
            with torch.no_grad():
                after = net(torch.clamp(x + epsilon * sign, 0, 1)).argmax(1) == y
            right[e] += int((before & after).sum())
    return right / len(images)


def checked(side: str, adversarial: np.ndarray, images: np.ndarray, labels: np.ndarray, classifier) -> float:
    """Accuracy in percent of what a side made, NHWC, which must lie within its bounds."""
    from cganjax import scores

    off, low, high = np.abs(adversarial - images).max(), adversarial.min(), adversarial.max()
    if not (off <= EPSILON + 1e-6 and low >= -1e-6 and high <= 1 + 1e-6):
        raise SystemExit(f"{side}: images {off:.4g} from the clean ones, in [{low:.4g}, {high:.4g}]: out of bounds")
    return 100 * float((scores.confidences_of(classifier, adversarial).argmax(axis=1) == labels).mean())


def agree(accuracies: dict[str, float], most: float = 1.0) -> None:
    """End where the sides' accuracies, in percent, are further apart than `most`."""
    if max(accuracies.values()) - min(accuracies.values()) > most:
        raise SystemExit(f"accuracies after the attack differ by more than {most:g}: {accuracies}: nothing was timed")


def first_calls(call, repeats: int) -> list[float]:
    """Seconds of a call that compiles all that it needs, as in a new process."""
    import jax

    seconds = []
    for _ in range(min(repeats, 3)):
        jax.clear_caches()
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def installed() -> dict[str, str]:
    """Package -> module of the peers that are there; of the others a sentence is printed."""
    for name in ("torch", *MODULES):
        if importlib.util.find_spec(MODULES.get(name, name)) is None:
            print(f"{name} is not installed and is left out: pip install {name}")
    if importlib.util.find_spec("torch") is None:
        return {}
    return {name: module for name, module in MODULES.items() if importlib.util.find_spec(module)}


def measure(args):
    """The rows: PGD warm, the decoy objective beside it, the curve, and first calls."""
    if min(args.images, args.curve) < 1:
        raise cli.UserError(f"--images is {args.images} and --curve {args.curve}: give at least 1")
    cli.choose_backend("cpu")  # where the peers are
    import jax

    import cganjax
    from cganjax.decoys import robustness

    jax.config.update("jax_compilation_cache_dir", None)  # a first call is a first call
    key, classifier = jax.random.key(0), cganjax.load_classifier("lenet5")
    most = max(args.images, args.curve)
    if args.data_dir is None:
        labels = np.arange(most) % 10
        images = np.asarray(cganjax.sample(key, labels))
    else:
        test = data.load("mnist", "test", args.data_dir)
        images, labels = pixels.rest_to_unit(test.images[:most]), test.labels[:most].astype(np.int64)
    few, truth = images[: args.images], labels[: args.images]
    curve_images, curve_truth = images[: args.curve], labels[: args.curve]

    pgd = functools.partial(robustness.pgd, key, classifier, few, truth, EPSILON, steps=STEPS)
    decoy = functools.partial(
        cganjax.decoy, key, few, classifier, epsilon=EPSILON, method="pgd", steps=STEPS, share=STEP / EPSILON
    )
    curve = functools.partial(robustness.curve, classifier, curve_images, curve_truth)
    accuracies = {timing.OURS: checked(timing.OURS, pgd(random_start=False), few, truth, classifier)}
    notes = {timing.OURS: f"accuracy {accuracies[timing.OURS]:.2f} %, {STEPS + 2} forward, {STEPS} back"}
    sides, curves = {timing.OURS: pgd}, {timing.OURS: lambda: curve().accuracy}
    peers = installed()
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(parallel.cores())
        net, planes = network(classifier.params), few.transpose(0, 3, 1, 2).copy()
        timing.same("logits", classifier(few), net(torch.from_numpy(planes)).numpy(), 1e-4)
        tensors = torch.from_numpy(curve_images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(curve_truth)
        for name, shared in (("torch, a gradient an epsilon", False), ("torch, one gradient for all", True)):
            curves[name] = functools.partial(torch_curve, net, *tensors, robustness.EPSILONS, shared=shared)
    for name, module in peers.items():
        seconds = {}
        for batch in dict.fromkeys(min(b, len(few)) for b in BATCHES):
            attack = peer(module, net, planes, truth, batch, random_start=False)
            with Passes(net) as passes:
                made = attack().transpose(0, 2, 3, 1)
            seconds[batch] = min(timing.in_turn({name: attack}, 2)[name])
        best = min(seconds, key=seconds.get)
        accuracies[name] = checked(name, made, few, truth, classifier)
        notes[name] = (
            f"accuracy {accuracies[name]:.2f} %, {passes.forward / len(few):g} forward, "
            f"{passes.back / len(few):g} back, batches of {best}"
        )
        sides[name] = peer(module, net, planes, truth, best, random_start=True)
    agree(accuracies)

    decoy_side = "cganjax.decoy"
    seconds = timing.in_turn(sides | {decoy_side: decoy}, args.repeats)
    by_decoy, number = seconds.pop(decoy_side), f"{len(few):,} images"
    number += " of MNIST's test set" if args.data_dir else " that were generated"
    what = f"PGD, {STEPS} steps, {number}, cross-entropy"
    yield from timing.rows(what, seconds, "s", **notes)
    notes[timing.OURS] = f"{decoy().queries.mean():g} forward, {STEPS} back, and the evaluation of the result"
    what = f"PGD, {STEPS} steps, {number}, the decoy objective (peers as above)"
    yield from timing.rows(what, seconds | {timing.OURS: by_decoy}, "s", **notes)

    accuracies = {name: call() for name, call in curves.items()}
    for name, values in accuracies.items():
        agree({timing.OURS: 0.0, name: 100 * float(np.abs(values - accuracies[timing.OURS]).max())})
    at = robustness.EPSILONS.index(0.1)
    notes = {name: f"accuracy {100 * values[at]:.2f} % at 0.1" for name, values in accuracies.items()}
    what = f"FGSM curve, {len(curve_images):,} images x {len(robustness.EPSILONS)} epsilons"
    yield from timing.rows(what, timing.in_turn(curves, args.repeats), "s", **notes)

    firsts = {"PGD": pgd, "decoy": decoy, "the FGSM curve": curve}
    for what, call in firsts.items():
        yield from timing.rows(f"{what}, first call", {timing.OURS: first_calls(call, args.repeats)}, "s")


def _flags(parser):
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where MNIST lies; without it digits are generated"
    )
    parser.add_argument("--images", type=int, default=1000, metavar="N", help="of PGD (default: 1000)")
    parser.add_argument("--curve", type=int, default=10000, metavar="N", help="images of the curve (default: 10000)")


def main(argv=None) -> int:
    """Check that all sides do the same, then time them in turn."""
    return timing.command("decoys", __doc__, measure, argv, add=_flags, repeats=5)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
