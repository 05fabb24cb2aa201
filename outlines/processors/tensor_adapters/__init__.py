"""The few tensor operations that processors need, by the name of the library."""

from outlines.processors.tensor_adapters.base import TensorAdapter
from outlines.processors.tensor_adapters.mlx import MLXTensorAdapter
from outlines.processors.tensor_adapters.numpy import NumpyTensorAdapter
from outlines.processors.tensor_adapters.torch import TorchTensorAdapter

__all__ = [
    "MLXTensorAdapter",
    "NumpyTensorAdapter",
    "TensorAdapterImplementation",
    "TorchTensorAdapter",
    "tensor_adapters",
]

TensorAdapterImplementation = MLXTensorAdapter | NumpyTensorAdapter | TorchTensorAdapter

tensor_adapters: dict[str, type[TensorAdapter]] = {
    adapter.library_name: adapter for adapter in (MLXTensorAdapter, NumpyTensorAdapter, TorchTensorAdapter)
}
