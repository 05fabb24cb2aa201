"""What the compiler makes of each kernel on each GPU generation, found without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ARCHS = [80, 90, 100]
DTYPES = ["fp32", "fp16", "bf16"]

# Registers that a thread may take, by whether 16 divides the widths. A multiprocessor of these three has 65,536
# for at most 2,048 threads: 32 each keep all of them resident, 40 keep 12 programs of 128 threads instead of 16.
# Triton 3.9.0 needs at most 32 and 28, 3.6.0 32 and 36.
REGISTERS = {True: 32, False: 40}

# Compiles `mask` as its launcher would: Triton passes a stride of 1 as a constant, and knows of pointers, and of
# integers where the width of the vocabulary allows it, that 16 divides them.
COMPILE = """
import json, pathlib, re, subprocess, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from outlines.kernels import mask

folder = pathlib.Path(sys.argv[1])
cuobjdump = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
constants = {"row_stride_b": 1, "BLOCK": mask.BLOCK, "WORD_BITS": mask.WORD_BITS}
results = []
for arch, dtype, is_aligned in json.loads(sys.argv[2]):
    types = {"logits_ptr": "*" + dtype, "words_ptr": "*i32", "row_ptr": "*i32", **dict.fromkeys(constants, "constexpr")}
    names = mask._mask_kernel.arg_names
    divisible = [name for name in names if name.endswith("_ptr")]
    if is_aligned:
        divisible += ["logits_stride_b", "words_stride_r", "num_logits", "num_tokens"]
    source = ASTSource(
        fn=mask._mask_kernel,
        signature={name: types.get(name, "i32") for name in names},
        constexprs=constants,
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in divisible},
    )
    kernel = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": mask.NUM_WARPS})
    (folder / "kernel.cubin").write_bytes(kernel.asm["cubin"])
    usage = subprocess.check_output([cuobjdump, "-res-usage", folder / "kernel.cubin"], text=True)
    used = {name: int(count) for name, count in re.findall(r"(REG|STACK|LOCAL):(\\d+)", usage)}
    results.append({**used, "wide_stores": kernel.asm["ptx"].count("st.global.v4.b32")})
print(json.dumps(results))
"""

CASES = [(arch, dtype, is_aligned) for arch in ARCHS for dtype in DTYPES for is_aligned in (True, False)]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> dict[tuple[int, str, bool], dict[str, int]]:
    """Compile every case in one process without the interpreter, and with an empty cache."""
    folder = tmp_path_factory.mktemp("compile")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(folder / "cache"), "TRITON_DEFAULT_FP_FUSION": "1"}
    command = [sys.executable, "-c", COMPILE, str(folder), json.dumps(CASES)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return dict(zip(CASES, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_mask_spills_nothing_and_keeps_within_its_registers(compiled, case):
    used = compiled[case]
    assert (used["STACK"], used["LOCAL"]) == (0, 0)
    assert 0 < used["REG"] <= REGISTERS[case[2]]


@pytest.mark.parametrize("case", [case for case in CASES if case[2]], ids=str)
def test_mask_stores_forbidden_words_16_bytes_at_a_time(compiled, case):
    # A thread writes 32 logits: 128 bytes of fp32, 64 of the others.
    assert compiled[case]["wide_stores"] == (8 if case[1] == "fp32" else 4)
