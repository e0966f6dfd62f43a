"""Out of memory: one line names the batch that would fit, and no data are lost."""

import pytest
import torch
from torch import nn

import cudfkd
from cudfkd import ConfigError, TrainingError
from cudfkd.base.out_of_memory import batch_that_fits, is_out_of_memory, what_fits
from cudfkd.base.ranks import Ranks
from cudfkd.callbacks import Callback
from tests.cudfkd.engine.test_loop import config, networks


class Fits(nn.Module):
    """A student that runs out of memory in training if a batch has more than `most` images."""

    def __init__(self, student: nn.Module, most: int) -> None:
        super().__init__()
        self.student, self.most = student, most

    def forward(self, x):
        if self.training and len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.student(x)


def run(most: int, **changes) -> cudfkd.Run:
    teacher, student = networks()
    return cudfkd.distill(teacher, Fits(student, most), config(batch_size=16, **changes))


def test_the_line_names_the_batch_that_fits():
    with pytest.raises(ConfigError, match=r"^out of memory on cpu: batch_size = 16 does not fit, 4 does$"):
        run(most=5)
    assert run(most=16).rows  # the control: the student can be trained


def test_where_no_batch_fits_the_line_says_so():
    with pytest.raises(ConfigError, match="^out of memory on cpu, whatever the batch size: lower generator_width, "):
        run(most=1)


def test_a_checkpoint_outlives_it(tmp_path):
    class Late(Callback):
        def before_epoch(self, ctx):
            ctx.student.most = 16 if ctx.epoch == 0 else 5

    teacher, student = networks()
    c = config(batch_size=16, epochs=2)
    with pytest.raises(ConfigError, match="batch_size = 16 does not fit, 4 does$"):
        cudfkd.distill(teacher, Fits(student, 16), c, run_dir=tmp_path / "run", callbacks=[Late()])
    again = cudfkd.distill(teacher, Fits(networks()[1], 16), c, run_dir=tmp_path / "run", resume=True)
    assert [row["epoch"] for row in again.rows] == [1, 2]


def test_what_a_cpu_allocator_says_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes differ"))


NCCL = """NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled cuda error (run with NCCL_DEBUG=INFO for details)
ncclUnhandledCudaError: Call to CUDA function failed.
Last error:
Cuda failure 2 'out of memory'"""


@pytest.mark.parametrize(
    "line",
    [
        "CUDA error: out of memory", "Triton Error [CUDA]: out of memory", NCCL,
        "MPS backend out of memory (MPS allocated: 1 GB, max allowed: 2 GB)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ],
)  # fmt: skip
def test_what_gpus_and_their_libraries_say_is_known(line):
    assert is_out_of_memory(RuntimeError(line))


@pytest.mark.parametrize(
    "line",
    ["CUDA error: an illegal memory access was encountered", "out of resource: threads",
     "C++ compile error: no 'std::deallocate(int)'", "the data is not allocated yet"],
)  # fmt: skip
def test_other_lines_of_gpus_are_not_taken_for_it(line):
    assert not is_out_of_memory(RuntimeError(line))


@pytest.mark.parametrize(("line", "lost"), [(NCCL, False), ("NCCL error in: unhandled system error", True)])
def test_a_message_that_found_no_memory_is_no_lost_rank(line, lost):
    kind = TrainingError if lost else RuntimeError
    with pytest.raises(kind, match="lost" if lost else "out of memory"), Ranks(0, 2).watched(None):
        raise RuntimeError(line)


@pytest.mark.parametrize(
    ("device", "helps"),
    [("cuda", ", or start more processes"), ("cpu", ", which the processes share")],
)
def test_on_several_ranks_the_line_says_what_helps(device, helps):
    assert what_fits(device, 64, None) == f"out of memory on {device}: lower batch_size = 64{helps}"


def test_other_errors_of_a_trial_are_not_swallowed():
    def attempt(size: int) -> None:
        raise ValueError(f"at {size}")

    with pytest.raises(ValueError, match="at 8"):
        batch_that_fits(16, attempt)
