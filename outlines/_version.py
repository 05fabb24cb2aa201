"""The version, under the names that version files have."""

from __future__ import annotations

__all__ = ["__commit_id__", "__version__", "__version_tuple__", "commit_id", "version", "version_tuple"]

__version__ = "0.1.0"
__version_tuple__: tuple[int | str, ...] = (0, 1, 0)
__commit_id__: str | None = None  # a release has none: its tag says it

version = __version__
version_tuple = __version_tuple__
commit_id = __commit_id__
