"""Observation of a network from outside: inputs or outputs of its modules by name, recorded while a block runs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError, unknown


class Watch:
    """Records the outputs (or inputs) of some modules of a network. Its hooks are set inside `recording()` only:

        with watch.recording() as seen:
            logits = teacher(images)
        seen["stage1"]

    Gradients flow through the recorded tensors. `seen` holds the last pass, by name, in the order of the pass.

    Arguments:
        network: any network.
        names: names of its modules, as in `network.named_modules()`.
        inputs: record the first input instead of the output.

    Raises:
        ConfigError: the network has no module with this name; the line names the nearest module.
    """

    def __init__(self, network: nn.Module, names: Iterable[str], *, inputs: bool = False) -> None:
        modules = {name: module for name, module in network.named_modules() if name}
        self._network, self._inputs = network, inputs
        self._modules: dict[str, nn.Module] = {}
        for name in names:
            if name not in modules:
                raise ConfigError(unknown("module of the network", name, modules))
            self._modules[name] = modules[name]

    @torch.no_grad()
    def try_on(self, probe: Tensor) -> dict[str, Tensor]:
        """Records a forward pass of the network on `probe`, without gradient. Raises ConfigError as `recording`."""
        with self.recording() as seen:
            self._network(probe)
        return seen

    @contextmanager
    def recording(self, *, may_be_empty: bool = False) -> Iterator[dict[str, Tensor]]:
        """Records every forward pass inside the block; removes its hooks at the end.

        Arguments:
            may_be_empty: the forward pass need not use any of the modules.

        Raises:
            ConfigError: no forward pass in the block used any of the modules, unless `may_be_empty`.
        """
        seen: dict[str, Tensor] = {}
        handles = [
            module.register_forward_hook(self._note(name, seen), with_kwargs=True)
            for name, module in self._modules.items()
        ]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()
        if self._modules and not seen and not may_be_empty:
            names = ", ".join(self._modules)
            raise ConfigError(f"the network's forward pass does not use what is to be looked at: {names}: name another")

    def _note(self, name: str, seen: dict[str, Tensor]):
        def hook(module: nn.Module, inputs: tuple, named: dict, output: object) -> None:  # noqa: ARG001
            observed = next(iter((*inputs, *named.values())), None) if self._inputs else output
            if isinstance(observed, Tensor):
                seen.pop(name, None)  # so that `seen` has the order of the last pass
                seen[name] = observed

        return hook


def hooked(network: nn.Module) -> bool:
    """Whether any module of the network has a hook on its forward or backward pass."""
    return any(
        module._forward_pre_hooks or module._forward_hooks or module._backward_pre_hooks or module._backward_hooks
        for module in network.modules()
    )


def names_of(network: nn.Module, kind: type[nn.Module]) -> list[str]:
    """Names of the network's modules of one type."""
    return [name for name, module in network.named_modules() if isinstance(module, kind)]


def last_of_each_size(network: nn.Module, probe: Tensor) -> dict[int, str]:
    """For each height of feature maps above 1 pixel: the last module with outputs of this height, in order of the pass.

    Arguments:
        network: network in eval mode.
        probe: batch of images that the network takes.
    """
    every = [name for name, _ in network.named_modules() if name]
    return {size: name for name, size in _heights(network, probe, every).items() if size > 1}


def map_sizes(network: nn.Module, probe: Tensor, names: Iterable[str]) -> dict[str, int]:
    """Returns the height in pixels of the feature maps of each module. Raises ConfigError for a module without maps."""
    requested = list(names)
    heights = _heights(network, probe, requested)
    for name in requested:
        if name not in heights:
            raise ConfigError(f"the module {name} gives out no maps (batch, channels, height, width): name another")
    return heights


def _heights(network: nn.Module, probe: Tensor, names: Iterable[str]) -> dict[str, int]:
    seen = Watch(network, names).try_on(probe)
    return {name: output.shape[2] for name, output in seen.items() if output.ndim == 4}
