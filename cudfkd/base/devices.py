"""Check of a device by name; a device that is missing or too old gets one line of error."""

import torch

from cudfkd.base.errors import ConfigError

KINDS = ("cpu", "cuda", "mps")


def check(name: str, *, elsewhere: bool = False) -> torch.device:
    """Returns the device called `name`.

    Arguments:
        name: "cpu", "cuda", "cuda:N" or "mps".
        elsewhere: the device was used on another machine, so it may be missing on this machine.

    Raises:
        ConfigError: the kind of device is unknown; this machine has no such device; its GPU or driver is too old for
            this torch.
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
        if device.type == "cuda" and _driver_too_old():
            raise ConfigError(
                f"device = {name!r} cannot be used, the driver is too old for this torch: update the driver, install"
                " an older torch, or use cpu"
            )
        raise ConfigError(f"device = {name!r} is not on this machine: it has {count} of type {device.type}; use cpu")
    if device.type == "cuda":
        _refuse_old_gpu(name, device)
    return device


def located(name: str) -> torch.device:
    """Returns the device under the name that its tensors have: "cuda" gets the number of the current GPU.

    Only this name compares equal to the device of a tensor.
    """
    return torch.empty(0, device=name).device


def _driver_too_old() -> bool:
    """Whether the machine has a driver that is too old for this torch; torch then counts no GPU and gives no reason."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return "driver on your system is too old" in str(error)
    return False


def _refuse_old_gpu(name: str, device: torch.device) -> None:
    """Raises ConfigError for a GPU that is older than this torch was built for: its first kernel would fail."""
    capability = torch.cuda.get_device_capability(device)
    supported = [tuple(divmod(int(arch.removeprefix("sm_").rstrip("af")), 10)) for arch in torch.cuda.get_arch_list()
                 if arch.startswith("sm_")]  # fmt: skip
    oldest = min(supported, default=(0, 0))
    if capability < oldest:
        raise ConfigError(
            f"device = {name!r} is too old for this torch: it has compute capability {capability[0]}.{capability[1]},"
            f" and {oldest[0]}.{oldest[1]} is the least: install an older torch, or use cpu"
        )
