"""The global random generators of a process, lent to a block of code: torch's, Python's and NumPy's.

Layers draw their initial weights from torch's global generator, and so does dropout. Networks of users may draw from
Python's `random` or from NumPy as well. No code can be given a global generator of its own. So the states are saved,
set for a block, and put back. A block holds a lock of the process. So two runs in two threads take turns, and neither
shifts the numbers of the second. Code outside this package takes no lock: if a second thread draws from a global
generator inside the block, both see it.
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor

_LOCK = RLock()
CPU = torch.device("cpu")


class Randomness:
    """The random numbers of one run, as states of the global generators.

    Inside `inside()` the global generators have the states of the run. At all times outside they have the states of the
    caller, which the run leaves as they are. All draws of a run depend on its seed alone.

    Arguments:
        seed: seed of all generators, from 0 to 2**63 - 1.
        device: device of the run; its global generator belongs to the run, too.
        foreign: the run calls code of users, which may draw from Python's and NumPy's generators. Without it,
            the run leaves these two alone, because it takes a while to change their states.
    """

    def __init__(self, seed: int, device: torch.device, *, foreign: bool = True) -> None:
        self._device, self._foreign = device, foreign
        self._theirs: dict[str, Any] | None = None  # states of the caller, inside a block; None outside
        with seeded(seed, device):
            self._ours = self._states()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Gives the global generators the states of the run, for a block. Waits for a block of another thread."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Gives the global generators back to the caller, for a block of foreign code that is called `inside()`."""
        self._leave()
        try:
            yield
        finally:
            self._enter()

    def save(self) -> dict[str, Tensor]:
        """Returns the states of the run as tensors by name: "global" for torch on the CPU, then "cuda" or "mps"."""
        states = self._ours if self._theirs is None else self._states()
        return {name: state if isinstance(state, Tensor) else _packed(state) for name, state in states.items()}

    def load(self, saved: dict[str, Tensor]) -> None:
        """Sets the states of the run to saved states; a generator that `saved` does not name keeps its state.

        Raises:
            KeyError: the state of torch's generator on the CPU is missing.
            RuntimeError, ValueError: a state is not valid.
        """
        torch.Generator().set_state(saved["global"])  # refuses a state that is not valid
        plain = ("python", "numpy")
        states = {name: _unpacked(state) if name in plain else state for name, state in saved.items()}
        known = self._ours.keys() & states.keys()
        if self._theirs is None:
            self._ours |= {name: states[name] for name in known}
        else:
            _set({name: states[name] for name in known}, self._device)

    def _enter(self) -> None:
        _LOCK.acquire()
        self._theirs = self._states()
        _set(self._ours, self._device)

    def _leave(self) -> None:
        assert self._theirs is not None
        self._ours = self._states()
        _set(self._theirs, self._device)
        self._theirs = None
        _LOCK.release()

    def _states(self) -> dict[str, Any]:
        return _states(self._device, foreign=self._foreign)


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seeds the global generators for a block, and gives them their earlier states back at its end.

    Arguments:
        seed: seed of all generators, from 0 to 2**63 - 1.
        device: device; its global generator is seeded, too.
    """
    with _LOCK:
        before = _states(device, foreign=True)
        try:
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            elif device.type == "mps":
                torch.mps.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
        finally:
            _set(before, device)


def _states(device: torch.device, *, foreign: bool) -> dict[str, Any]:
    states: dict[str, Any] = {"global": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    if not foreign:
        return states
    return states | {"python": random.getstate(), "numpy": np.random.get_state()}


def _set(states: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(states["global"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states:
        torch.mps.set_rng_state(states["mps"])
    if "python" in states:
        random.setstate(states["python"])
    if "numpy" in states:
        np.random.set_state(states["numpy"])


def _packed(state: tuple) -> Tensor:
    """Writes a state of Python or NumPy as bytes of JSON."""
    text = json.dumps([part.tolist() if isinstance(part, np.ndarray) else part for part in state])
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def _unpacked(packed: Tensor) -> tuple:
    """Reads a state that `_packed` wrote."""
    return tuple(tuple(part) if isinstance(part, list) else part for part in json.loads(bytes(packed.tolist())))
