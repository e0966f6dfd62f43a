"""What checks and solvers refuse, each in one line that names the value. (The regularizers themselves stay pure.)"""

from math import isfinite
from typing import NoReturn

import torch
from torch import Tensor

from cudfkd import regularizers
from cudfkd.errors import ConfigError
from cudfkd.regularizers import Regularizer

TIGHT = 1e-6  # float32 cannot resolve a smaller tolerance


def known(reg: Regularizer | str) -> Regularizer:
    """The regularizer itself, or the one of that name. Raises ConfigError for an unknown name."""
    return regularizers.get(reg) if isinstance(reg, str) else reg


def pace(reg: Regularizer, lam: float, name: str = "lam") -> float:
    """lambda, refused unless it lies in the regularizer's domain (0, lam_below)."""
    if not (isfinite(lam) and 0 < lam < reg.lam_below):
        refuse(name, float(lam), f"in (0, {reg.lam_below:g}) for the regularizer {reg.name}")
    return float(lam)


def losses(values: Tensor, name: str = "losses") -> Tensor:
    """A vector of finite losses >= 0; the first that is not is named."""
    if values.ndim != 1 or values.numel() == 0:
        refuse(f"the shape of {name}", tuple(values.shape), "(n,) with n > 0")
    bad = (~(values >= 0) | values.isinf()).nonzero()
    if len(bad):
        first = int(bad[0])
        refuse(f"{name}[{first}]", float(values[first]), "a finite number >= 0")
    return values


def distribution(values: Tensor, name: str = "prior") -> Tensor:
    """Probabilities: >= 0, sum 1 within 1e-9."""
    losses(values, name)
    if abs(float(values.sum()) - 1) > 1e-9:
        refuse(f"the sum of {name}", float(values.sum()), "1")
    return values


def alike(**tensors: Tensor) -> None:
    """All tensors have one dtype and one shape; the first pair that differs is named."""
    (first, reference), *others = tensors.items()
    for name, tensor in others:
        if tensor.dtype != reference.dtype:
            raise ConfigError(f"{first} is {reference.dtype} and {name} is {tensor.dtype}: they must have one dtype")
        if tensor.shape != reference.shape:
            shapes = f"{first} has shape {tuple(reference.shape)} and {name} has {tuple(tensor.shape)}"
            raise ConfigError(f"{shapes}: they must have one shape")


def resolves(tolerance: float, **tensors: Tensor) -> None:
    """The tensors' precision can resolve the tolerance: below 1e-6 only float64 can."""
    at_least("tolerance", tolerance, 0)
    for name, tensor in tensors.items():
        if tolerance < TIGHT and tensor.dtype != torch.float64:
            raise ConfigError(
                f"{name} is {tensor.dtype}, which cannot resolve a tolerance of {tolerance:g}: use float64"
            )


def positive(name: str, value: float) -> float:
    """A finite number > 0."""
    if not (isfinite(value) and value > 0):
        refuse(name, value, "a finite number > 0")
    return value


def at_least(name: str, value: float, least: float) -> float:
    """A finite number >= least."""
    if not (isfinite(value) and value >= least):
        refuse(name, value, f"a finite number >= {least:g}")
    return value


def within(name: str, value: float, low: float, high: float) -> float:
    """A number with low <= value < high."""
    if not low <= value < high:
        refuse(name, value, f"in [{low:g}, {high:g})")
    return value


def refuse(name: str, value: object, allowed: str) -> NoReturn:
    """Raises the ConfigError that says what was given and what is allowed."""
    raise ConfigError(f"{name} = {value!r} is not allowed: it must be {allowed}")
