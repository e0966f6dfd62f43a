"""The project's own studies: a YAML file each, and the search for each method's settings."""

from pathlib import Path

from analysis.studies import study, tuning
from analysis.studies.study import Study
from cudfkd.base.errors import ConfigError, unknown

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The studies that `get` knows."""
    return sorted({path.stem for path in FOLDER.glob("*.yaml")} | {tuning.NAME})


def get(name: str) -> Study:
    """A study by its name. Raises ConfigError for an unknown name."""
    if name == tuning.NAME:
        return tuning.study()
    if name not in names():
        raise ConfigError(unknown("study", name, names()))
    return study.load(FOLDER / f"{name}.yaml")
