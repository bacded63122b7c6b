"""Digests of arrays and of JSON values: two are equal exactly if all bits of what they stand for are."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

DIGEST = "digest"  # the field of a JSON file that holds the digest of all others


def of_array(array: Any) -> str:
    """SHA-256 of an array's dtype, shape and values, in hexadecimal.

    >>> import numpy as np
    >>> of_array(np.zeros(2, np.float32)) == of_array(np.zeros(2, np.float32)) != of_array(np.zeros(2, np.int32))
    True
    """
    values = np.ascontiguousarray(array)
    found = hashlib.sha256(f"{values.dtype.str} {np.shape(array)} ".encode())
    found.update(values.view(np.uint8).data if values.size else b"")
    return found.hexdigest()


def of_tree(tree: Any) -> dict[str, str]:
    """The digest of each array of a tree, by its path, such as "generator/params/Dense_0/kernel"."""
    return {path: of_array(array) for path, array in by_path(tree).items()}


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, such as "generator/params/Dense_0/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def of_json(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, whatever the order of keys and the spaces of the file that they are in.

    >>> of_json({"a": 1, "b": 2}) == of_json({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values as they will be read from a file, with the digest of them all in a field of its own, `digest`.

    >>> is_sealed(sealed({"a": (1, 2)})), is_sealed(sealed({"a": 1}) | {"a": 2}), is_sealed({"a": 1})
    (True, False, False)
    """
    # JSON turns keys that are numbers into strings, which are sorted otherwise.
    rest = json.loads(json.dumps({name: value for name, value in values.items() if name != DIGEST}))
    return rest | {DIGEST: of_json(rest)}


def is_sealed(values: Mapping[str, Any]) -> bool:
    """Whether the field `digest` holds the digest of all others."""
    return values.get(DIGEST) == sealed(values)[DIGEST]
