"""The machine that a run or a measurement is made on, in one spelling: records are matched by it."""

import os
import platform

import torch


def hardware(device: str | torch.device) -> str:
    """The GPU's name as torch has it; for a CPU its processor, its cores, and the threads that torch uses.

    Equal strings mean that timings may be compared: `analysis.studies.cost` matches rates by them.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def made(device: str | torch.device) -> dict[str, str | int]:
    """What the bits of a run depend on besides its description: torch, hardware, vector instructions, threads."""
    return {
        "torch": torch.__version__,
        "hardware": hardware(device),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
