"""Use of a network that afterwards gets its earlier state back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def borrowed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Freezes a network for a block, in eval mode and on the device; then restores modes, requires_grad and device."""
    modes = {module: module.training for module in network.modules()}
    wanted = {parameter: parameter.requires_grad for parameter in network.parameters()}
    original = next((parameter.device for parameter in wanted), None)
    try:
        if original != device:
            network.to(device)
        network.eval()
        for parameter in wanted:  # a TorchScript network has no requires_grad_ of its own
            parameter.requires_grad_(False)
        yield
    finally:
        if original not in (device, None):
            network.to(original)
        for module, mode in modes.items():
            module.training = mode
        for parameter, grad in wanted.items():
            parameter.requires_grad_(grad)
