"""Drawing images by the shipped `mnist`, against a published generator and against the same weights elsewhere.

    python -m benchmarks.sampling                       # batches of 1, 64 and 1,024
    python -m benchmarks.sampling --batches 64 --no-torch-compile
    python -m benchmarks.sampling --million             # 1,000,000 images: seconds, and peak memory beside the result

The sides, each on all cores that the process may use:

    cganjax                      `mnist`
    label_score, PyTorch         the generator of that system as published, with the shipped weights, in eval mode
    mnist, ONNX Runtime          our weights as a graph of Gemm, Conv and DepthToSpace
    mnist, PyTorch               our weights as a module, eager
    mnist, torch.compile         the same, compiled

"given latents" is the generator alone; "drawn" is the whole of `cganjax.sample(key, labels)`, where each side draws its
own latents (so no two sides can agree there) and ends with images in [0, 1]. Given the same latents, all sides of the
same weights must agree to 1e-4 before anything is timed. A peer that is not installed is left out.

Freed memory is kept by malloc, as our commands have it (`cganjax.cli.keep_freed_memory`): by default it is mapped and
cleared at each call, which takes `label_score` in PyTorch, with its large grids, twice as long. `--default-malloc` has
that.
"""

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import cganjax
from benchmarks import memory, timing
from cganjax import cli

BATCHES = (1, 64, 1024)
TOLERANCE = 1e-4
PAUSE = 0.3  # seconds: threads of ONNX Runtime spin for a while after a call, on the cores of whoever comes next
LABEL_SCORE, ONNX, TORCH, COMPILED = (
    "label_score, PyTorch",
    "mnist, ONNX Runtime",
    "mnist, PyTorch",
    "mnist, torch.compile",
)


class Peer(NamedTuple):
    """One other side, on NumPy arrays and its own tensors alike."""

    prepare: Callable[[np.ndarray, np.ndarray], Any]  # latents, labels -> its own inputs
    draw: Callable[[np.ndarray], Any]  # labels -> its own inputs, with latents that it draws
    generate: Callable[[Any], Any]  # its own inputs -> its own images [N, 1, 28, 28] in [0, 1], when they are there
    checkpoint: str  # the shipped checkpoint with the same weights


# --- the peers --------------------------------------------------------------------------------------------------------


def peers(compiled: bool, device: str = "cpu") -> dict[str, Peer]:
    """Every peer that is installed and runs on PyTorch's `device`; of the others it says how to get them."""
    found = {}
    try:
        import torch

        found[LABEL_SCORE] = _torch_peer(_label_score("label-score"), "label-score", device)
        found[TORCH] = _torch_peer(_flagship("mnist"), "mnist", device)
        if compiled:
            # A program for each batch size: what PyTorch has to offer at its best.
            found[COMPILED] = _torch_peer(torch.compile(_flagship("mnist"), dynamic=False), "mnist", device)
    except ImportError:
        print("left out: PyTorch (pip install torch)")
    try:
        if device == "cpu":
            found[ONNX] = _onnx_peer(_arrays("mnist"))
    except ImportError:
        print("left out: ONNX Runtime (pip install onnx onnxruntime)")
    return found


def _arrays(checkpoint: str) -> dict[str, np.ndarray]:
    """`params/Conv_0/kernel` and so on, in NumPy."""
    weights = cganjax.load(checkpoint).weights
    return {
        f"{layer}/{name}": np.asarray(value)
        for tree in weights
        for layer, arrays in tree.items()
        for name, value in arrays.items()
    }


def _torch_peer(module, checkpoint: str, device: str) -> Peer:
    import torch

    module.eval().to(device)
    latent_size = cganjax.load(checkpoint).latent_size
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None

    def generate(inputs):
        with torch.inference_mode():
            images = module(*inputs)
        wait()
        return images

    def prepare(z, labels):
        return torch.from_numpy(z).to(device), torch.from_numpy(labels.astype(np.int64)).to(device)

    def draw(labels):
        z = torch.randn(len(labels), latent_size, device=device)
        return z, torch.from_numpy(labels.astype(np.int64)).to(device)

    return Peer(prepare, draw, generate, checkpoint)


