"""Vocabularies: what bytes each token of a model stands for, and which tokens are special."""

from outlines.vocabulary.core import WORD_BITS, Vocabulary

__all__ = ["WORD_BITS", "Vocabulary"]
