"""Reads the results of notebooks, validates them, and compares them with the present code and parameters."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from analysis.checks import Check
from analysis.evidence.parameters import read_yaml
from analysis.evidence.sources import fingerprint
from analysis.origin import PROFILES
from cudfkd.base.errors import DataError


@dataclass(frozen=True)
class Result:
    """A result.json, as `provenance.Record.result` writes it.

    notebook: name of the notebook; its first two characters are the number.
    profile: smoke, quick or full.
    parameters: parameters of the execution.
    metrics: numbers of the execution.
    checks: measured statements, each with its control.
    findings: statements that must be true and have no measure, by name.
    commit: commit of the code at the execution; see `origin.commit`.
    code: hash of the code at the execution; see `sources.fingerprint`.
    seconds: duration of the execution.
    """

    notebook: str
    profile: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    checks: tuple[Check, ...]
    findings: dict[str, bool]
    commit: str
    code: str
    seconds: float

    @property
    def number(self) -> str:
        """Number of the notebook, for example "04"."""
        return self.notebook[:2]


def read(path: Path) -> Result:
    """Reads out/PROFILE/NN/result.json.

    Raises:
        DataError: the file cannot be read or is no JSON; a field is missing or has another type; the notebook is not
            the notebook of the folder; or a verdict contradicts the file's own numbers.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        result = pydantic.TypeAdapter(Result).validate_python(plain)
        verdicts = [check["verdict"] for check in plain["checks"]]
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}): mend its permissions, or run its notebook"
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"]) or "the file"
        raise _damaged(path, f"{where}: {first['msg']}") from error
    except KeyError as error:
        raise _damaged(path, f"a check has no {error}") from error
    except ValueError as error:
        raise _damaged(path, "it is no JSON text") from error
    if result.number != path.parent.name:
        raise _damaged(path, f"it is of notebook {result.notebook!r}")
    for check, verdict in zip(result.checks, verdicts, strict=True):
        if verdict != check.verdict or not _consistent(check):
            raise _damaged(path, f"{check.name!r} says {verdict!r}, and its numbers do not")
    return result


def doubts(result: Result, profile: str) -> str:
    """The reason why a result is not valid for the present code and profile, in words; empty if it is valid."""
    file = PROFILES / profile / f"{result.number}.yaml"
    if not file.exists():
        return f"profile {profile} has no notebook {result.number}"
    if result.profile != profile:
        return f"made with profile {result.profile}"
    wanted = read_yaml(file)
    other = [f"{name} = {value!r}, the profile has {wanted[name]!r}" for name, value in result.parameters.items()
             if name in wanted and wanted[name] != value]  # fmt: skip
    if other:
        return f"other parameters: {'; '.join(other)}"
    if result.code != fingerprint(result.number):
        return f"the code has changed since commit {result.commit}"
    return ""


def _consistent(check: Check) -> bool:
    """True if a check has the properties that `checks.check` and `checks.merge` guarantee.

    A merged control was judged by a tolerance of its own.
    """
    held = check.worst_violation <= check.tolerance or not check.holds
    failed = check.control.violation > 0 or check.control.holds
    return held and failed and check.tolerance >= 0 and check.n >= 1


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged or of another version ({why}): run notebook {path.parent.name} again")
