"""The generated parts of pages: Markdown made from the code, the results and the records when the site is built.

A page holds a line such as `<!-- here: claims -->`. The build puts the part of this name in its place.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from analysis.evidence import scorecard
from analysis.evidence.scorecard import Scorecard
from analysis.origin import ROOT
from analysis.theory import theorems
from analysis.theory.algebra import symbolic
from analysis.theory.algebra.theorem import Theorem
from docs.builder import moving, notebooks, reference, slides
from docs.builder.tables import table

ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
HERE = re.compile(r"^<!-- here: (.+?) -->$", re.MULTILINE)
MAP = yaml.safe_load((Path(__file__).parent / "map.yaml").read_text(encoding="utf-8"))


def filled(text: str, profile: str) -> str:
    """The text of a page with its generated parts. Its anchors become targets that MyST knows, for links to them."""
    return ANCHOR.sub(r"[]{#\1}", HERE.sub(lambda here: part(here[1], profile), text))


def part(name: str, profile: str) -> str:
    """A generated part. `name` is a name in PARTS, or "api" and the paths of modules or folders."""
    first, *paths = name.split()
    return reference.sections(paths) if first == "api" else PARTS[first](profile)


@cache
def card(profile: str) -> Scorecard:
    """The scorecard of out/PROFILE. Without results there, it is made from the recorded results in figures/."""
    made = scorecard.load(profile, ROOT / "out" / profile)
    return made if made.results else scorecard.load(profile, ROOT / "figures")


def evidence(profile: str) -> str:
    """A note on the results that the verdicts rest on."""
    made = card(profile)
    total = len(made.results) + len(made.missing)
    current = len(made.results) - len(made.stale)
    head = f"The verdicts rest on the results of {current} of {total} notebooks, in the profile *{profile}*."
    if current == total:
        return head
    missing = "\n".join(f"- {remark}" for remark in made.remarks())
    return (
        f"```{{attention}}\n{head} The other results are missing or out of date, so they count for no verdict. "
        f"To see all verdicts, run `make figures PROFILE={profile}` and then `make site PROFILE={profile}`.\n```\n\n"
        f"<details><summary>The missing results</summary>\n\n{missing}\n\n</details>"
    )


def claim_table(profile: str) -> str:
    """The nine claims with their verdicts, a row a claim, linked to their sections."""
    rows = ((f"[{claim}](claims.md#{claim.lower()})", row["text"], row["as claimed"], f"**{row['here']}**")
            for claim, row in card(profile).claims().iterrows())  # fmt: skip
    return table(("claim", "the paper says, in our words", "at the paper's scale", "here, by our checks"), rows)


def claim_sections(profile: str) -> str:
    """A section for each claim: both verdicts, and each check that bears on the claim."""
    return "\n\n".join(_claim(profile, str(claim), row) for claim, row in card(profile).claims().iterrows())


def _claim(profile: str, claim: str, row: pd.Series) -> str:
    every = card(profile).rows()
    bearing = every.loc[[claim in some.split(", ") for some in every["claims"]]]
    checks = ((code(check["statement"]), check["check"], check["verdict"], check["n"], check["control"],
               notebook_link(check["notebook"])) for _, check in bearing.iterrows())  # fmt: skip
    shown = table(("statement", "check", "verdict", "n", "control that must fail", "notebook"), checks)
    return "\n\n".join([
        f"## {claim}",
        f"> {row['text']}",
        f"At the paper's scale: **{row['as claimed']}**. {sentence(row['why'])}",
        f"Here: **{row['here']}**. {sentence(row['rests on'])}",
        shown if len(bearing) else "No check bears on this claim.",
    ])  # fmt: skip


def theorem_sections(profile: str) -> str:
    """A section for each theorem: statement, hypotheses, verdict and notebook."""
    judged = card(profile).theorems()["verdict"]
    return "\n\n".join(_theorem(theorems.theorem(name), judged[name]) for name in theorems.names())


def _theorem(stated: Theorem, verdict: str) -> str:
    return "\n\n".join([
        f"### {stated.id}: {stated.title}",
        f"$$\n{stated.statement}\n$$",
        "Hypotheses:",
        "\n".join(f"- {hypothesis}" for hypothesis in stated.hypotheses),
        f"Verdict: **{verdict}**. Derived in {notebook_link(stated.notebook)}.",
    ])  # fmt: skip


def notebook_map(profile: str) -> str:  # noqa: ARG001
    """The map of the notebooks, a row a notebook."""
    stated = theorems.table()
    rows = []
    for name, title in notebooks.titles().items():
        proved = ", ".join(stated.index[stated["notebook"] == name[:2]])
        place = MAP[name[:2]]
        rows.append((f"[{name[:2]} {title}](../notebooks/{name}.ipynb)", place["assumes"], place["drops"], proved,
                     notebooks.time(name)))  # fmt: skip
    return table(("notebook", "it assumes", "it drops", "theorems", "time"), rows)


def formulas(profile: str) -> str:  # noqa: ARG001
    """The formulas of the ten regularizers, from their symbolic forms."""
    lines = {"g(v)": "g(v)", r"v^*(\ell)": "v*(l)", r"F(\ell)": "F(l)"}
    sections = []
    for name, row in symbolic.formulas().iterrows():
        aligned = r" \\[1ex] ".join(f"{left} &= {bare(row[column])}" for left, column in lines.items())
        sections.append(f"### {name}\n\n$$\n\\begin{{aligned}} {aligned} \\end{{aligned}}\n$$".replace(r"\log", r"\ln"))
    return "\n\n".join(sections)


def decks(profile: str) -> str:  # noqa: ARG001
    """Links to the slides. They are HTML, because Sphinx knows only its own pages."""
    titles = notebooks.titles()
    items = (f'<li><a href="../slides/{name}.html">{name[:2]} {titles[name]}</a></li>' for name in slides.lecture())
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def player(data: dict, name: str) -> str:
    """A figure that moves: its numbers in the page, and a place in which the script draws them."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (
        f'<div class="moving" id="moving-{name}">\n<script type="application/json">{text}</script>\n'
        "<noscript>This figure needs JavaScript.</noscript>\n</div>"
    )


def notebook_link(number: str) -> str:
    """A link to a notebook by its number, or the number alone if the notebook is not there."""
    name = next((name for name in notebooks.titles() if name[:2] == number), None)
    return f"[notebook {number}](../notebooks/{name}.ipynb)" if name else number


def code(text: str) -> str:
    """A text as code."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """A text that begins with a capital letter and ends with a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def bare(formula: str) -> str:
    """A formula without its dollar signs."""
    return formula.strip("$")


PARTS: dict[str, Callable[[str], str]] = {
    "evidence": evidence,
    "claim-table": claim_table,
    "claims": claim_sections,
    "theorems": theorem_sections,
    "map": notebook_map,
    "formulas": formulas,
    "slides": decks,
    "front-door": lambda _: reference.front_door(),
    "weights": lambda _: player(moving.weights(), "weights"),
    "account": lambda _: player(moving.account(), "account"),
}
