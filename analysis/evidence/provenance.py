"""Writes figures and results together with their origin: profile, parameters, commit and versions."""

import json
import platform
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import IPython
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from analysis.checks import Check, CheckError, failures
from analysis.evidence import parameters
from analysis.evidence.contents import described, figure_of, plotted
from analysis.evidence.sources import fingerprint
from analysis.origin import NOTEBOOKS, OUT, commit
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import folder_path, write_json
from cudfkd.base.machine import hardware

FOOTER = 0.14  # inches below a figure, for a line that names its seeds
PACKAGES = ("cudfkd", "torch", "numpy", "scipy", "matplotlib", "papermill")


class Result(dict):
    """The content of a result.json. A notebook shows one line of it, with the file that has all."""

    def __init__(self, content: Mapping[str, Any], file: Path) -> None:
        super().__init__(content)
        self._file = file

    def __repr__(self) -> str:
        holds = [check["holds"] for check in self["checks"]] + list(self["findings"].values())
        return f"{sum(holds)} of {len(holds)} checks and findings hold; {len(self['metrics'])} metrics: {self._file}"


@dataclass
class Record:
    """Writes the figures and the result of one execution of a notebook.

    Arguments:
        notebook: name of the notebook, for example "00_start_here"; its first two characters name the folder.
        profile: a folder of profiles/, such as smoke or quick; it is printed on every figure.
        parameters: parameters of this execution.
        out_dir: the folder to write to. Empty: out/PROFILE/NN, see `analysis.origin`; or out/changed/NN if a parameter
            differs from the profile, so that the results of the profile stay as they are.
        started: time of the start, by `perf_counter`; default: now.

    The field `code` is the hash of the code at the start, by `sources.fingerprint`. The field `changed` holds the names
    of the parameters that differ from the profile.

    Raises:
        ConfigError: the profile is unknown, or a parameter has another type or range than the notebook declares.
    """

    notebook: str
    profile: str
    parameters: dict[str, Any]
    out_dir: str = ""
    started: float = field(default_factory=perf_counter)
    code: str = field(init=False)
    changed: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.changed = parameters.changed(self.profile, self.notebook[:2], self.parameters)
        declared = parameters.declared_parameters(NOTEBOOKS / f"{self.notebook}.ipynb")
        parameters.check_values(self.notebook, declared, self.parameters | {"out_dir": self.out_dir})
        self.code = fingerprint(self.notebook[:2])  # at the start: the hash of the code that was loaded

    @property
    def folder(self) -> Path:
        """The folder of this notebook's figures and result.json."""
        kept = OUT / ("changed" if self.changed else self.profile) / self.notebook[:2]
        return folder_path("out_dir", self.out_dir) if self.out_dir else kept

    @property
    def runs(self) -> Path:
        """The folder of trained runs. The notebooks of a profile share it and use finished runs again."""
        return (self.folder.parent if self.out_dir else OUT / self.profile) / "runs"

    @property
    def stamp(self) -> str:
        """The words on every figure: the profile, and the parameters that differ from it."""
        return f"{self.profile} profile" + (f", changed: {', '.join(self.changed)}" if self.changed else "")

    def figure(self, name: str, drawn: Figure | Axes, origin: Mapping[str, Any] | None = None) -> Figure:
        """Writes NAME.png, NAME.pdf and NAME.json (the plotted numbers); shows the figure in a notebook; returns it.

        The same data, commit and hardware give the same files, to the byte.

        Arguments:
            name: name of the files.
            drawn: the figure.
            origin: for a figure of recorded runs, their origin, as `analysis.studies.records.story` gives it. Its n,
                seeds, and words on missing seeds stand on the figure. Without it the story has this hardware and the
                seed among the parameters.
        """
        figure, story = figure_of(drawn), {"notebook": self.notebook, "profile": self.profile, "commit": commit()}
        story |= self.parameters | dict(origin or self._here())
        panels = write_figure(self.folder, name, figure, self.stamp, story)
        if IPython.get_ipython() is not None:
            plt.close(figure)  # else the notebook would show it again, without a description
            shown = (self.folder / f"{name}.png").read_bytes()
            _show(shown, figure.get_figwidth() * figure.dpi, described(name, panels))
        return figure

    def _here(self) -> dict[str, Any]:
        """The origin of a figure of this execution."""
        seeds = {"n": 1, "seeds": [self.parameters["seed"]]} if "seed" in self.parameters else {}
        return {"hardware": [hardware("cpu")], **seeds}

    def result(
        self,
        metrics: Mapping[str, Any],
        checks: Iterable[Check] = (),
        findings: Mapping[str, bool] | None = None,
    ) -> Result:
        """Writes result.json and returns it.

        Arguments:
            metrics: numbers of this execution; an estimate has its n and interval.
            checks: statements measured against a control: the rows of the scorecard.
            findings: statements that must be true and have no measure, by name. Examples: sympy settled the algebra; a
                counterexample is a counterexample.

        Raises:
            ConfigError: two checks or findings have the same name; nothing is written.
            CheckError: an exact check or a finding failed. The result is written first, so that the scorecard shows
                the failure. A statistical check that fails is a result, and no error.
        """
        judged, truths = list(checks), dict(findings or {})
        _require_distinct([check.name for check in judged] + list(truths))
        result = {
            "notebook": self.notebook,
            "profile": self.profile,
            "parameters": self.parameters,
            "metrics": dict(metrics),
            "checks": [check.to_dict() for check in judged],
            "findings": {name: bool(holds) for name, holds in truths.items()},
            "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
            "commit": commit(),
            "code": self.code,
            "hardware": hardware("cpu"),
            "seconds": round(perf_counter() - self.started, 1),
        }
        file = self.folder / "result.json"
        write_json(file, json.loads(json.dumps(result, default=_plain)))
        failed = failures(judged, truths)
        if failed:
            raise CheckError(f"{self.notebook}: {len(failed)} did not hold: {', '.join(failed)}")
        return Result(result, file)


