"""Which devices can be asked for, and what to say of one that is not there or too old."""

import torch

from cudfkd.base.errors import ConfigError

KINDS = ("cpu", "cuda", "mps")


def check(name: str, *, elsewhere: bool = False) -> torch.device:
    """The device called `name`.

    Arguments:
        elsewhere: it was used on another machine, and need not be on this one.

    Raises:
        ConfigError: no such kind of device; none here; a GPU or driver too old for this torch.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise ConfigError(f"device = {name!r} is not allowed: it must be cpu, cuda, cuda:N or mps")
    if elsewhere:
        return device
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        old = _driver_too_old() if device.type == "cuda" else ""
        raise ConfigError(
            f"device = {name!r} is not on this machine: it has {count} of type {device.type}{old}; use cpu"
        )
    if device.type == "cuda":
        _refuse_old_gpu(name, device)
    return device


def located(name: str) -> torch.device:
    """The device as its tensors have it, which is what compares equal: "cuda" with the number of the current GPU."""
    return torch.empty(0, device=name).device


def _driver_too_old() -> str:
    """That there is a driver, too old for this torch, where this is so; torch finds no GPU then, and does not say."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        if "driver on your system is too old" in str(error):
            return " that its driver, too old for this torch, can show: update it, or install an older torch"
    return ""


def _refuse_old_gpu(name: str, device: torch.device) -> None:
    """Raises ConfigError for a GPU of a kind that this torch was not built for: its first kernel would fail."""
    has = torch.cuda.get_device_capability(device)
    known = [tuple(divmod(int(arch.removeprefix("sm_").rstrip("af")), 10)) for arch in torch.cuda.get_arch_list()
             if arch.startswith("sm_")]  # fmt: skip
    oldest = min(known, default=(0, 0))
    if has < oldest:
        raise ConfigError(
            f"device = {name!r} is too old for this torch: it has compute capability {has[0]}.{has[1]}, and"
            f" {oldest[0]}.{oldest[1]} is the least: install an older torch, or use cpu"
        )
