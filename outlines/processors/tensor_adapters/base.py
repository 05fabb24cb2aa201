"""What a tensor adapter offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

__all__ = ["TensorAdapter"]


class TensorAdapter(ABC):
    """One tensor library's spelling of the operations below.

    An adapter imports its library when it's created, so that naming an adapter needs no library.
    """

    library_name: str

    def shape(self, tensor: Any) -> Sequence[int]:
        """Give the size of each axis."""
        return tensor.shape

    def to_list(self, tensor: Any) -> list:
        """Give the elements as nested lists."""
        return tensor.tolist()

    def to_scalar(self, tensor: Any) -> Any:
        """Give the only element; more than one is the library's own error."""
        return tensor.item()

    def get_device(self, tensor: Any) -> Any:
        """Give the device that holds the tensor, None where the library has no such thing."""
        return None

    def to_device(self, tensor: Any, device: Any) -> Any:
        """Give the tensor on a device; the same tensor where the library has no such thing."""
        return tensor

    @abstractmethod
    def unsqueeze(self, tensor: Any) -> Any:
        """Add an axis of size one in front."""

    @abstractmethod
    def squeeze(self, tensor: Any) -> Any:
        """Remove the first axis, if it has size one."""

    @abstractmethod
    def full_like(self, tensor: Any, fill_value: Any) -> Any:
        """Give a tensor of the same shape and type that holds one value everywhere."""

    @abstractmethod
    def boolean_ones_like(self, tensor: Any) -> Any:
        """Give a tensor of the same shape that is true everywhere."""

    @abstractmethod
    def concatenate(self, tensors: list[Any]) -> Any:
        """Join tensors along the first axis."""

    @abstractmethod
    def apply_mask(self, tensor: Any, mask: Any, value: Any) -> Any:
        """Give a copy that holds `value` where the mask is true; a mask of lower rank is broadcast."""

    @abstractmethod
    def argsort_descending(self, tensor: Any) -> Any:
        """Give the indices that sort the last axis, largest first."""
