"""The plan of the search: its lengths, seeds and rule; and the search as a study, whose cases stand in its record."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from analysis.studies import records
from analysis.studies.records import StudyRecord
from analysis.studies.study import Case, Purpose, Study
from analysis.studies.tuning import spaces
from cudfkd import methods
from cudfkd.base.errors import ConfigError, DataError
from cudfkd.base.validation import Described, digest
from cudfkd.config import DistillConfig, Experiment

NAME = "tuning"
Stage = Literal["search", "finalists", "confirmation"]
Length = Literal["search", "full"]
Count = Annotated[int, Field(ge=1)]
Seeds = Annotated[tuple[int, ...], Field(strict=False, min_length=1)]

PURPOSE = Purpose(
    question="Which settings does each method get in the comparison?",
    hypothesis="no hypothesis: the search chooses, and decides no claim",
    statistic="accuracy of the last student on dev; a run that stopped itself has accuracy 0",
    test="the best finalist replaces the defaults if, over fresh seeds, the mean of its paired differences to the "
    "defaults is positive by more than its standard error; otherwise the defaults stay",
    control="the first trial of each method has its defaults, and every method gets the same effort",
)


class Plan(Described):
    """All that fixes the search besides the spaces of the methods."""

    trials: Count = 32
    """trials of a method; the first trial has the method's defaults"""
    random_trials: Count = 8
    """trials, the first included, after which the sampler learns from the trials before"""
    epochs: Count = 8
    """epochs of a trial"""
    full_epochs: Count = 25
    """epochs of a run of the finalists and of the confirmation"""
    steps_per_epoch: Count = 100
    """student steps of an epoch"""
    unpruned_epochs: Annotated[int, Field(ge=0)] = 3
    """first epochs of a trial, after which no trial is pruned"""
    unpruned_trials: Count = 6
    """complete trials of the method that there must be before a trial is pruned"""
    finalists: Count = 3
    """settings that go on to full length"""
    search_seed: Annotated[int, Field(ge=0)] = 1000
    """seed of all trials"""
    finalist_seeds: Seeds = (1001, 1002, 1003)
    """seeds of each finalist"""
    confirmation_seeds: Annotated[tuple[int, ...], Field(strict=False, min_length=2)] = (2001, 2002, 2003, 2004)
    """seeds of the best finalist, and of the defaults"""
    sampler: str = "optuna TPESampler, multivariate"
    """sampler, as `analysis.studies.tuning.sampler` makes it"""
    pruner: str = "optuna MedianPruner, on the accuracy on dev after each epoch"
    """pruner, as `analysis.studies.tuning.sampler` makes it"""
    rule: str = "the mean of the paired differences is more than its standard error"
    """condition for the best finalist to replace the defaults, as `analysis.studies.tuning.choice` checks it"""

    @model_validator(mode="after")
    def _lengths_differ(self) -> "Plan":
        if self.full_epochs <= self.epochs:  # else a trial would be its own finalist
            raise ConfigError(f"full_epochs = {self.full_epochs} is not allowed: it must exceed epochs = {self.epochs}")
        return self

    @property
    def seeds(self) -> dict[Stage, tuple[int, ...]]:
        """The seeds of each stage."""
        search = (self.search_seed,)
        return {"search": search, "finalists": self.finalist_seeds, "confirmation": self.confirmation_seeds}

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds of all stages. No reported run may have one of them."""
        return sum(self.seeds.values(), ())

    def case(self, method: str, trial: int, length: Length, settings: dict[str, Any]) -> Case:
        """A case of the search. Finalists and confirmation share their cases: only their seeds differ."""
        epochs = self.epochs if length == "search" else self.full_epochs
        values: dict[str, Any] = settings | {"epochs": epochs, "steps_per_epoch": self.steps_per_epoch}
        described = Experiment(distill=DistillConfig(method=method, **values))
        return Case(at={"method": method, "stage": length, "trial": trial}, experiment=described)

    def key(self, method: str) -> str:
        """Hash of all that fixes the search of a method: the plan, the method's space and its defaults."""
        first = self.case(method, 0, "search", {}).key
        return digest([self.model_dump(mode="json"), spaces.plain(spaces.declared(method)), first])


PLAN = Plan()


class Search(Study):
    """The search as a study. Which cases it has, its record says: later trials follow from earlier results."""

    cases: Annotated[tuple[Case, ...], Field(strict=False)] = ()
    """cases that the record holds"""
    methods: dict[str, str]
    """hash of the search of each method"""

    @property
    def key(self) -> str:
        """Hash of all that fixes the search, which its purpose in words and its results do not."""
        return digest([self.name, self.methods])

    @property
    def about(self) -> dict[str, Any]:
        """The search as its record names it: also with the hash of each method's search."""
        return super().about | {"methods": self.methods}


def study(record: StudyRecord | None = None, plan: Plan = PLAN) -> Search:
    """The search of all methods, with the cases of a record, by default of the project's own record."""
    if record is None:
        path = records.path_of(NAME)
        record = records.read(path) if path.exists() else StudyRecord(study={"name": NAME}, cases={})
    cases = tuple(Case(at=kept.at, **kept.case) for kept in record.cases.values())
    keys = {method: plan.key(method) for method in methods.names()}
    return Search(name=NAME, purpose=PURPOSE, cases=cases, seeds=plan.all_seeds, methods=keys)


def begun(record: StudyRecord | None, plan: Plan = PLAN) -> StudyRecord:
    """The record to go on with, under today's hash of the search.

    Raises:
        DataError: the runs of a method belong to another search: another plan, space or defaults.
    """
    record = record or StudyRecord(study={"name": NAME}, cases={})
    about = study(StudyRecord(study={"name": NAME}, cases={}), plan).about
    then = record.study.get("methods", {})
    for method in sorted({str(kept.at["method"]) for kept in record.cases.values()}):
        if about["methods"].get(method) != then.get(method):
            raise DataError(f"the record {NAME} holds another search of {method}: remove its runs, or the record")
    return StudyRecord(study=about, cases=record.cases)