def write_figure(folder: Path, name: str, figure: Figure, stamp: str, story: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Writes NAME.png, NAME.pdf and NAME.json into a folder; returns the plotted numbers, see `plotted`.

    Arguments:
        folder: made if it is not there.
        name: name of the files.
        figure: gets a line below it: the stamp; and n and seeds of its story, if there are several seeds.
        stamp: the words that begin the line.
        story: where the figure comes from. It is stored in all three files.
    """
    engine, seeds = figure.get_layout_engine(), _seeds(story)
    if seeds and isinstance(engine, ConstrainedLayoutEngine):
        room = FOOTER / figure.get_figheight()
        engine.set(rect=(0, room, 1, 1 - room))
        _raise_label(figure, room)
    figure.text(0.005, 0.002, stamp + seeds, ha="left", va="bottom", fontsize=7, color="0.45")
    text, title = json.dumps(story, sort_keys=True, default=str), f"{story['notebook']}: {name}"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", metadata={"Software": None, "Title": title, "Description": text})
    figure.set_layout_engine("none")  # the layout stands: PDF and page repeat it, which costs no time again
    info = {"Title": title, "Subject": text, "CreationDate": None, "Producer": None, "Creator": None}
    figure.savefig(folder / f"{name}.pdf", metadata=info)
    panels = [plotted(axes) for axes in figure.axes if axes.axison and axes.get_visible()]
    write_json(folder / f"{name}.json", {"story": story, "axes": panels})
    return panels


def _raise_label(figure: Figure, room: float) -> None:
    """Moves the label below all panels up by `room`: the layout keeps the panels away, and leaves it at the bottom."""
    label = figure.get_supxlabel()
    if label:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        (text,) = (each for each in figure.texts if each.get_text() == label)
        text.set_y(text.get_position()[1] + room)


def span(seeds: Sequence[int]) -> str:
    """Seeds in words: "10 to 19" for consecutive seeds, else all of them."""
    consecutive = len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))


def _seeds(story: Mapping[str, Any]) -> str:
    """The words for n and seeds of several runs, and for seeds that are still to run; empty for one seed or none."""
    seeds, missing = list(story.get("seeds", [])), str(story.get("missing", ""))
    if len(seeds) < 2 and not missing:
        return ""
    return f"; n = {story['n']}, seeds {span(seeds)}" + (f"; {missing}" if missing else "")


def _show(png: bytes, width: float, description: str) -> None:
    """Shows an image in a notebook, with its description. JupyterLab takes descriptions from HTML alone."""
    image = b64encode(png).decode()
    html = f'<img alt="{escape(description)}" width="{width:.0f}" src="data:image/png;base64,{image}">'
    display({"image/png": image, "text/html": html, "text/plain": description}, raw=True)


def _require_distinct(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two checks are called {name!r}: rename one, or one would hide the other")


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
