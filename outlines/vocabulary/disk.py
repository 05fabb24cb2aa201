"""The trie of a vocabulary on disk: found by content, written whole or not at all, never unpickled."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from outlines.trie import Trie

__all__ = ["cache_folder", "load_or_build"]

_FORMAT = 1  # of the files on disk: a change of the trie's arrays is a new number


def cache_folder() -> Path:
    """Give the folder of the files: under OUTLINES_CACHE_DIR, else under the user's cache folder."""
    named = os.environ.get("OUTLINES_CACHE_DIR")
    if named:
        return Path(named) / "vocabularies"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "outlines" / "vocabularies"


def load_or_build(tokens: Sequence[bytes | None]) -> Trie:
    """Take the trie from the disk if it's there and whole; else build it and try to keep it."""
    lengths = np.asarray([-1 if t is None else len(t) for t in tokens], np.int32)
    content = hashlib.sha256(lengths.tobytes())
    content.update(b"".join([t for t in tokens if t is not None]))
    path = cache_folder() / f"trie-{_FORMAT}-{content.hexdigest()[:32]}.npz"
    try:
        with open(path, "rb") as stored, np.load(stored, allow_pickle=False) as file:
            arrays = {name: file[name] for name in Trie.ARRAYS}
        if _are_of(arrays, lengths):
            return Trie(arrays)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there, or cut off by somebody who was killed: build it again
    trie = Trie.build(tokens)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
        with os.fdopen(handle, "wb") as out:
            np.savez(out, allow_pickle=False, **trie.arrays())
        os.replace(unfinished, path)  # whole or not at all, whoever else writes it
    except OSError:
        pass  # a read-only home costs the preparation each time, and nothing else
    return trie


def _are_of(arrays: dict[str, NDArray], lengths: NDArray) -> bool:
    """Tell whether arrays have the form of a trie of tokens of such lengths: another's file must not make us hang."""
    num_nodes, num_texts = len(arrays["byte"]), int(np.count_nonzero(lengths > 0))
    children = arrays["num_children"]
    return (
        all(array.ndim == 1 and array.dtype.kind in "iu" for array in arrays.values())
        and len(children) == len(arrays["first_child"]) == len(arrays["token_start"]) - 1 == num_nodes
        and children.min(initial=0) >= 0
        and int(children.sum()) == num_nodes - 1
        and bool(np.all(arrays["first_child"] == np.cumsum(children) - children + 1))
        and bool(np.all((arrays["first_child"] > np.arange(num_nodes)) | (children == 0)))
        and len(arrays["token"]) == int(arrays["token_start"][-1]) == num_texts
    )
