"""The documents agree with the source: every error is explained, and version and citation match the package."""

import argparse
import ast
import inspect
import re

import pytest
import yaml

import cudfkd
from analysis.origin import ROOT
from cudfkd import DistillConfig, methods
from tests.cudfkd.methods.tiny import context
from tests.messages import Message, constants, messages, messages_in

ERRORS = (ROOT / "ERRORS.md").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def explained() -> list[str]:
    """The lines in the first column of the tables of ERRORS.md."""
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in ERRORS.splitlines() if line.startswith("| `")]
    return [line.replace("\\|", "|") for cell in cells for line in re.findall(r"`([^`]+)`", cell)]


def longest(line: str) -> str:
    """The longest part of a line that does not differ from case to case."""
    return max(line.split("…"), key=len).strip(" :;,.()")


def unexplained(found: list[Message], lines: list[str]) -> list[Message]:
    return [one for one in found if longest(one.text) and not any(longest(one.text) in line for line in lines)]


def test_every_message_in_the_source_is_explained():
    every = messages()
    assert len(every) > 100
    assert unexplained(every, explained()) == []


def test_every_explained_line_is_one_of_the_source():
    source = "\n".join([*(message.text for message in messages()), constants(), inspect.getsource(argparse)])
    assert [line for line in explained() if longest(line) not in source] == []


def test_lines_are_explained_once_each():
    assert len(explained()) == len(set(explained()))


def test_a_message_without_an_entry_is_found():
    """The control: without an entry in ERRORS.md, its message is found."""
    lines = [line for line in explained() if "holds a run already" not in line]
    assert [message.where.split(":")[0] for message in unexplained(messages(), lines)] == ["cudfkd/runs/folder.py"]


@pytest.mark.parametrize(
    "source",
    ["raise ConfigError(f'{a} is bad')", "def f():\n why = 'is bad'\n raise ConfigError(f'{a} {why}')"],
)
def test_messages_are_found_in_either_form(source):
    (message,) = messages_in(ROOT / "x.py", ast.parse(source), {"ConfigError"})
    assert message.text == "… is bad"


def test_the_citation_is_one():
    assert {"cff-version", "message", "title", "authors", "version", "license", "type"} <= CITATION.keys()
    assert CITATION["version"] == cudfkd.__version__
    assert CITATION["authors"] == [{"name": "The CuDFKD companion authors"}]
    assert "(c) 2026 The CuDFKD companion authors" in (ROOT / "LICENSE").read_text()


def test_the_paper_is_cited_as_a_reference_and_not_as_ours():
    (paper,) = CITATION["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Li", "Zhou", "Li", "Wang", "Bu", "Yu"]
    assert paper["title"] == "Dynamic Data-Free Knowledge Distillation by Easy-to-Hard Learning Strategy"


def test_the_changelog_begins_with_this_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == cudfkd.__version__
    assert "cudfkd.distill" in (ROOT / "CHANGELOG.md").read_text()


def test_links_between_the_documents_lead_somewhere():
    for page in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def _rivals() -> dict[str, list[str]]:
    """The rows of the table of siblings in docs/rivals.md, by method."""
    lines = (ROOT / "docs" / "rivals.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_table_of_the_rivals_is_that_of_every_trained_generator():
    trained = {name for name in methods.names() if "sampling_mode" in methods.get(name).Options.model_fields}
    assert set(_rivals()) == trained


@pytest.mark.parametrize("method", list(_rivals()))
def test_the_table_of_the_rivals_says_the_defaults(method):
    ctx = context(DistillConfig(method=method, image_size=16, channels=1))
    options, plan = ctx.config.options, methods.get(method).build(ctx.config.options, ctx)
    betas = plan.optimizers["generator"].param_groups[0]["betas"]
    assert _rivals()[method] == [
        str(ctx.config.round_steps),
        options.store,
        options.generator_output,
        options.sampling_mode,
        "train" if plan.student_trains else "eval",
        options.generator_schedule,
        ", ".join(map(str, betas)),
        "none" if plan.student_clip is None else f"{plan.student_clip:g}",
    ]
