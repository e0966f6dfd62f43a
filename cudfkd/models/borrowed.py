"""Networks that are used and given back as they came."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def borrowed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network frozen, in eval mode and on the device; at the end as it came."""
    modes = {module: module.training for module in network.modules()}
    wanted = {parameter: parameter.requires_grad for parameter in network.parameters()}
    home = next((parameter.device for parameter in wanted), None)
    try:
        if home != device:
            network.to(device)
        network.eval()
        for parameter in wanted:  # network.requires_grad_ is not there for TorchScript
            parameter.requires_grad_(False)
        yield
    finally:
        if home not in (device, None):
            network.to(home)
        for module, mode in modes.items():
            module.training = mode
        for parameter, grad in wanted.items():
            parameter.requires_grad_(grad)
