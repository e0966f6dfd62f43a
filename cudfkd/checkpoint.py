"""Everything that a run needs to go on, in one safetensors file: networks, optimizers, random generators.

Learning rate, lambda and the adversarial weight are functions of the step and need no saving.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from cudfkd.errors import DataError
from cudfkd.files import write_bytes


@dataclass
class State:
    """The live objects of a run, by name. Saving copies out of them, loading copies into them."""

    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    rng: torch.Generator

    def save(self, path: Path, epoch: int, generator_steps: int) -> None:
        """Writes the state after `epoch` complete epochs, in one step. Raises DataError if it cannot be written."""
        tensors = {f"rng/{name}": tensor for name, tensor in self._random_states().items()}
        for name, module in self.modules.items():
            tensors |= {f"{name}/{key}": tensor for key, tensor in module.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}/{index}/{k}": v for k, v in slots.items() if isinstance(v, Tensor)}
        counts = {"epoch": str(epoch), "generator_steps": str(generator_steps)}
        write_bytes(path, save({key: tensor.cpu().contiguous() for key, tensor in tensors.items()}, counts))

    def load(self, path: Path) -> tuple[int, int]:
        """Restores the state; returns its epochs and generator steps. Raises DataError if the file is not whole."""
        tensors, counts = read(path)
        try:
            for name, module in self.modules.items():
                module.load_state_dict(under(tensors, name))
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(_optimizer_state(optimizer, under(tensors, f"optimizer.{name}")))
            self._set_random_states(under(tensors, "rng"))
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} does not hold the state of this run: start it again in another folder") from error
        return int(counts["epoch"]), int(counts["generator_steps"])

    def _random_states(self) -> dict[str, Tensor]:
        states = {"method": self.rng.get_state(), "global": torch.get_rng_state()}
        if self.rng.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.rng.device)
        return states

    def _set_random_states(self, states: dict[str, Tensor]) -> None:
        self.rng.set_state(states["method"])
        torch.set_rng_state(states["global"])
        if self.rng.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self.rng.device)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and counts of a checkpoint. Raises DataError if it is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is missing or damaged: start the run again in another folder") from error


def under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The part of a checkpoint that belongs to one object."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}


def _optimizer_state(optimizer: Optimizer, tensors: dict[str, Tensor]) -> dict:
    """Slots by parameter, laid out in memory as the parameter is: fused optimizers pair them by address."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, slot = key.split("/", 1)
        parameter = parameters[int(index)]
        laid_out = torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor
        state.setdefault(int(index), {})[slot] = laid_out.detach()
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
