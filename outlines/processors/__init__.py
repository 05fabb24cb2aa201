"""Logits processors: what stands between a local model's logits and its sampler."""

from outlines.processors.base_logits_processor import OutlinesLogitsProcessor

__all__ = ["OutlinesLogitsProcessor"]
