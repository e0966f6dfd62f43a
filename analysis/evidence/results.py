"""Results of notebooks, read back: validated, and compared with the code and parameters of today."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from analysis.checks import Check
from analysis.evidence.execute import read_yaml
from analysis.evidence.sources import fingerprint
from analysis.origin import PROFILES
from cudfkd.base.errors import DataError


@dataclass(frozen=True)
class Result:
    """One result.json, as `provenance.Record.result` writes it.

    notebook: its name; the first two letters are its number.
    checks: measured statements, each with its control.
    findings: what must be true and has no measure, by name.
    commit, code: of the making; see `commits.commit` and `sources.fingerprint`.
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
        """Of the notebook: "04"."""
        return self.notebook[:2]


def read(path: Path) -> Result:
    """Reads out/PROFILE/NN/result.json.

    Raises:
        DataError: it cannot be read, is no JSON, lacks a field or has one of another type, belongs to another notebook
            than its folder, or states a verdict that its own numbers contradict.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        result = pydantic.TypeAdapter(Result).validate_python(plain)
        verdicts = [one["verdict"] for one in plain["checks"]]
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}): mend its permissions, or run its notebook"
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _damaged(path, f"{where}: {first['msg']}") from error
    except KeyError as error:
        raise _damaged(path, f"a check has no {error}") from error
    except ValueError as error:
        raise _damaged(path, "it is no JSON text") from error
    if result.number != path.parent.name:
        raise _damaged(path, f"it is of notebook {result.notebook!r}")
    for one, verdict in zip(result.checks, verdicts, strict=True):
        if verdict != one.verdict or not _consistent(one):
            raise _damaged(path, f"{one.name!r} says {verdict!r}, and its numbers do not")
    return result


def doubts(result: Result, profile: str) -> str:
    """Why a result does not speak for the present code and profile, in words; empty if it does."""
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


def _consistent(one: Check) -> bool:
    """What `checks.check` and `checks.merge` guarantee (a merged control is judged by a tolerance of its own)."""
    held = one.worst_violation <= one.tolerance or not one.holds
    failed = one.control.violation > 0 or one.control.holds
    return held and failed and one.tolerance >= 0 and one.n >= 1


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged or of another version ({why}): run notebook {path.parent.name} again")
