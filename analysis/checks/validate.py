"""Checks of arguments for checks and solvers. Each refusal is one line that names the value.

The regularizers themselves check nothing. Every function here raises ConfigError for an argument that it refuses.
"""

from collections.abc import Sequence
from math import isfinite
from numbers import Real
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import Regularizer

TIGHT = 1e-6  # float32 cannot resolve a smaller tolerance


def known(reg: Regularizer | str) -> Regularizer:
    """The regularizer itself, or the regularizer with this name. Raises ConfigError for an unknown name."""
    if isinstance(reg, str):
        return regularizers.get(reg)
    if not isinstance(reg, Regularizer):
        refuse("regularizer", reg, f"a Regularizer or one of {', '.join(regularizers.names())}")
    return reg


def pace(reg: Regularizer, lam: float, name: str = "lam") -> float:
    """lambda as a float, refused outside the regularizer's domain (0, lam_below)."""
    value = number(name, lam)
    if not (isfinite(value) and 0 < value < reg.lam_below):
        refuse(name, value, f"in (0, {reg.lam_below:g}) for the regularizer {reg.name}")
    return value


def growing(lams: Sequence[float]) -> tuple[float, ...]:
    """At least two lambdas, none smaller than its predecessor."""
    paces = tuple(number(f"lams[{k}]", lam) for k, lam in enumerate(lams))
    count("number of lambdas", len(paces), 2)
    for k, (first, second) in enumerate(zip(paces, paces[1:], strict=False)):
        if second < first:
            refuse(f"lams[{k + 1}]", second, f"at least lams[{k}] = {first:g}: T5 needs lambdas that do not fall")
    return paces


def losses(values: Tensor, name: str = "losses") -> Tensor:
    """A vector of finite floating-point losses >= 0. The message names the first bad loss."""
    floats(**{name: values})
    if values.ndim != 1 or values.numel() == 0:
        refuse(f"the shape of {name}", tuple(values.shape), "(n,) with n > 0")
    bad = (~(values >= 0) | values.isinf()).nonzero()
    if len(bad):
        first = int(bad[0])
        refuse(f"{name}[{first}]", float(values[first]), "a finite number >= 0")
    return values


def vector(values: Tensor | Sequence[float] | np.ndarray, name: str = "losses") -> Tensor:
    """Losses as a tensor: a tensor stays as it is, an array keeps its precision, a list of numbers becomes float64.

    The result is checked by `losses`.
    """
    if isinstance(values, Tensor):
        return losses(values, name)
    try:
        array = np.asarray(values)
        tensor = torch.from_numpy(array.copy() if array.dtype.kind == "f" else array.astype(np.float64))
    except (TypeError, ValueError):
        refuse(name, values, "a list of numbers")
    return losses(tensor, name)


def distribution(values: Tensor, name: str = "prior") -> Tensor:
    """A vector of probabilities >= 0 with sum 1 within 1e-9."""
    losses(values, name)
    if abs(float(values.sum()) - 1) > 1e-9:
        refuse(f"the sum of {name}", float(values.sum()), "1")
    return values


def floats(**tensors: Tensor) -> None:
    """Demands that every argument is a tensor of real floating-point numbers."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            refuse(name, tensor, "a tensor")
        if not tensor.is_floating_point():
            refuse(f"the dtype of {name}", tensor.dtype, "torch.float64, or another floating-point one")


def alike(**tensors: Tensor) -> None:
    """Demands that all tensors have the same dtype and shape. The message names the first pair that differs."""
    same_dtype(**tensors)
    (first, reference), *remaining = tensors.items()
    for name, tensor in remaining:
        if tensor.shape != reference.shape:
            shapes = f"{first} has shape {tuple(reference.shape)} and {name} has {tuple(tensor.shape)}"
            raise ConfigError(f"{shapes}: they must have one shape")


def same_dtype(**tensors: Tensor) -> None:
    """Demands that all tensors are floating-point tensors of the same dtype."""
    floats(**tensors)
    (first, reference), *remaining = tensors.items()
    for name, tensor in remaining:
        if tensor.dtype != reference.dtype:
            raise ConfigError(f"{first} is {reference.dtype} and {name} is {tensor.dtype}: they must have one dtype")


def shape(name: str, tensor: Tensor, *sizes: int | None) -> None:
    """Demands that the tensor has this shape; None stands for any size > 0."""
    fits = len(sizes) == tensor.ndim and all(
        size > 0 if wanted is None else size == wanted for size, wanted in zip(tensor.shape, sizes, strict=True)
    )
    if not fits:
        wanted = ", ".join("n > 0" if size is None else str(size) for size in sizes)
        refuse(f"the shape of {name}", tuple(tensor.shape), f"({wanted})")


def resolves(tolerance: float, **tensors: Tensor) -> None:
    """Demands that the tensors' precision can resolve the tolerance: below 1e-6 only float64 can."""
    at_least("tolerance", tolerance, 0)
    floats(**tensors)
    for name, tensor in tensors.items():
        if tolerance < TIGHT and tensor.dtype != torch.float64:
            raise ConfigError(
                f"{name} is {tensor.dtype}, which cannot resolve a tolerance of {tolerance:g}: use float64"
            )


def number(name: str, value: float) -> float:
    """A real number, or a 0-d tensor or array, as a float. NaN and infinities pass."""
    plain = value.item() if isinstance(value, Tensor | np.ndarray) and value.ndim == 0 else value
    if not isinstance(plain, Real):
        refuse(name, plain, "a number")
    return float(plain)


def positive(name: str, value: float) -> float:
    """A finite number > 0."""
    if not (isfinite(number(name, value)) and value > 0):
        refuse(name, value, "a finite number > 0")
    return value


def at_least(name: str, value: float, least: float) -> float:
    """A finite number >= least."""
    if not (isfinite(number(name, value)) and value >= least):
        refuse(name, value, f"a finite number >= {least:g}")
    return value


def count(name: str, value: int, least: int = 1) -> int:
    """A whole number >= least."""
    plain = number(name, value)
    if not (isfinite(plain) and plain == int(plain) and plain >= least):
        refuse(name, value, f"a whole number >= {least}")
    return int(plain)


def seed(value: int) -> int:
    """A seed of random numbers: a whole number >= 0."""
    return count("seed", value, 0)


def within(name: str, value: float, low: float, high: float) -> float:
    """A number with low <= value < high."""
    if not low <= number(name, value) < high:
        refuse(name, value, f"in [{low:g}, {high:g})")
    return value


def refuse(name: str, value: object, allowed: str) -> NoReturn:
    """Raises the ConfigError that names the refused value and the allowed values."""
    raise ConfigError(f"{name} = {' '.join(repr(value).split())} is not allowed: it must be {allowed}")
