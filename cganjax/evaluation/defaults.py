"""Which shipped networks measure a data set, if the user names none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cganjax import checkpoint as ckpt
from cganjax.data import known
from cganjax.data.record import GIVEN
from cganjax.evaluation import places
from cganjax.evaluation import reference as references

EXTRACTOR, CLASSIFIER = "digits-v1", "digits-judge"
JUDGE = CLASSIFIER  # the former name; removed in the next version
_ROLES = {"extractor": EXTRACTOR, "judge": CLASSIFIER}  # role in a card -> the checkpoint that is preferred


def extractor_for(data: Mapping[str, Any]) -> str | None:
    """The shipped feature extractor for a data set, or None.

    >>> extractor_for({"name": "mnist", "num_classes": 10}), extractor_for({"name": "kmnist", "num_classes": 10})
    ('digits-v1', None)

    Args:
      data: what a manifest or a card says of the data: `name` and `spec` or `num_classes`, and `split`, `fingerprint`
        and `place` if they are known.
    """
    return _shipped("extractor", lambda one: same_data(one, data))


def extractor_of_shape(shape: Sequence[int]) -> str | None:
    """The shipped feature extractor for images [H, W, C] that nothing else is known of, or None.

    >>> extractor_of_shape((28, 28, 1)), extractor_of_shape((12, 16, 3))
    ('digits-v1', None)
    """
    return _shipped("extractor", lambda one: known.recorded(one).shape == tuple(shape))


def classifier_for(data: Mapping[str, Any]) -> str | None:
    """The shipped reference classifier for a data set, or None; the argument is as of `extractor_for`.

    >>> classifier_for({"name": "mnist", "num_classes": 10})
    'digits-judge'
    """
    return _shipped("judge", lambda one: same_data(one, data))


def same_data(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records are of the same data set, or of two that show the same things.

    Images of the same shape whose classes have the same names can show other things: the names of ten classes are
    often "0" to "9". So the fingerprint decides, and for two splits of a set the name of a published set does.

    >>> mnist = {"name": "mnist", "num_classes": 10, "split": "train", "fingerprint": "1"}
    >>> same_data(mnist, mnist | {"name": "copy", "place": "/copy"})
    True
    >>> same_data(mnist, mnist | {"split": "train[:500]", "fingerprint": "2"})
    True
    >>> same_data(mnist, mnist | {"name": "my_digits", "place": "/my_digits", "fingerprint": "3"})
    False
    """
    first, second = known.recorded(one), known.recorded(other)
    if (first.shape, first.num_classes) != (second.shape, second.num_classes):
        return False
    fingerprints = [one.get("fingerprint"), other.get("fingerprint")]
    if None not in fingerprints and fingerprints[0] == fingerprints[1]:
        return True
    if one.get("place") or other.get("place"):
        return False
    name, other_name = one.get("name"), other.get("name")
    if name == other_name and None not in fingerprints and one.get("split") == other.get("split"):
        return False  # other images under the name of a published set
    return known.ALIKE.get(name, name) == known.ALIKE.get(other_name, other_name)


def advice(data: Mapping[str, Any] | None = None) -> str:
    """What to do about images that no extractor was made for.

    Args:
      data: what a manifest or card says of the data: its `name`, and its `place` if it is known.

    >>> print(advice({"name": "mine", "place": "/my data/mine.npz"}))
    make one by cganjax reference '/my data/mine.npz'
    >>> print(advice({"name": "arrays", "place": "given arrays"}))
    save the images by np.savez("DATA.npz", images=images, labels=labels), make one by cganjax reference DATA.npz, and \
    give --extractor DATA.reference
    """
    data = data or {}
    if data.get("place") == GIVEN:
        return (
            'save the images by np.savez("DATA.npz", images=images, labels=labels), make one by cganjax reference '
            "DATA.npz, and give --extractor DATA.reference"
        )
    return f"make one by {places.command(data)}"


def _shipped(role: str, fits: Callable[[Mapping[str, Any]], bool]) -> str | None:
    """The shipped checkpoint of a role that was trained on fitting data."""
    found = [name for name, card in ckpt.checkpoints().items() if role in card["roles"] and fits(card["data"])]
    return _ROLES[role] if _ROLES[role] in found else min(found, default=None)


def named(classifier: Any) -> dict[str, str]:
    """What identifies a classifier: its name and the SHA-256 of its weights."""
    return {"name": classifier.card["name"], "sha256": references.digest_of(classifier)}
