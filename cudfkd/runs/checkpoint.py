"""Everything that a run needs to go on: networks, optimizers, random generators, at the end of an epoch.

The tensors are in checkpoint-EPOCH.safetensors; checkpoint.json names that file with its SHA-256. Both are written
whole, the tensors first: until checkpoint.json is replaced the previous checkpoint is the valid one, and only then is
it removed. So there is a whole checkpoint at every moment, whenever the process dies. Nothing is unpickled.

Learning rate, adversarial weight and a lambda on schedule are functions of the step and need no saving.
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
from cudfkd.base.ranks import ALONE, Ranks

POINTER = "checkpoint.json"


@dataclass
class State:
    """The live objects of a run, by name. Saving copies out of them, loading copies into them.

    memory: pools and banks, which the run's result does not need: they are in checkpoints only.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    rng: torch.Generator
    memory: dict[str, nn.Module] = field(default_factory=dict)

    def save(self, folder: Path, epoch: int, generator_steps: int) -> None:
        """Writes the state after `epoch` complete epochs. Raises DataError if it cannot be; the previous one stays."""
        tensors = {f"rng/{name}": tensor for name, tensor in self._random_states().items()}
        for name, module in self._stateful():
            tensors |= {f"{name}/{key}": tensor for key, tensor in module.state_dict().items()}
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
        """Restores the state, which rank 0 reads for all; returns its epochs and generator steps.

        Raises:
            DataError: a file is not whole, or not of this run.
        """
        tensors, counts = ranks.lead(lambda: read(folder))
        try:
            for name, module in self._stateful():
                module.load_state_dict(under(tensors, name))
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(_optimizer_state(optimizer, under(tensors, f"optimizer.{name}")))
            self._set_random_states(under(tensors, "rng"))
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            what = f"the checkpoint in {folder} does not hold the state of this run"
            raise DataError(f"{what}: start it again in another folder") from error
        return counts

    def _stateful(self) -> list[tuple[str, nn.Module]]:
        return [*self.modules.items(), *((f"memory.{name}", module) for name, module in self.memory.items())]

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


def separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies what shares memory (tied weights): safetensors refuses to save it."""
    seen: set[int] = set()
    result = {}
    for key, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        result[key] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return result


def exists(folder: Path) -> bool:
    """Whether there is something to go on from."""
    return (folder / POINTER).exists()


def read(folder: Path) -> tuple[dict[str, Tensor], tuple[int, int]]:
    """Tensors, and epochs and generator steps, of a folder's checkpoint. Raises DataError if missing or altered."""
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
    """How many epochs were complete at a folder's checkpoint. Raises DataError if it is missing or damaged."""
    return _pointer(folder)["epoch"]


def remove(folder: Path) -> None:
    """Removes a folder's checkpoint, once the run is finished."""
    (folder / POINTER).unlink(missing_ok=True)
    _remove(folder)


def under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The part of a checkpoint that belongs to one object."""
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
    """Slots by parameter, laid out in memory as the parameter is: fused optimizers pair them by address."""
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
