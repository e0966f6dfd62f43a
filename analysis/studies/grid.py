"""A grid of runs: every method, pair of networks, data set and seed that a YAML file names. The Snakefile runs it.

    name: smoke                                   results go to out/grid/smoke
    methods: {cudfkd: {}, dafl: {lr: 0.05}}       each with settings that it alone gets
    pairs: [{teacher: lenet5, student: lenet5-half}]            a file of plain weights also needs its teacher_arch
    data: {fashion-mnist: {epochs: 10}}           each with settings of its own, above all the length
    seeds: [0, 1, 2]

A setting is any value of `cudfkd.DistillConfig`. Where a setting has several values, this order decides:

    1. a value of a method beats a value of a data set, which beats a value of `distill`
    2. in each of these places, `by_data: {DATA: ...}` and `by_pair: {TEACHER--STUDENT: ...}` hold values for some runs
       alone, which beat the values beside them; `by_pair` may be inside `by_data`, or the other way round

`options` and `curriculum` are merged value by value. Each run is checked before the first run begins.
"""

import shlex
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from analysis.studies.layers import LayeredSettings
from analysis.studies.study import Case, Place, Purpose, Study, merged, values_of
from cudfkd.base.errors import ConfigError, CudfkdError, DataError, unknown
from cudfkd.base.validation import Described
from cudfkd.config import DistillConfig, Experiment
from cudfkd.runs.settings import Count
from cudfkd.teachers import recipes

OUT = Path("out/grid")
SETTINGS = sorted(DistillConfig.model_fields.keys() - {"method", "seed"})


class Pair(Described):
    """A teacher and its student. With `teacher_arch`, the teacher is a file of plain weights, the same for all data."""

    teacher: str
    student: str
    teacher_arch: str = ""

    @property
    def name(self) -> str:
        """The name of the pair under by_pair, and of its folder. A file of plain weights goes without its folder."""
        return f"{Path(self.teacher).name if self.teacher_arch else self.teacher}--{self.student}"

    @property
    def architecture(self) -> str:
        """The architecture of the teacher."""
        return self.teacher_arch or self.teacher


Named = Annotated[dict[str, LayeredSettings], Field(min_length=1)]


class Resources(Described):
    """The resources of one run. An executor asks for them, and stops a run that takes longer."""

    threads: Count = 1
    """CPU cores; results are the same to the bit only with the same number of cores"""
    mem_mb: Count = 2000
    """memory in MB"""
    runtime: Count = 60
    """longest time in minutes"""
    gpu: Annotated[int, Field(ge=0)] = 0
    """GPUs: 0, or 1 for device: cuda"""
    gpu_manufacturer: Literal["nvidia", "amd"] = "nvidia"
    """manufacturer of the GPUs, for executors that must know it"""

    def declared(self) -> dict[str, int | str]:
        """The resources as a Snakemake rule declares them.

        Without a GPU the word gpu is left out: executors read it as a wish.
        """
        return self.model_dump(exclude={"threads"} if self.gpu else {"threads", "gpu", "gpu_manufacturer"})


