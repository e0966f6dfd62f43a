"""Use of a network that afterwards gets its earlier state back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Gives every module of a network its mode (train or eval) back at the end of a block."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def borrowed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Freezes a network for a block, in eval mode and on the device; then restores modes, requires_grad and device."""
    wanted = {parameter: parameter.requires_grad for parameter in network.parameters()}
    original = next((parameter.device for parameter in wanted), None)
    try:
        if original != device:
            network.to(device)
        with modes_kept(network):
            network.eval()
            for parameter in wanted:  # a TorchScript network has no requires_grad_ of its own
                parameter.requires_grad_(False)
            yield
    finally:
        if original not in (device, None):
            network.to(original)
        for parameter, grad in wanted.items():
            parameter.requires_grad_(grad)
