"""Shapes that reach a processor, and the tensor operations of each library."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from outlines.processors import OutlinesLogitsProcessor
from outlines.processors.tensor_adapters import TensorAdapterImplementation, tensor_adapters

LIBRARIES = [
    "numpy",
    "torch",
    pytest.param(
        "mlx",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("mlx") is None, reason="needs `pip install mlx[cpu]`"
        ),
    ),
]


def tensor(library: str, values):
    """Make a tensor of a library from nested lists; floats are float32."""
    array = np.array(values)
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    if library == "torch":
        return torch.tensor(array)
    if library == "mlx":
        import mlx.core as mx

        return mx.array(array)
    return array


class Recorder(OutlinesLogitsProcessor):
    """Adds one to every logit and keeps the shapes it saw."""

    def process_logits(self, input_ids, logits):
        self.seen = tuple(input_ids.shape), tuple(logits.shape)
        return logits + 1


def test_unknown_library_is_named():
    with pytest.raises(NotImplementedError, match=r"'jax'.*mlx, numpy, torch"):
        OutlinesLogitsProcessor("jax")


def test_reset_does_nothing_by_default():
    assert OutlinesLogitsProcessor("numpy").reset() is None


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("ids", "logits", "seen"),
    [
        ([[1, 2], [3, 4]], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], ((2, 2), (2, 3))),
        ([1, 2], [0.0, 1.0, 2.0], ((1, 2), (1, 3))),
        ([1, 2], [[0.0, 1.0, 2.0]], ((1, 2), (1, 3))),
        ([[1, 2]], [[0.0, 1.0, 2.0]], ((1, 2), (1, 3))),
    ],
)
def test_process_logits_sees_two_dimensions_and_the_result_has_the_logits_shape(library, ids, logits, seen):
    processor = Recorder(library)
    processed = processor(tensor(library, ids), tensor(library, logits))
    assert processor.seen == seen
    assert processed.tolist() == (np.array(logits) + 1).tolist()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("ids", "logits", "error"),
    [
        ([[1, 2]], [0.0, 1.0], AssertionError),
        ([1, 2], [[0.0, 1.0], [2.0, 3.0]], AssertionError),
        ([[1], [2], [3]], [[0.0, 1.0], [2.0, 3.0]], AssertionError),
        ([1, 2], [[[0.0]]], ValueError),
        ([1, 2], 0.0, ValueError),
    ],
)
def test_other_shapes_are_errors_that_name_the_shape(library, ids, logits, error):
    with pytest.raises(error, match=r"shape"):
        Recorder(library)(tensor(library, ids), tensor(library, logits))


# Tensor adapters


@pytest.mark.parametrize("library", LIBRARIES)
def test_adapter_operations(library):
    adapter = tensor_adapters[library]()
    assert isinstance(adapter, TensorAdapterImplementation)
    assert adapter.library_name == library
    x = tensor(library, [[1.0, 3.0, 2.0], [6.0, 4.0, 5.0]])

    assert tuple(adapter.shape(x)) == (2, 3)
    assert adapter.to_list(x) == [[1.0, 3.0, 2.0], [6.0, 4.0, 5.0]]
    assert adapter.to_scalar(x[0, 1]) == 3.0
    assert tuple(adapter.shape(adapter.unsqueeze(x))) == (1, 2, 3)
    assert tuple(adapter.shape(adapter.squeeze(adapter.unsqueeze(x)))) == (2, 3)
    assert adapter.to_list(adapter.full_like(x, 7)) == [[7.0] * 3] * 2
    assert adapter.full_like(x, 7).dtype == x.dtype
    assert adapter.to_list(adapter.boolean_ones_like(x)) == [[True] * 3] * 2
    assert adapter.to_list(adapter.concatenate([x, x[:1]])) == [*x.tolist(), x[0].tolist()]
    assert adapter.to_list(adapter.argsort_descending(x)) == [[1, 2, 0], [0, 2, 1]]
    assert adapter.to_list(adapter.to_device(x, adapter.get_device(x))) == x.tolist()


@pytest.mark.parametrize("library", LIBRARIES)
def test_apply_mask_broadcasts_and_copies(library):
    adapter = tensor_adapters[library]()
    x = tensor(library, [[1.0, 2.0], [3.0, 4.0]])
    masked = adapter.apply_mask(x, tensor(library, [False, True]), -float("inf"))
    assert masked.tolist() == [[1.0, -np.inf], [3.0, -np.inf]]
    assert masked.dtype == x.dtype
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("library", LIBRARIES)
def test_squeeze_of_a_longer_axis(library):
    adapter, x = tensor_adapters[library](), tensor(library, [[1.0], [2.0]])
    if library == "numpy":
        with pytest.raises(ValueError, match="size not equal to one"):
            adapter.squeeze(x)
    else:
        assert adapter.to_list(adapter.squeeze(x)) == [[1.0], [2.0]]


@pytest.mark.parametrize("library", LIBRARIES)
def test_to_scalar_of_several_elements_raises(library):
    with pytest.raises(RuntimeError if library == "torch" else ValueError):
        tensor_adapters[library]().to_scalar(tensor(library, [1.0, 2.0]))


def test_only_torch_has_devices():
    assert tensor_adapters["numpy"]().get_device(np.zeros(1)) is None
    assert tensor_adapters["torch"]().get_device(torch.zeros(1)) == torch.device("cpu")