class Grid(Described):
    """A grid as its file describes it: methods, pairs, data sets and seeds, all crossed."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """name of the folder in out/grid"""
    methods: Named
    """methods by name, each with its own settings"""
    pairs: Annotated[list[Pair], Field(min_length=1)]
    """teachers with students"""
    data: Named
    """data sets by name, each with its own settings"""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """seeds of the runs"""
    distill: LayeredSettings = LayeredSettings()
    """settings of all runs"""
    teachers: str = ""
    """folder with DATA/MODEL-seedN.safetensors, as `cudfkd teacher` writes them; default: the teachers that ship"""
    teacher_seed: Annotated[int, Field(ge=0)] = 0
    """seed of the teachers' training"""
    data_root: str = ""
    """folder with data sets that do not ship"""
    runs: str = str(OUT / "runs")
    """folder of the run folders, each under the hash of its description; grids share them"""
    resources: Resources = Resources()
    """resources of one run"""
    purpose: Purpose = Purpose()
    """question and hypothesis of the grid as a study"""

    @field_validator("methods", "data", mode="before")
    @classmethod
    def _nothing_is_no_settings(cls, values: Any) -> Any:
        return {name: {} if value is None else value for name, value in values.items()} if _is_dict(values) else values

    @field_validator("seeds", "pairs")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        names = [getattr(value, "name", value) for value in values]
        for value, name in zip(values, names, strict=True):
            if names.count(name) > 1:
                raise ConfigError(f"{value!r} is named twice in a grid: name it once")
        return values

    @model_validator(mode="after")
    def _has_what_settings_are_for(self) -> "Grid":
        pairs = [pair.name for pair in self.pairs]
        for settings in (self.distill, *self.data.values(), *self.methods.values()):
            for name in settings.names("by_data"):
                if name not in self.data:
                    raise ConfigError(unknown("data set in by_data", name, self.data))
            for name in settings.names("by_pair"):
                if name not in pairs:
                    raise ConfigError(unknown("pair in by_pair", name, pairs))
        return self

    @cached_property
    def cells(self) -> dict[str, "Cell"]:
        """The runs by name, data set by data set, pair by pair."""
        cells = (
            Cell(self, data, pair, method, seed)
            for data in self.data for pair in self.pairs for method in self.methods for seed in self.seeds
        )  # fmt: skip
        return {cell.name: cell for cell in cells}

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return OUT / self.name

    def study(self) -> Study:
        """The grid as a study: its cases on the axes data, teacher, student and method.

        Raises:
            ConfigError, DataError: as `Cell.experiment`.
        """
        firsts = [cell for cell in self.cells.values() if cell.seed == self.seeds[0]]
        cases = tuple(cell.case() for cell in firsts)
        return Study(name=self.name, purpose=self.purpose, cases=cases, seeds=tuple(self.seeds), keep="rows")

    def groups(self) -> dict[str, list["Cell"]]:
        """The runs by data set and pair: runs of one group are compared with each other."""
        groups: dict[str, list[Cell]] = {}
        for cell in self.cells.values():
            groups.setdefault(cell.group, []).append(cell)
        return groups


