"""Classifiers of other libraries as `cganjax.decoy` takes them: images in, outputs out, and nothing else visible.

`MODELS` is the table of them. Each is trained on images float32 [N, H, W, C] in [0, 1] and labels int [N]. A library is
imported where it is used. experiments/outside.py and experiments/transfer.py attack them.
"""

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class Outside:
    """A model of another library, unmodified."""

    predict: Callable[[np.ndarray], np.ndarray]  # images [N, H, W, C] -> outputs [N, K]
    scores: str  # the kind of the outputs, one of `cganjax.scores.KINDS`

    def __call__(self, images) -> np.ndarray:
        """Images [N, H, W, C] -> outputs float32 [N, K]."""
        return np.asarray(self.predict(np.asarray(images)), np.float32)


def random_forest(images: np.ndarray, labels: np.ndarray) -> Outside:
    """200 trees of scikit-learn. Its probabilities are means over leaves: constant between the trees' thresholds."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(200, random_state=0, n_jobs=-1).fit(_flat(images), labels)
    return Outside(lambda x: model.predict_proba(_flat(x)), "probabilities")


def svm(images: np.ndarray, labels: np.ndarray) -> Outside:
    """A support vector machine of scikit-learn."""
    from sklearn.svm import SVC

    model = SVC(C=10, gamma="scale").fit(_flat(images), labels)
    # Its one-against-rest scores order the classes; we take their softmax for its confidence.
    return Outside(lambda x: model.decision_function(_flat(x)), "logits")


def mlp_in_onnx(images: np.ndarray, labels: np.ndarray) -> Outside:
    """A network of scikit-learn, one hidden layer of 128, run by ONNX Runtime."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((128,), early_stopping=True, random_state=0).fit(_flat(images), labels)
    return in_onnx_runtime(model, images[0].size)


def in_onnx_runtime(model, pixels: int) -> Outside:
    """A fitted classifier of scikit-learn on rows [N, pixels], as a graph that skl2onnx makes and ONNX Runtime runs."""
    import onnxruntime
    import skl2onnx

    # Without zipmap its second output is an array [N, K], with it a list of dictionaries.
    graph = skl2onnx.to_onnx(model, np.zeros((1, pixels), np.float32), options={"zipmap": False})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return Outside(lambda x: session.run(["probabilities"], {given.name: _flat(x)})[0], "probabilities")


def pytorch(images: np.ndarray, labels: np.ndarray, epochs: int = 3) -> Outside:
    """A small convolutional network of PyTorch, for images of at least 7x7 pixels."""
    import torch

    torch.manual_seed(0)
    height, width, channels = images.shape[1:]
    reduced = [((side - 3) // 2 + 1 - 3) // 2 + 1 for side in (height, width)]
    model = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * reduced[0] * reduced[1], int(labels.max()) + 1),
    )
    x, y = torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy()

    return Outside(predict, "logits")


class Model(NamedTuple):
    """An entry of the table."""

    train: Callable[[np.ndarray, np.ndarray], Outside]
    needs: tuple[str, ...] = ()  # libraries beyond the core
    install: str = ""


MODELS = {
    "random forest": Model(random_forest),
    "SVM": Model(svm),
    "MLP in ONNX": Model(mlp_in_onnx, ("onnxruntime", "skl2onnx"), "pip install 'cganjax[onnx]'"),
    "PyTorch network": Model(pytorch, ("torch",), "pip install torch"),
}


def installed() -> dict[str, Callable[[np.ndarray, np.ndarray], Outside]]:
    """How to train each model whose libraries are installed; for each other one, print what is missing."""
    found = {}
    for name, model in MODELS.items():
        missing = [library for library in model.needs if importlib.util.find_spec(library) is None]
        if missing:
            print(f"{name} is left out: {' and '.join(missing)} not installed ({model.install})")
        else:
            found[name] = model.train
    return found


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)
