"""A grid of runs: every method, pair of networks, data set and seed that a YAML file names. The Snakefile runs it.

    name: smoke                                   results go to out/grid/smoke
    methods: {cudfkd: {}, dafl: {lr: 0.05}}       each with settings that it alone gets
    pairs: [{teacher: lenet5, student: lenet5-half}]
    data: {fashion-mnist: {epochs: 10}}           each with settings of its own, above all the length
    seeds: [0, 1, 2]

A setting is any value of `cudfkd.DistillConfig`. A method's beats a data set's beats one of `distill`. In each of these
places, what stands under `by_data: {DATA: ...}` or `by_pair: {TEACHER--STUDENT: ...}`, for those runs alone, beats what
stands beside it; one may be inside the other. `options` and `curriculum` are put together value by value. Each run is
checked before the first begins.
"""

import shlex
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, field_validator, model_validator

from analysis.studies.study import Case, Place, Purpose, Study, merged, values_of
from cudfkd.base.errors import ConfigError, CudfkdError, DataError, unknown
from cudfkd.base.validation import Described
from cudfkd.config import DistillConfig, Experiment
from cudfkd.runs.settings import Count
from cudfkd.teachers import recipes

OUT = Path("out/grid")
SETTINGS = sorted(DistillConfig.model_fields.keys() - {"method", "seed"})


class Pair(Described):
    """Who teaches whom."""

    teacher: str
    student: str

    @property
    def name(self) -> str:
        """As it is written under by_pair, and as a folder."""
        return f"{self.teacher}--{self.student}"


class Settings(Described):
    """Settings of some runs, and others for some of these."""

    model_config = ConfigDict(extra="allow")

    by_data: dict[str, "Settings"] = {}
    """for one data set alone"""
    by_pair: dict[str, "Settings"] = {}
    """for one pair alone"""

    def layers(self, data: str, pair: str) -> Iterator[dict[str, Any]]:
        """What holds for a data set and a pair; a later layer beats an earlier one."""
        yield self.model_extra or {}
        for found in (self.by_data.get(data), self.by_pair.get(pair)):
            if found is not None:
                yield from found.layers(data, pair)

    def names(self, kind: Literal["by_data", "by_pair"]) -> Iterator[str]:
        """The data sets or pairs that are named in it."""
        yield from getattr(self, kind)
        for inner in (*self.by_data.values(), *self.by_pair.values()):
            yield from inner.names(kind)


Named = Annotated[dict[str, Settings], Field(min_length=1)]


class Resources(Described):
    """What one run may take: an executor asks for it, and a run that takes longer is stopped by it."""

    threads: Count = 1
    """CPU cores; results are the same to the bit at the same number only"""
    mem_mb: Count = 2000
    """memory"""
    runtime: Count = 60
    """minutes"""
    gpu: Annotated[int, Field(ge=0)] = 0
    """GPUs: 0, or 1 for device: cuda"""
    gpu_manufacturer: Literal["nvidia", "amd"] = "nvidia"
    """which, where an executor must know"""

    def declared(self) -> dict[str, int | str]:
        """As a rule's resources; without a GPU none is mentioned, as executors take the word for a wish."""
        return self.model_dump(exclude={"threads"} if self.gpu else {"threads", "gpu", "gpu_manufacturer"})