class Cell(NamedTuple):
    """One run of a grid."""

    grid: Grid
    data: str
    pair: Pair
    method: str
    seed: int

    @property
    def group(self) -> str:
        """The data set and pair, as a folder."""
        return f"{self.data}/{self.pair.name}"

    @property
    def name(self) -> str:
        """The name of the result's file, without the ending."""
        return f"{self.group}/{self.method}-seed{self.seed}"

    @property
    def result(self) -> Path:
        """The record of this run alone, in the form of `analysis.studies.records`."""
        return self.grid.folder / "results" / f"{self.name}.json"

    @property
    def folder(self) -> Path:
        """The run folder. Its name is the hash of the experiment, so that changed settings get a new folder."""
        return Path(self.grid.runs) / self.experiment().key

    def settings(self) -> dict[str, Any]:
        """Values of DistillConfig besides method and seed, as the file gives them."""
        settings: dict[str, Any] = {}
        for place in (self.grid.distill, self.grid.data[self.data], self.grid.methods[self.method]):
            for layer in place.layers(self.data, self.pair.name):
                settings |= {name: merged(settings.get(name), value) for name, value in layer.items()}
        return settings

    def experiment(self) -> Experiment:
        """The checked experiment of the run. The device is not looked for: the run may be on another machine.

        Raises:
            ConfigError, DataError: a wrong name, setting or value, or no such teacher. The line begins with the run.
        """
        if self.grid.teachers and not self.pair.teacher_arch and not Path(self.teacher).with_suffix(".json").exists():
            raise DataError(f"{self.name}: there is no {self.teacher}: make it with cudfkd teacher {self.lesson()}")
        try:
            return Experiment(
                data=self.data, teacher=self.teacher, teacher_seed=self.grid.teacher_seed,
                teacher_arch=self.pair.teacher_arch, student=self.pair.student, distill=self.distill(),
            )  # fmt: skip
        except CudfkdError as error:
            raise type(error)(f"{self.name}: {error}") from error

    def case(self) -> Case:
        """The case of the grid's study that this run belongs to, with seed 0. Raises as `experiment`."""
        case = Case(at=place(self.data, self.pair.architecture, self.pair.student, self.method))
        return case.model_copy(update={"experiment": self._replace(seed=0).experiment()})

    def distill(self) -> DistillConfig:
        """The checked settings, also where teacher and data are missing. Raises ConfigError."""
        settings = self.settings()
        for name in settings:
            if name not in SETTINGS:
                raise ConfigError(unknown("setting", name, SETTINGS))
        values = {**settings, "method": self.method, "seed": self.seed}
        return DistillConfig.model_validate(values, context={"elsewhere": True})

    @property
    def teacher(self) -> str:
        """The name of a teacher that ships, or the file of the pair or of a teacher of the grid."""
        if not self.grid.teachers or self.pair.teacher_arch:
            return self.pair.teacher
        file = f"{self.pair.teacher}-seed{self.grid.teacher_seed}.safetensors"
        return str(Path(self.grid.teachers) / self.data / file)

    def lesson(self) -> str:
        """The options of the command `cudfkd teacher` that makes the grid's teacher."""
        values = {
            "data": self.data, "model": self.pair.teacher, "seed": self.grid.teacher_seed,
            "recipe": "paper" if self.data in recipes.PAPER else None, "device": self.settings().get("device"),
            "data_root": self.grid.data_root or None, "out": Path(self.teacher).parent,
        }  # fmt: skip
        return shlex.join([*_options(values), "--resume"])

    def arguments(self) -> str:
        """The options of the command `cudfkd distill` that starts the run, goes on with it, or finds it finished."""
        flat = self.settings()
        flat |= (flat.pop("curriculum", None) or {}) | (flat.pop("options", None) or {})
        values = {
            "data": self.data, "teacher": self.teacher, "teacher_seed": self.grid.teacher_seed,
            "teacher_arch": self.pair.teacher_arch or None,
            "student": self.pair.student, "method": self.method, "seed": self.seed, **flat,
            "data_root": self.grid.data_root or None, "out": self.folder,
        }  # fmt: skip
        return shlex.join([*_options(values), "--resume"])


def read(values: Any) -> Grid:
    """A grid from the values of its file, with every run checked (for the first seed: seeds differ in nothing else).

    Raises:
        ConfigError, DataError: the values are no grid, or a run could not begin; the error is one line.
    """
    grid = Grid.model_validate(values)
    for cell in grid.cells.values():
        if cell.seed == grid.seeds[0]:
            cell.experiment()
    return grid


def load(path: Path) -> Grid:
    """A grid from its file, without a check that its runs could begin. Raises ConfigError if the file holds no grid."""
    return Grid.model_validate(values_of(path))


def place(data: str, teacher: str, student: str, method: str) -> dict[str, Place]:
    """The place of a run on the axes of a grid's study. A teacher that is a file goes by its architecture."""
    return {"data": data, "teacher": architecture(teacher), "student": student, "method": method}


def architecture(teacher: str) -> str:
    """The architecture of a teacher, whose name may be that of its file."""
    return Path(teacher).name.split("-seed")[0]


def architecture_in(experiment: Mapping[str, Any]) -> str:
    """The architecture of the teacher in the plain data of an `Experiment`."""
    return experiment.get("teacher_arch") or architecture(experiment["teacher"])


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _options(values: dict[str, Any]) -> Iterator[str]:
    """Values as options of a command line."""
    for name, value in values.items():
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            text = text.lower() if isinstance(value, bool) else text
            yield f"--{name.replace('_', '-')}={text}"
