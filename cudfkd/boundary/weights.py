"""Weights from outside: their names under wrappers, and the files that hold them.

A wrapper such as `torch.compile` or `DistributedDataParallel` adds a segment to the name of every weight inside it:
`_orig_mod.fc.weight`, `module.fc.weight`. A plain name has none of these segments. All
files that are written have plain names.
"""

import io
import re
import struct
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_safetensors
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from cudfkd.base.errors import ConfigError, DataError

COMPILED, PARALLEL = "_orig_mod", "module"
"""Segments that wrappers add: `torch.compile`, and the two parallel wrappers."""

KEYS = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which training scripts save a state dict beside further values."""

_DAMAGED = (
    RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, AssertionError, OverflowError,
    struct.error, SafetensorError, UnpicklingError,
)  # fmt: skip
"""Errors of torch and safetensors for a file with wrong bytes."""


def plain_state(network: nn.Module) -> dict[str, Any]:
    """Returns a network's state dict under plain names, with or without wrappers around the network or its parts."""
    inner = _wrapped(network)
    return {_plain(name, inner): value for name, value in network.state_dict().items()}


def load_plain(network: nn.Module, weights: Mapping[str, Any]) -> None:
    """Loads weights into a network. Wrappers may stand around this network, and around the network that wrote them.

    Raises:
        RuntimeError: names or shapes differ from the network's, as `load_state_dict` says.
    """
    network.load_state_dict(matched(network, weights))


def matched(network: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Returns weights under the names that the network's own state dict has.

    Equal names come first. Otherwise the names of both sides are compared without segments that wrappers add. Where
    this makes two names of one side equal, because a network has a part that is called `module`, fewer segments are
    left out. A weight that matches none of the network keeps its name.
    """
    own = network.state_dict().keys()
    if weights.keys() <= own:
        return dict(weights)
    inner = _wrapped(network)
    plain = {_plain(name, inner): name for name in own}
    mine, theirs = plain, {name: name for name in weights}
    for segments in ((COMPILED, PARALLEL), (COMPILED,)):
        shorter = {_without(name, segments): own_name for name, own_name in plain.items()}
        their_shorter = {_without(name, segments): name for name in weights}
        if len(shorter) == len(plain) and len(their_shorter) == len(weights):
            mine, theirs = shorter, their_shorter
            break
    return {mine.get(bare, name): weights[name] for bare, name in theirs.items()}


def refuse_unsaveable(student: nn.Module) -> None:
    """Raises ConfigError if the student's state dict holds a value that a file of weights cannot hold."""
    for name, value in plain_state(student).items():
        if why := _unsaveable(value):
            todo = "leave run_dir out, or keep it out of the student's state_dict()"
            raise ConfigError(f"the student's {name} is {why}, which a run folder cannot hold: {todo}")


def read_weights(file: Path) -> dict[str, Tensor]:
    """Reads a state dict from a file, on the CPU: a .safetensors file, else a file that torch.save wrote.

    The state dict is the file's whole content, or stands under a key in `KEYS`. No code of the file is run.

    Raises:
        DataError: the file cannot be read or is damaged; it could only be read by running code that it holds; or it
            holds no state dict of dense tensors.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DataError(f"{file} cannot be read ({why}): mend its permissions, or name another file") from error
    try:
        held = read_safetensors(content) if file.suffix == ".safetensors" else _loaded(content)
    except _DAMAGED as error:
        raise DataError(_complaint(file, content, error)) from error
    weights = _state_dict(held)
    if not weights:
        allowed = f"neither as a whole nor under {', '.join(KEYS)}"
        raise DataError(f"{file} holds no state dict ({allowed}): save model.state_dict()")
    for name, value in weights.items():
        if why := _unsaveable(value):
            raise DataError(f"{file} is not a file of plain weights ({name} is {why}): save dense tensors")
    return weights


def _wrapped(network: nn.Module) -> set[str]:
    """Paths of the networks that stand directly inside a wrapper, in the tree of a network's parts."""
    modules = dict(network.named_modules(remove_duplicate=False))
    paths = set()
    for path in modules:
        parent, _, segment = path.rpartition(".")
        parallel = isinstance(modules[parent], nn.DataParallel | DistributedDataParallel)
        if path and (segment == COMPILED or (segment == PARALLEL and parallel)):
            paths.add(path)
    return paths


def _plain(name: str, inner: set[str]) -> str:
    """Takes a segment out of a name where the path up to its end is a wrapped network."""
    segments = name.split(".")
    return ".".join(part for end, part in enumerate(segments, 1) if ".".join(segments[:end]) not in inner)


def _without(name: str, segments: Iterable[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in segments)


def _unsaveable(value: object) -> str:
    """Describes a value that a file of weights cannot hold; returns an empty text for a dense tensor."""
    if not isinstance(value, Tensor):
        return f"a value of type {type(value).__name__}"
    if value.is_meta:
        return "a tensor without values (on the device meta)"
    if value.layout != torch.strided or value.is_nested or is_traceable_wrapper_subclass(value):
        return f"a tensor of layout {value.layout} and type {type(value).__name__}"
    try:
        if not value.is_quantized:
            save({"": torch.empty(0, dtype=value.dtype)})
            return ""
    except KeyError:  # a type that safetensors does not know
        pass
    return f"a tensor of {value.dtype}"


def _loaded(content: bytes) -> Any:
    with warnings.catch_warnings(action="ignore"):  # the error line says what the warnings say
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _complaint(file: Path, content: bytes, error: Exception) -> str:
    """Returns the error line for a file that could not be read: it needs code, or it is damaged."""
    script = "TorchScript" in str(error)
    pickled = isinstance(error, UnpicklingError) and content.startswith((b"PK", b"\x80"))
    if script or pickled:
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        form = "a TorchScript archive" if script else f"a pickle of {called[1] if called else 'more than weights'}"
        return f"{file} is {form}, and reading it could run code: save model.state_dict() and name that file"
    return f"{file} is damaged or not a file of weights: fetch it again, or save model.state_dict()"


def _state_dict(held: object) -> dict[str, Tensor]:
    """Finds the state dict in the content of a file; returns an empty dict if there is none."""
    candidates = [held, *(held[key] for key in KEYS if key in held)] if isinstance(held, dict) else []
    for found in candidates:
        named = isinstance(found, dict) and all(isinstance(name, str) for name in found)
        if named and all(isinstance(value, Tensor) for value in found.values()):
            return dict(found)
    return {}
