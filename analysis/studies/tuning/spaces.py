"""The search space of each method, as plain data: ranges and choices by the name of a setting.

`lr` and `round_steps` are settings of `DistillConfig`. All other names are options of the method.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cudfkd import methods
from cudfkd.base.errors import DataError
from cudfkd.config import DistillConfig

Value = str | int | float
COMMON = ("lr", "round_steps")


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included, drawn log-uniformly: each ratio is as likely."""

    low: float
    high: float

    def rounded(self, value: float) -> float:
        """The value to three significant digits, inside the range, so that files stay readable."""
        return min(max(float(f"{value:.3g}"), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """A few values."""

    values: tuple[Value, ...]


Space = Mapping[str, Range | Choice]

STUDENT: Space = {"lr": Range(0.01, 0.4)}
OFTEN: Space = {"round_steps": Choice((1, 2, 5, 10))}
RARELY: Space = {"round_steps": Choice((20, 50, 100))}  # a round makes one batch, with many inner steps
GENERATOR: Space = {
    **OFTEN,
    "generator_lr": Range(1e-3, 0.2),
    "generator_schedule": Choice(("constant", "cosine")),
    "generator_output": Choice(("sigmoid", "standardised")),
    "sampling_mode": Choice(("train", "eval")),
}
DAFL: Space = {**GENERATOR, "class_entropy": Range(1.0, 40.0), "activation": Range(1e-3, 0.3)}
SOFT: Space = {"temperature": Choice((4.0, 20.0))}
TARGETS: Space = {"temperature": Choice((1.0, 4.0, 20.0)), "loss": Choice(("kl", "l1"))}

SPACE: dict[str, Space] = {
    "cudfkd": {
        **GENERATOR, "adv_end": Range(1.0, 30.0), "bn": Range(0.5, 20.0), "class_entropy": Range(1.0, 40.0),
    },
    "dafl": {**DAFL, "store": Choice(("step", "fresh"))},
    "mb-dfkd": {**DAFL, "memory_share": Choice((0.125, 0.25, 0.5)), "adversarial": Range(0.05, 3.0)},
    "pre-dfkd": {
        **DAFL, "replay_share": Choice((0.0625, 0.11, 0.25)), "replay_lr": Range(1e-4, 2e-2),
        "adversarial": Range(0.05, 3.0),
    },
    "zskt": {**GENERATOR, "attention": Choice((0.0, 25.0, 250.0)), "store": Choice(("again", "fresh"))},
    "dfad": {**GENERATOR, "loss": Choice(("l1", "kl"))},
    "dfq": {
        **GENERATOR, "class_entropy": Range(1.0, 40.0), "bn": Range(0.5, 20.0), "adversarial": Range(0.1, 3.0),
    },
    "cmi": {**RARELY, **SOFT, "generator_lr": Range(1e-3, 3e-2), "contrast": Range(0.05, 2.0)},
    "fast-dfkd": {**RARELY, **SOFT, "generator_lr": Range(1e-3, 3e-2), "adversarial": Range(0.1, 3.0)},
    "deepinversion": {
        **RARELY, **SOFT, "pixel_lr": Range(0.02, 0.3), "adversarial": Choice((0.0, 1.0)), "bn": Range(1.0, 30.0),
    },
    "kd": {**TARGETS, "shift": Choice((0, 1, 2))},
    "noise": TARGETS,
    "scratch": {"shift": Choice((0, 1, 2))},
}  # fmt: skip


def declared(method: str) -> Space:
    """The space of a method as it is written here.

    Raises:
        ConfigError: no such method. DataError: the method has no search space.
    """
    methods.get(method)
    if method not in SPACE:
        raise DataError(f"method {method} has no search space: add it to SPACE")
    return {**STUDENT, **SPACE[method]}


def space(method: str, steps_per_epoch: int) -> Space:
    """The space of a method, with its default added to each choice that lacks it. Raises as `declared`."""
    defaults = DistillConfig(method=method, steps_per_epoch=steps_per_epoch)
    return {name: _holding(kind, value_of(defaults, name)) for name, kind in declared(method).items()}


def value_of(distill: DistillConfig, name: str) -> Value:
    """The value of `lr`, of `round_steps`, or of an option of the method."""
    return getattr(distill if name in COMMON else distill.options, name)


def settings(values: Mapping[str, Value]) -> dict[str, Any]:
    """Values by name, as `DistillConfig` takes them: {"lr": ..., "round_steps": ..., "options": {...}}."""
    common = {name: values[name] for name in COMMON if name in values}
    return common | {"options": {name: value for name, value in values.items() if name not in COMMON}}


def plain(described: Space) -> dict[str, Any]:
    """A space as plain data, for a hash."""
    return {name: asdict(kind) for name, kind in described.items()}


def _holding(kind: Range | Choice, default: Value) -> Range | Choice:
    if isinstance(kind, Choice) and default not in kind.values:
        return Choice((*kind.values, default))
    return kind
