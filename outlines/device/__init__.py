"""The device path: the arena that holds all tables on a device, and batches that are advanced and masked there."""

from outlines.device.arena import Arena
from outlines.device.matcher import BatchMatcher

__all__ = ["Arena", "BatchMatcher"]
