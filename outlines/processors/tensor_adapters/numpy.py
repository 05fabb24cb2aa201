"""Tensor operations of NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from outlines.processors.tensor_adapters.base import TensorAdapter

if TYPE_CHECKING:
    import numpy

__all__ = ["NumpyTensorAdapter"]


class NumpyTensorAdapter(TensorAdapter):
    """The operations on NumPy arrays."""

    library_name = "numpy"

    def __init__(self) -> None:
        import numpy

        self.numpy = numpy

    @override
    def unsqueeze(self, tensor: numpy.ndarray) -> numpy.ndarray:
        return self.numpy.expand_dims(tensor, axis=0)

    @override
    def squeeze(self, tensor: numpy.ndarray) -> numpy.ndarray:
        return self.numpy.squeeze(tensor, axis=0)

    @override
    def full_like(self, tensor: numpy.ndarray, fill_value: Any) -> numpy.ndarray:
        return self.numpy.full_like(tensor, fill_value)

    @override
    def boolean_ones_like(self, tensor: numpy.ndarray) -> numpy.ndarray:
        return self.numpy.ones_like(tensor, dtype=bool)

    @override
    def concatenate(self, tensors: list[numpy.ndarray]) -> numpy.ndarray:
        return self.numpy.concatenate(tensors, axis=0)

    @override
    def apply_mask(self, tensor: numpy.ndarray, mask: numpy.ndarray, value: Any) -> numpy.ndarray:
        return self.numpy.where(mask, tensor.dtype.type(value), tensor)

    @override
    def argsort_descending(self, tensor: numpy.ndarray) -> numpy.ndarray:
        return self.numpy.argsort(-tensor, axis=-1)
