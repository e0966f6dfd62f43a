"""Speed of a run on several ranks: the engine alone, each rank on a thread or a GPU of its own."""

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import distributed

from benchmarks import loops
from benchmarks.loops import Setting


def counts(device: str) -> list[int]:
    """Numbers of ranks to time: 1, 2, 4, ... up to the number of cores or GPUs."""
    most = torch.cuda.device_count() if device.startswith("cuda") else os.cpu_count() or 1
    return [2**power for power in range(most.bit_length())]


def scaling(setting: Setting, rounds: int, sizes: Sequence[int]) -> dict[str, float]:
    """Student steps a second by number of ranks, over an epoch after a first. The ranks share the batch."""
    return {str(size): rounds * setting.round_steps / _seconds(setting, rounds, size) for size in sizes}


def _seconds(setting: Setting, rounds: int, size: int) -> float:
    """Seconds of the slowest rank."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(size, mp_context=get_context("spawn")) as pool,
    ):
        meeting = str(Path(folder) / "meeting")
        ranks = [pool.submit(_rank, rank, size, setting, rounds, meeting) for rank in range(size)]
        return max(rank.result() for rank in ranks)


def _rank(rank: int, size: int, setting: Setting, rounds: int, meeting: str) -> float:
    torch.set_num_threads(1)
    backend = "nccl" if setting.device.startswith("cuda") else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(rank)
    distributed.init_process_group(backend, f"file://{meeting}", rank=rank, world_size=size)
    try:
        return loops.engine(setting, rounds, 2)[-1]
    finally:
        distributed.destroy_process_group()
