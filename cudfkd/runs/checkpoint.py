"""Checkpoints: all that a run needs to go on at the end of an epoch (networks, optimizers, random generators).

The tensors are in checkpoint-EPOCH.safetensors. checkpoint.json names that file and its SHA-256. Both files are written
in one step, the tensors first. The previous checkpoint is valid until checkpoint.json is replaced, and is removed only
after that. So a complete checkpoint exists at every moment at which the process may die. Nothing is unpickled.

Learning rate, adversarial weight and a lambda on schedule are functions of the step, so they are not saved.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from cudfkd.base.errors import DataError
from cudfkd.base.files import write_bytes, write_json
from cudfkd.base.randomness import Randomness
from cudfkd.base.ranks import ALONE, Ranks
from cudfkd.boundary.weights import load_plain, plain_state

POINTER = "checkpoint.json"


@dataclass
class State:
    """The live objects of a run, by name. Saving copies their state, loading replaces it in place.

    modules: networks of the run's result.
    optimizers: optimizers of the networks.
    rng: the run's random generator.
    randomness: the run's states of the global random generators.
    memory: pools and banks, which only checkpoints hold, because the run's result does not need them.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    rng: torch.Generator
    randomness: Randomness
    memory: dict[str, nn.Module] = field(default_factory=dict)

    def save(self, folder: Path, epoch: int, generator_steps: int) -> None:
        """Writes the state after `epoch` complete epochs.

        Raises:
            DataError: the state cannot be written; the previous checkpoint stays valid.
        """
        tensors = {f"rng/{name}": tensor for name, tensor in self._random_states().items()}
        for name, module in self._stateful():
            tensors |= {f"{name}/{key}": tensor for key, tensor in plain_state(module).items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}/{index}/{k}": v for k, v in slots.items() if isinstance(v, Tensor)}
        content = save({key: tensor.cpu().contiguous() for key, tensor in separate(tensors).items()})
        file = f"checkpoint-{epoch:05d}.safetensors"
        write_bytes(folder / file, content)
        pointer = {"file": file, "sha256": sha256(content).hexdigest(), "epoch": epoch}
        write_json(folder / POINTER, pointer | {"generator_steps": generator_steps})
        _remove(folder, but=file)

    def load(self, folder: Path, ranks: Ranks = ALONE) -> tuple[int, int]:
        """Restores the state, which rank 0 reads for all ranks; returns its epochs and generator steps.

        Raises:
            DataError: a file is damaged, or does not belong to this run.
        """
        tensors, counts = ranks.lead(lambda: read(folder))
        try:
            for name, module in self._stateful():
                load_plain(module, under(tensors, name))
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(_optimizer_state(optimizer, under(tensors, f"optimizer.{name}")))
            self._set_random_states(under(tensors, "rng"))
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            problem = f"the checkpoint in {folder} does not hold the state of this run"
            raise DataError(f"{problem}: start it again in another folder") from error
        return counts

    def _stateful(self) -> list[tuple[str, nn.Module]]:
        return [*self.modules.items(), *((f"memory.{name}", module) for name, module in self.memory.items())]

    def _random_states(self) -> dict[str, Tensor]:
        return {"method": self.rng.get_state()} | self.randomness.save()

    def _set_random_states(self, states: dict[str, Tensor]) -> None:
        self.rng.set_state(states["method"])
        self.randomness.load(states)


def separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies tensors that share memory with an earlier tensor (tied weights), because safetensors refuses them."""
    seen: set[int] = set()
    result = {}
    for key, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        result[key] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return result


def exists(folder: Path) -> bool:
    """Whether the folder has a checkpoint."""
    return (folder / POINTER).exists()


def read(folder: Path) -> tuple[dict[str, Tensor], tuple[int, int]]:
    """Reads a checkpoint: tensors by key, then (epochs, generator steps). Raises DataError if it is damaged."""
    pointer = _pointer(folder)
    file, digest, counts = folder / pointer["file"], pointer["sha256"], (pointer["epoch"], pointer["generator_steps"])
    try:
        content = file.read_bytes()
        if sha256(content).hexdigest() != digest:
            raise DataError(f"{file} is damaged (its SHA-256 differs): start the run again in another folder")
        return load(content), counts
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} is missing or damaged: start the run again in another folder") from error


def epochs(folder: Path) -> int:
    """Number of complete epochs at a folder's checkpoint. Raises DataError if it is missing or damaged."""
    return _pointer(folder)["epoch"]


def remove(folder: Path) -> None:
    """Removes the checkpoint of a finished run's folder."""
    (folder / POINTER).unlink(missing_ok=True)
    _remove(folder)


def under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Selects the tensors of one object in a checkpoint, by the object's name, which is removed from their keys."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}


def _pointer(folder: Path) -> dict:
    damaged = f"{folder / POINTER} is missing or damaged: start the run again in another folder"
    try:
        pointer = json.loads((folder / POINTER).read_text())
        counts = pointer["epoch"], pointer["generator_steps"]
        named = re.fullmatch(r"checkpoint-\d+\.safetensors", pointer["file"]) and isinstance(pointer["sha256"], str)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(damaged) from error
    if not named or any(type(count) is not int or count < 0 for count in counts):
        raise DataError(damaged)
    return pointer


def _remove(folder: Path, but: str = "") -> None:
    for file in folder.glob("checkpoint-*.safetensors"):
        if file.name != but:
            with suppress(OSError):  # a file left over does no harm
                file.unlink()


def _optimizer_state(optimizer: Optimizer, tensors: dict[str, Tensor]) -> dict:
    """Sorts tensors into the slots of each parameter, in the parameter's memory layout.

    Fused optimizers pair the numbers of slot and parameter by their address, so the layouts must be equal.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, slot = key.split("/", 1)
        parameter = parameters[int(index)]
        if tensor.ndim and tensor.shape != parameter.shape:
            raise ValueError(f"{key} has shape {tuple(tensor.shape)}")  # a fused step would read beyond its end
        laid_out = torch.empty_like(parameter).copy_(tensor) if tensor.ndim else tensor
        state.setdefault(int(index), {})[slot] = laid_out.detach()
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
