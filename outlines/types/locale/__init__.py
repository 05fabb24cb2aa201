"""Output types that depend on a country."""

from outlines.types.locale import us

__all__ = ["us"]
