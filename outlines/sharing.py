"""The lock of what a process shares: interned expressions, states of patterns, and what vocabularies know of heads.

Constraints share these with each other, so whoever builds a constraint, or looks at a state for the first time, holds
the lock; what is in a constraint's tables is read without it.
"""

import threading

__all__ = ["LOCK"]

LOCK = threading.RLock()
