"""Looking inside a network that is someone else's: inputs or outputs of modules by name, noted while a block runs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError, unknown


class Watch:
    """Notes what goes into (or comes out of) some modules of a network. Hooks are on inside `recording()` only:

        with watch.recording() as seen:
            logits = teacher(images)
        seen["stage1"]

    Gradients flow through what is noted. `seen` holds the last pass, by name, in the order of the pass.

    Arguments:
        network: any.
        names: of its modules, as in `network.named_modules()`.
        inputs: note the first input instead of the output.

    Raises:
        ConfigError: the network has no module of such a name; the line names the nearest.
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
        """What is seen of a batch as the network takes it. Raises ConfigError as `recording`."""
        with self.recording() as seen:
            self._network(probe)
        return seen

    @contextmanager
    def recording(self) -> Iterator[dict[str, Tensor]]:
        """Notes every forward pass inside the block; takes its hooks off at the end.

        Raises:
            ConfigError: none of the modules took part in it.
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
        if self._modules and not seen:
            names = ", ".join(self._modules)
            raise ConfigError(f"the network's forward pass does not use what is to be looked at: {names}: name another")

    def _note(self, name: str, seen: dict[str, Tensor]):
        def hook(module: nn.Module, inputs: tuple, named: dict, output: object) -> None:  # noqa: ARG001
            found = next(iter((*inputs, *named.values())), None) if self._inputs else output
            if isinstance(found, Tensor):
                seen.pop(name, None)  # so that the order is that of the last pass
                seen[name] = found

        return hook


def hooked(network: nn.Module) -> bool:
    """Whether somebody looks inside, at the forward or the backward pass."""
    return any(
        module._forward_pre_hooks or module._forward_hooks or module._backward_pre_hooks or module._backward_hooks
        for module in network.modules()
    )


def names_of(network: nn.Module, kind: type[nn.Module]) -> list[str]:
    """The modules of one kind."""
    return [name for name, module in network.named_modules() if isinstance(module, kind)]


def last_of_each_size(network: nn.Module, probe: Tensor) -> dict[int, str]:
    """For each height of map above 1 pixel: the last module that gives such maps out, in the order of the pass.

    Arguments:
        network: in eval mode.
        probe: a batch as the network takes it.
    """
    every = [name for name, _ in network.named_modules() if name]
    return {size: name for name, size in _heights(network, probe, every).items() if size > 1}


def map_sizes(network: nn.Module, probe: Tensor, names: Iterable[str]) -> dict[str, int]:
    """The height in pixels of the maps that each module gives out. Raises ConfigError for one that gives no maps."""
    asked = list(names)
    found = _heights(network, probe, asked)
    for name in asked:
        if name not in found:
            raise ConfigError(f"the module {name} gives out no maps (batch, channels, height, width): name another")
    return found


def _heights(network: nn.Module, probe: Tensor, names: Iterable[str]) -> dict[str, int]:
    seen = Watch(network, names).try_on(probe)
    return {name: found.shape[2] for name, found in seen.items() if found.ndim == 4}