def _flagship(checkpoint: str):
    """Our networks in PyTorch, with images in [0, 1] as they leave `cganjax.sample`; channels last within."""
    import torch

    from benchmarks import torch_flagship

    class Generator(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.generator = torch_flagship.generator(cganjax.load(checkpoint).weights.params)

        def forward(self, z, labels):
            return self.generator(z, labels).contiguous() * 0.5 + 0.5

    return Generator().to(memory_format=torch.channels_last)


def _label_score(checkpoint: str):
    """The generator as its report lists it: Dense to a 56x56 grid, three convolutions, batch normalisation, tanh."""
    import torch
    from torch import nn

    from benchmarks import torch_flagship

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(110, 3136)
            self.body = nn.Sequential(
                nn.BatchNorm2d(1),
                nn.ReLU(),
                nn.Conv2d(1, 50, 3, padding=1),
                nn.BatchNorm2d(50),
                nn.ReLU(),
                nn.Conv2d(50, 25, 3, padding=1),
                nn.BatchNorm2d(25),
                nn.ReLU(),
                nn.Conv2d(25, 1, 2, stride=2),
                nn.Tanh(),
            )

        def forward(self, z, labels):
            x = torch.cat([z, nn.functional.one_hot(labels, 10).to(z.dtype)], 1)
            return self.body(self.dense(x).view(-1, 1, 56, 56)) * 0.5 + 0.5

    module, (params, statistics) = Generator(), cganjax.load(checkpoint).weights
    torch_flagship.fill_linear(module.dense, params["Dense_0"])
    for i, layer in enumerate((module.body[2], module.body[5], module.body[8])):
        torch_flagship.fill_conv(layer, params[f"Conv_{i}"])
    for i, layer in enumerate((module.body[0], module.body[3], module.body[6])):
        arrays = params[f"BatchNorm_{i}"] | statistics[f"BatchNorm_{i}"]
        names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
        values = {ours: torch.tensor(np.asarray(arrays[theirs])) for ours, theirs in names.items()}
        layer.load_state_dict(values | {"num_batches_tracked": torch.tensor(0)})
    return module


def _onnx_peer(arrays: Mapping[str, np.ndarray]) -> Peer:
    import onnxruntime

    session = onnxruntime.InferenceSession(_onnx_graph(arrays), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)

    def generate(inputs):
        return session.run(None, inputs)[0]

    def prepare(z, labels):
        return {"z": z, "labels": labels.astype(np.int64)}

    def draw(labels):
        z = random.standard_normal((len(labels), 64), np.float32)
        return {"z": z, "labels": labels.astype(np.int64)}

    return Peer(prepare, draw, generate, "mnist")


def _onnx_graph(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Our networks as an ONNX model; DepthToSpace's mode DCR has our order of channels."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, constants = [], {}

    def constant(name, array):
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(kind, *inputs, **attributes):
        nodes.append(helper.make_node(kind, list(inputs), [f"x{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def dense(x, name, order=slice(None)):
        kernel, bias = arrays[f"{name}/kernel"][:, order], arrays[f"{name}/bias"][order]
        return node("Gemm", x, constant(f"{name}/kernel", kernel), constant(f"{name}/bias", bias))

    def conv(x, name):
        kernel = constant(f"{name}/kernel", arrays[f"{name}/kernel"].transpose(3, 2, 0, 1))
        bias = constant(f"{name}/bias", arrays[f"{name}/bias"])
        return node("Conv", x, kernel, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def lrelu(x):
        return node("LeakyRelu", x, alpha=0.2)

    classes = node("Gather", constant("embedding", arrays["Embed_0/embedding"]), "labels")
    x = lrelu(dense(node("Concat", "z", classes, axis=1), "Dense_0"))
    x = lrelu(dense(x, "Dense_1", np.arange(3136).reshape(7, 7, 64).transpose(2, 0, 1).ravel()))
    x = node("Reshape", x, constant("shape", np.array([-1, 64, 7, 7])))
    x = node("DepthToSpace", lrelu(conv(x, "Conv_0")), blocksize=2, mode="DCR")
    x = conv(lrelu(conv(x, "Conv_1")), "Conv_2")
    x = node("Tanh", node("DepthToSpace", x, blocksize=2, mode="DCR"))
    half = constant("half", np.float32(0.5).reshape(1))
    nodes.append(helper.make_node("Add", [node("Mul", x, half), half], ["images"]))
    graph = helper.make_graph(
        nodes,
        "mnist",
        [
            helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 64]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 28, 28])],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


# --- the measurements -------------------------------------------------------------------------------------------------


def measure(args) -> Iterator[timing.Row]:
    """The rows of every batch, and the million's where it is asked for."""
    import jax

    if min(args.batches) < 1:
        raise cli.UserError(f"--batches has {min(args.batches)}: give at least 1")
    if args.default_malloc:
        jax.config.update("jax_platforms", "cpu")
    else:
        cli.choose_backend("cpu")  # where the peers are; benchmarks.gpu is about the other place
    others = peers(not args.no_torch_compile)
    for batch in args.batches:
        yield from of_batch(batch, others, args.repeats)
    if args.million:
        yield from million()


def of_batch(
    batch: int, others: Mapping[str, Peer], repeats: int, tolerance: float = TOLERANCE
) -> Iterator[timing.Row]:
    """Rows of one batch size: the generator given latents, and the whole call. A side that cannot run is left out."""
    import jax

    generator = cganjax.load("mnist")
    key, labels = jax.random.key(batch), (np.arange(batch) % 10).astype(np.int32)
    z = np.array(jax.random.normal(key, (batch, generator.latent_size)))
    given, others = {}, dict(others)
    for name, peer in list(others.items()):
        reference = cganjax.load(peer.checkpoint)
        latents = np.array(jax.random.normal(key, (batch, reference.latent_size)))
        try:
            inputs = peer.prepare(latents, labels)
            images = peer.generate(inputs)
            images = images.cpu().numpy() if hasattr(images, "cpu") else images
        except Exception as error:  # a compiler that is missing or fails has errors of every kind, and so has memory
            if name != COMPILED and "OutOfMemory" not in type(error).__name__:
                raise
            print(f"left out: {name} ({type(error).__name__}: {str(error).strip().splitlines()[0][:100]})")
            del others[name]
            continue
        timing.same(f"{name}, batch {batch}", reference(latents, labels), images.reshape(-1, 28, 28, 1), tolerance)
        given[name] = functools.partial(peer.generate, inputs)

    # Inputs lie where the side wants them, as the peers' do; ours checks labels on the host.
    inputs = jax.device_put(z), labels
    sides = {timing.OURS: lambda: jax.block_until_ready(generator(*inputs)), **given}
    yield from _rows(f"batch {batch:,}, given latents", sides, batch, repeats)

    drawn = {name: lambda peer=peer: peer.generate(peer.draw(labels)) for name, peer in others.items()}
    sides = {timing.OURS: lambda: jax.block_until_ready(cganjax.sample(key, labels)), **drawn}
    yield from _rows(f"batch {batch:,}, drawn", sides, batch, repeats)


def _rows(what: str, sides, batch: int, repeats: int) -> list[timing.Row]:
    # A call of less than a millisecond follows others of its kind in use; alone after a pause it meets cold caches.
    calls = 50 if batch < 16 else 1

    def often(call):
        for _ in range(calls):
            call()

    seconds = timing.in_turn(
        {name: functools.partial(often, call) for name, call in sides.items()}, repeats, pause=PAUSE
    )
    notes = {name: f"{batch * calls / sorted(v)[len(v) // 2]:,.0f} images/s" for name, v in seconds.items()}
    return timing.rows(what, seconds, "ms", 1e3 / calls, **notes)


# --- a million --------------------------------------------------------------------------------------------------------

MILLION = """
import jax, numpy as np, cganjax
labels = np.arange(1_000_000, dtype=np.int32) % 10
images = jax.block_until_ready(cganjax.sample(jax.random.key(0), labels))
assert images.shape == (1_000_000, 28, 28, 1)
"""
# What stays in memory whatever is drawn: the same process, with a batch of one piece.
BEFORE = """
import jax, numpy as np, cganjax
labels = np.arange(1_000_000, dtype=np.int32) % 10
jax.block_until_ready(cganjax.sample(jax.random.key(0), labels[:64]))
"""


def million() -> Iterator[timing.Row]:
    """Seconds and peak memory of a million images, each in a process of its own that also imports and compiles."""
    began = time.perf_counter()
    peak = memory.peak_bytes("-c", MILLION)
    seconds, before = time.perf_counter() - began, memory.peak_bytes("-c", BEFORE)
    result = 1_000_000 * 28 * 28 * 4
    note = f"from process start; {1e6 / seconds:,.0f} images/s"
    yield from timing.rows("1,000,000 images, drawn", {timing.OURS: [seconds]}, "s", **{timing.OURS: note})
    note = f"{peak / result:.2f} times the result of {result / 1e6:,.0f} MB; {(peak - result) / 1e6:,.0f} MB beside it"
    values = {timing.OURS: [peak], "64 images": [before], "the result alone": [result]}
    yield from timing.rows("1,000,000 images, peak memory", values, "MB", 1e-6, **{timing.OURS: note})


def add(parser) -> None:
    """The flags of this benchmark."""
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=BATCHES,
        metavar="N",
        help=f"images a call (default: {' '.join(map(str, BATCHES))})",
    )
    parser.add_argument("--no-torch-compile", action="store_true", help="leave out torch.compile, which takes a minute")
    parser.add_argument("--default-malloc", action="store_true", help="leave memory to malloc as it is")
    parser.add_argument("--million", action="store_true", help="also draw 1,000,000 images, and look at the memory")


def main(argv=None):
    """The command."""
    return timing.command("sampling", __doc__, measure, argv, add=add)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
