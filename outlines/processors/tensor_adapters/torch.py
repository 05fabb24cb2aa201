"""Tensor operations of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from outlines.processors.tensor_adapters.base import TensorAdapter

if TYPE_CHECKING:
    import torch

__all__ = ["TorchTensorAdapter"]


class TorchTensorAdapter(TensorAdapter):
    """The operations on PyTorch tensors, on any device."""

    library_name = "torch"

    def __init__(self) -> None:
        import torch

        self.torch = torch

    @override
    def get_device(self, tensor: torch.Tensor) -> torch.device:
        return tensor.device

    @override
    def to_device(self, tensor: torch.Tensor, device: Any) -> torch.Tensor:
        return tensor.to(device)

    @override
    def unsqueeze(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.unsqueeze(0)

    @override
    def squeeze(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.squeeze(0)

    @override
    def full_like(self, tensor: torch.Tensor, fill_value: Any) -> torch.Tensor:
        return self.torch.full_like(tensor, fill_value)

    @override
    def boolean_ones_like(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.torch.ones_like(tensor, dtype=self.torch.bool)

    @override
    def concatenate(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        return self.torch.cat(tensors, dim=0)

    @override
    def apply_mask(self, tensor: torch.Tensor, mask: torch.Tensor, value: Any) -> torch.Tensor:
        return tensor.masked_fill(mask, value)

    @override
    def argsort_descending(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.argsort(dim=-1, descending=True)