class Grid(Described):
    """What is crossed with what, how long, and where."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """of the folder in out/grid"""
    methods: Named
    """names, each with its own settings"""
    pairs: Annotated[list[Pair], Field(min_length=1)]
    """teachers with students"""
    data: Named
    """names, each with its own settings"""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """of the runs"""
    distill: Settings = Settings()
    """settings of all runs"""
    teachers: str = ""
    """folder with DATA/MODEL-seedN.safetensors, as `cudfkd teacher` writes them; default: those that ship"""
    teacher_seed: Annotated[int, Field(ge=0)] = 0
    """seed of the teachers' training"""
    data_root: str = ""
    """folder with data sets that do not ship"""
    runs: str = str(OUT / "runs")
    """where run folders lie, each under the hash of its description: grids share them"""
    resources: Resources = Resources()
    """of one run"""
    purpose: Purpose = Purpose()
    """question and hypothesis of the grid as a study"""

    @field_validator("methods", "data", mode="before")
    @classmethod
    def _nothing_is_no_settings(cls, found: Any) -> Any:
        return {name: {} if value is None else value for name, value in found.items()} if _is_dict(found) else found

    @field_validator("seeds", "pairs")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        for value in values:
            if values.count(value) > 1:
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
        found = (
            Cell(self, data, pair, method, seed)
            for data in self.data for pair in self.pairs for method in self.methods for seed in self.seeds
        )  # fmt: skip
        return {cell.name: cell for cell in found}

    @property
    def folder(self) -> Path:
        """Where its results go."""
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
        """The runs that are compared with each other: those of one data set and pair."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells.values():
            found.setdefault(cell.group, []).append(cell)
        return found


class Cell(NamedTuple):
    """One run of a grid."""

    grid: Grid
    data: str
    pair: Pair
    method: str
    seed: int

    @property
    def group(self) -> str:
        """Data set and pair, as a folder."""
        return f"{self.data}/{self.pair.name}"

    @property
    def name(self) -> str:
        """The file of its result, without the ending."""
        return f"{self.group}/{self.method}-seed{self.seed}"

    @property
    def result(self) -> Path:
        """The record of this run alone, in the form of `analysis.studies.records`."""
        return self.grid.folder / "results" / f"{self.name}.json"

    @property
    def folder(self) -> Path:
        """Its run folder, found by what is run: changed settings get a new one, others go on in theirs."""
        return Path(self.grid.runs) / self.experiment().key

    def settings(self) -> dict[str, Any]:
        """Values of DistillConfig besides method and seed, as they were given."""
        found: dict[str, Any] = {}
        for place in (self.grid.distill, self.grid.data[self.data], self.grid.methods[self.method]):
            for layer in place.layers(self.data, self.pair.name):
                found |= {name: merged(found.get(name), value) for name, value in layer.items()}
        return found

    def experiment(self) -> Experiment:
        """What is run, checked; the device is not looked for here, as the run may be elsewhere.

        Raises:
            ConfigError, DataError: a wrong name, setting or value, or no such teacher. The line begins with the run.
        """
        if self.grid.teachers and not Path(self.teacher).with_suffix(".json").exists():
            raise DataError(f"{self.name}: there is no {self.teacher}: make it with cudfkd teacher {self.lesson()}")
        try:
            return Experiment(
                data=self.data, teacher=self.teacher, teacher_seed=self.grid.teacher_seed,
                student=self.pair.student, distill=self.distill(),
            )  # fmt: skip
        except CudfkdError as error:
            raise type(error)(f"{self.name}: {error}") from error

    def case(self) -> Case:
        """The case of the grid's study that this run belongs to, with seed 0. Raises as `experiment`."""
        case = Case(at=place(self.data, self.pair.teacher, self.pair.student, self.method))
        return case.model_copy(update={"experiment": self._replace(seed=0).experiment()})

    def distill(self) -> DistillConfig:
        """The settings alone, checked, wherever teacher and data are. Raises ConfigError."""
        settings = self.settings()
        for name in settings:
            if name not in SETTINGS:
                raise ConfigError(unknown("setting", name, SETTINGS))
        values = {**settings, "method": self.method, "seed": self.seed}
        return DistillConfig.model_validate(values, context={"elsewhere": True})

    @property
    def teacher(self) -> str:
        """The name of one that ships, or the file of one of the grid's."""
        if not self.grid.teachers:
            return self.pair.teacher
        file = f"{self.pair.teacher}-seed{self.grid.teacher_seed}.safetensors"
        return str(Path(self.grid.teachers) / self.data / file)

    def lesson(self) -> str:
        """What stands after `cudfkd teacher` to make the grid's teacher."""
        values = {
            "data": self.data, "model": self.pair.teacher, "seed": self.grid.teacher_seed,
            "recipe": "paper" if self.data in recipes.PAPER else None, "device": self.settings().get("device"),
            "data_root": self.grid.data_root or None, "out": Path(self.teacher).parent,
        }  # fmt: skip
        return shlex.join([*_options(values), "--resume"])

    def arguments(self) -> str:
        """What stands after `cudfkd distill`: the same line starts the run, goes on with it, or finds it finished."""
        flat = self.settings()
        flat |= (flat.pop("curriculum", None) or {}) | (flat.pop("options", None) or {})
        values = {
            "data": self.data, "teacher": self.teacher, "teacher_seed": self.grid.teacher_seed,
            "student": self.pair.student, "method": self.method, "seed": self.seed, **flat,
            "data_root": self.grid.data_root or None, "out": self.folder,
        }  # fmt: skip
        return shlex.join([*_options(values), "--resume"])


def read(values: Any) -> Grid:
    """A grid from what its file holds, every run of it checked (with the first seed, as seeds differ in nothing else).

    Raises:
        ConfigError, DataError: it is not a grid, or one of its runs could not begin; one line.
    """
    grid = Grid.model_validate(values)
    for cell in grid.cells.values():
        if cell.seed == grid.seeds[0]:
            cell.experiment()
    return grid


def load(path: Path) -> Grid:
    """A grid from its file, not looking whether its runs could begin. Raises ConfigError if it is none."""
    return Grid.model_validate(values_of(path))


def place(data: str, teacher: str, student: str, method: str) -> dict[str, Place]:
    """The place of a run on the axes of a grid's study. A teacher that is a file goes by its architecture."""
    return {"data": data, "teacher": architecture(teacher), "student": student, "method": method}


def architecture(teacher: str) -> str:
    """The architecture of a teacher, whose name may be that of its file."""
    return Path(teacher).name.split("-seed")[0]


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _options(values: dict[str, Any]) -> Iterator[str]:
    """Values as the command line takes them."""
    for name, value in values.items():
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            text = text.lower() if isinstance(value, bool) else text
            yield f"--{name.replace('_', '-')}={text}"
