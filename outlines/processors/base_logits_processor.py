"""The class that every logits processor derives from, whatever the tensor library."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

from outlines.processors.tensor_adapters import tensor_adapters

__all__ = ["OutlinesLogitsProcessor", "TensorType"]

TensorType = TypeVar("TensorType")  # a tensor of any library


class OutlinesLogitsProcessor:
    """Brings ids and logits of any library to two dimensions and hands them to `process_logits`.

    A subclass defines `process_logits`, and `reset` if it keeps anything from one step to the next.

    Parameters
    ----------
    tensor_library_name
        "torch", "numpy" or "mlx"; the library is imported here and not before.

    Attributes
    ----------
    tensor_adapter
        The operations of that library, see `outlines.processors.tensor_adapters`.

    Raises
    ------
    NotImplementedError
        If the library is another one.
    """

    def __init__(self, tensor_library_name: str):
        if tensor_library_name not in tensor_adapters:
            raise NotImplementedError(
                f"there is no tensor adapter for {tensor_library_name!r}, only for "
                f"{', '.join(sorted(tensor_adapters))}"
            )
        self.tensor_adapter = tensor_adapters[tensor_library_name]()

    def reset(self) -> None:
        """Forget the last generation. A generator calls this before it starts the next one."""

    @abstractmethod
    def process_logits(self, input_ids: Any, logits: Any) -> Any:
        """Give the logits that the sampler is to see.

        Parameters
        ----------
        input_ids : integer tensor [B, length]
            The tokens so far, the prompt's included where the model's library includes them.
        logits : float tensor [B, V]
            May be written in place; what is returned is what counts.
        """

    def __call__(self, input_ids: Any, logits: Any) -> Any:
        """Process ids and logits of one sequence or of a batch.

        Both may lack the batch axis, or the ids alone if the logits hold one row. The result has the logits'
        shape.

        Raises
        ------
        ValueError
            If the logits have neither one nor two dimensions.
        AssertionError
            If ids and logits don't have one row each for the same sequences.
        """
        adapter = self.tensor_adapter
        ids_shape, logits_shape = tuple(adapter.shape(input_ids)), tuple(adapter.shape(logits))
        if len(logits_shape) not in (1, 2):
            raise ValueError(
                f"logits must have one dimension or two ([V] or [B, V]), these have shape {logits_shape}"
            )
        if len(ids_shape) == len(logits_shape) == 1:
            processed = self.process_logits(adapter.unsqueeze(input_ids), adapter.unsqueeze(logits))
            return adapter.squeeze(processed)
        if len(ids_shape) == 1 and logits_shape[0] == 1:
            return self.process_logits(adapter.unsqueeze(input_ids), logits)
        if len(ids_shape) == len(logits_shape) == 2 and ids_shape[0] == logits_shape[0]:
            return self.process_logits(input_ids, logits)
        raise AssertionError(
            f"input ids of shape {ids_shape} and logits of shape {logits_shape} are not of the same sequences"
        )
