"""Tensor kernels, a file each: Triton kernel, launcher and torch reference. `dispatch` picks between them."""
