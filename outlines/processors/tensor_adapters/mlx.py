"""Tensor operations of MLX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from outlines.processors.tensor_adapters.base import TensorAdapter

if TYPE_CHECKING:
    import mlx.core as mx

__all__ = ["MLXTensorAdapter"]


class MLXTensorAdapter(TensorAdapter):
    """The operations on MLX arrays."""

    library_name = "mlx"

    def __init__(self) -> None:
        import mlx.core as mx

        self.mlx = mx

    @override
    def unsqueeze(self, tensor: mx.array) -> mx.array:
        return self.mlx.expand_dims(tensor, 0)

    @override
    def squeeze(self, tensor: mx.array) -> mx.array:
        # MLX's own squeeze raises where the axis is longer.
        return tensor[0] if tensor.shape[0] == 1 else tensor

    @override
    def full_like(self, tensor: mx.array, fill_value: Any) -> mx.array:
        return self.mlx.full(tensor.shape, fill_value, dtype=tensor.dtype)

    @override
    def boolean_ones_like(self, tensor: mx.array) -> mx.array:
        return self.mlx.ones(tensor.shape, dtype=self.mlx.bool_)

    @override
    def concatenate(self, tensors: list[Any]) -> mx.array:
        """Join arrays along the first axis; those of other libraries are converted."""
        return self.mlx.concatenate([self.mlx.array(tensor) for tensor in tensors], axis=0)

    @override
    def apply_mask(self, tensor: mx.array, mask: mx.array, value: Any) -> mx.array:
        return self.mlx.where(mask, self.mlx.array(value, dtype=tensor.dtype), tensor)

    @override
    def argsort_descending(self, tensor: mx.array) -> mx.array:
        return self.mlx.argsort(-tensor, axis=-1)
