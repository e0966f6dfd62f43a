"""Studies: cases that are run over seeds and compared, and the question that they answer.

A study is a file in `analysis/studies/catalog/`. Values are as `Case` has them:

    name: granularity
    purpose: {question: ..., hypothesis: ..., statistic: ..., test: ..., control: ..., refuted_by: ...}
    base: {experiment: {distill: {epochs: 10}}}                          the values of all cases
    axes:                                                                crossed with each other
      granularity:
        sample: {experiment: {distill: {curriculum: {granularity: sample}}}}
        batch: {experiment: {distill: {curriculum: {granularity: batch}}}}
    cases: [{at: {start: 0.1, growth: 3}, set: {...}}]                   optional: points that no single axis gives
    seeds: [0, 1, 2]

An axis can be taken from another study of the same folder, wholly or in part:

    axes: {method: {like: methods, only: [dfq, cmi]}}
"""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from cudfkd.base.errors import ConfigError, unknown
from cudfkd.base.validation import Described, digest
from cudfkd.config import DistillConfig, Experiment

Place = str | int | float


class Case(Described):
    """A setting of a study: an experiment of ours, an intervention on its generator, and a probe of its runs."""

    at: dict[str, Place] = {}
    """the value on each axis of the study; names the case and changes nothing that is run"""
    experiment: Experiment = Experiment()
    """the experiment, with seed 0"""
    held: Literal["no", "eval", "train"] = "no"
    """the generator is held from `held_after` on: not at all, wholly, or with BatchNorm statistics that go on moving"""
    held_after: Annotated[float, Field(ge=0, le=1)] = 0.3
    """share of the run after which the generator is held"""
    probe: Annotated[int, Field(ge=0)] = 0
    """rounds from one reading of the probe to the next; 0: no probe"""
    latents: Annotated[int, Field(ge=2)] = 64
    """number of latents of the probe"""

    @property
    def label(self) -> str:
        """The values on the axes, for people: "log, kl, T = 4, 0.3"."""
        return ", ".join(str(value) if isinstance(value, str) else f"{value:g}" for value in self.at.values())

    @property
    def plain(self) -> dict[str, Any]:
        """All values that a run depends on, as plain data."""
        return self.model_dump(mode="json", exclude={"at"})

    @property
    def key(self) -> str:
        """Hash of all values that a run depends on."""
        return digest(self.plain)

    def changed(self, **distill: Any) -> "Case":
        """The case with other values of its `DistillConfig`; dictionaries are merged, so that other values stay."""
        values = merged(self.experiment.distill.model_dump(), distill)
        experiment = self.experiment.model_copy(update={"distill": DistillConfig(**values)})
        return self.model_copy(update={"experiment": experiment})

    def with_seed(self, seed: int) -> "Case":
        """The case with another seed of everything random."""
        return self.changed(seed=seed)


class Purpose(Described):
    """The purpose of a study. It is written before the runs are made; their record holds the hash of the study."""

    question: str = ""
    hypothesis: str = ""
    """a statement that the runs can contradict"""
    statistic: str = ""
    """the number of a run, or of a pair of runs, that is looked at"""
    test: str = ""
    """how the statistic decides"""
    margin: float | None = None
    """the largest difference that still counts as none, in the unit of the statistic"""
    control: str = ""
    """runs in which the effect must be absent, or present"""
    refuted_by: str = ""
    """the outcome that would refute the hypothesis"""


class Study(Described):
    """A named set of cases, each run over the same seeds."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """name of the study and of its record"""
    purpose: Purpose = Purpose()
    """question, hypothesis, statistic, test, margin, control, and what would refute the hypothesis"""
    cases: Annotated[tuple[Case, ...], Field(strict=False, min_length=1)]
    """the settings that are compared"""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)]
    """seeds of each case's runs"""
    keep: Literal["numbers", "curves", "rows", "images"] = "numbers"
    """how much of a run its record holds: numbers; also the clocks and measures of each epoch; also all metrics of each
    epoch; also images of the first seed"""
    reads: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """further numbers of a run, by the names of `analysis.studies.readers.READERS`"""
    reads_test: bool = False
    """whether the last student is also evaluated on the test images, which only a reported number may be"""

    @model_validator(mode="after")
    def _names_its_cases(self) -> "Study":
        labels = [case.label for case in self.cases]
        for label in labels:
            if labels.count(label) > 1:
                raise ConfigError(
                    f"study {self.name} has two cases called {label!r}: give them other places on an axis"
                )
        return self

    @property
    def key(self) -> str:
        """Hash of the whole description."""
        return digest(self.model_dump(mode="json"))

    @property
    def about(self) -> dict[str, Any]:
        """The study as its record names it: name, key and purpose."""
        return {"name": self.name, "key": self.key, "purpose": self.purpose.model_dump(mode="json")}

    def case(self, label: str) -> Case:
        """The case of a label. Raises ConfigError for an unknown label."""
        cases = {case.label: case for case in self.cases}
        if label not in cases:
            raise ConfigError(unknown(f"case of {self.name}", label, cases))
        return cases[label]


def load(path: Path) -> Study:
    """A study from its file. Raises ConfigError where it is missing or no study."""
    return of(values_of(path), path.parent)


def values_of(path: Path) -> dict[str, Any]:
    """The values in a YAML file. Raises ConfigError where it is missing or holds no lines of name: value."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is missing or not YAML: it must hold lines of name: value") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is missing or not YAML: it must hold lines of name: value")
    return values


def of(values: Mapping[str, Any], folder: Path = Path()) -> Study:
    """A study from the values of a file, its axes crossed.

    Arguments:
        values: the values, by name.
        folder: the folder of the studies that an axis may be taken from.

    Raises:
        ConfigError: a wrong or unknown value; an axis of a study that the folder lacks.
    """
    described = dict(values)
    base, axes, points = described.pop("base", {}), described.pop("axes", {}), described.pop("cases", [{}])
    axes = {axis: _places(axis, places, folder) for axis, places in axes.items()}
    cases = [Case.model_validate(case) for case in _crossed(base, axes, points)]
    return Study.model_validate(described | {"cases": cases})


def _places(axis: str, places: dict[Place, Any], folder: Path) -> dict[Place, Any]:
    """The values at the places of an axis, which another study may hold."""
    name = places.get("like")
    if not isinstance(name, str):
        return places
    if other := [str(key) for key in places if key not in ("like", "only")]:
        raise ConfigError(unknown(f"word beside like of the axis {axis}", other[0], ("only",)))
    described = values_of(folder / f"{name}.yaml").get("axes", {})
    if axis not in described:
        raise ConfigError(unknown(f"axis of {name}", axis, map(str, described)))
    held = described[axis]
    if isinstance(held.get("like"), str):
        raise ConfigError(f"the axis {axis} of {name} is taken from {held['like']}: take it from there")
    chosen = places.get("only", list(held))
    for place in chosen:
        if place not in held:
            raise ConfigError(unknown(f"place on the axis {axis} of {name}", str(place), map(str, held)))
    return {place: held[place] for place in chosen}


def _crossed(base: dict[str, Any], axes: dict[str, dict[Place, Any]], points: list[dict[str, Any]]) -> Iterator[Any]:
    for choice in product(*(values.items() for values in axes.values())):
        for point in points:
            values = base
            for _, patch in choice:
                values = merged(values, patch or {})
            at = {axis: place for axis, (place, _) in zip(axes, choice, strict=True)} | point.get("at", {})
            yield merged(values, point.get("set", {})) | {"at": at}


def merged(old: Any, new: Any) -> Any:
    """The newer value; of two dictionaries both, name by name, and the newer value where both have a name."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}
