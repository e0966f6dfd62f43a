"""Description of the machine of a run or a measurement, always spelt alike: records are matched by it."""

import os
import platform

import torch


def hardware(device: str | torch.device) -> str:
    """Returns the GPU's name as torch gives it; for a CPU, its processor, its cores and the threads that torch uses.

    Equal strings mean that timings may be compared: `analysis.studies.cost` matches rates by them.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def made(device: str | torch.device) -> dict[str, str | int]:
    """Returns the stamp of the machine, on which the bits of a run depend, in addition to its description.

    torch: version of torch.
    hardware: see `hardware`.
    vectors: vector instructions of the CPU that torch uses.
    threads: threads that torch uses.
    """
    return {
        "torch": torch.__version__,
        "hardware": hardware(device),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
