"""The generated parts of pages: Markdown made from the code, the results and the records.

A page holds a line such as `<!-- here: claims -->`, and the site has the part of this name in its place. The committed
page has the part, too, up to a line `<!-- end: claims -->`: `python -m docs.builder` writes it there, from the records
and the recorded results in figures/. In place of a part that only the site can show, it says so.
"""

import json
import re
from collections.abc import Callable
from functools import cache

import pandas as pd

from analysis.evidence import scorecard
from analysis.evidence.scorecard import Scorecard
from analysis.origin import ROOT
from analysis.paper import paper_map
from analysis.theory import theorems
from analysis.theory.algebra import symbolic
from analysis.theory.algebra.theorem import Theorem
from docs.builder import moving, notebooks, reference, slides
from docs.builder.tables import table

ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
HERE = re.compile(r"^<!-- here: (.+?) -->$(?:\n.*?^<!-- end: \1 -->$)?", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r"\{py:\w+\}`(.+?) <.+?>`")  # a link that the site alone can follow
COMMAND = "python -m docs.builder"


def filled(text: str, profile: str) -> str:
    """The text of a page for the site, with its generated parts from the results in out/PROFILE, if there are any.

    Its anchors become targets that MyST knows, for links to them.
    """
    return ANCHOR.sub(r"[]{#\1}", HERE.sub(lambda here: part(here[1], card(profile)), text))


def written(text: str, page: str) -> str:
    """The text of a page as it is committed, for readers without the site.

    Arguments:
        text: the text, with its parts or without them.
        page: path of the page in the repository, such as "docs/claims.md".
    """
    site = f"*The site has this part: `make site` writes it to `out/site/{page.removesuffix('.md')}.html`.*"

    def block(here: re.Match) -> str:
        readable = here[1] not in SITE_ONLY and not here[1].startswith("api ")
        made = ROLE.sub(r"`\1`", part(here[1], recorded())) if readable else site
        return f"<!-- here: {here[1]} -->\n\n{made}\n\n<!-- end: {here[1]} -->"

    return HERE.sub(block, text)


def part(name: str, made: Scorecard) -> str:
    """A generated part. `name` is a name in PARTS, or "api" and the paths of modules or folders."""
    first, *paths = name.split()
    return reference.sections(paths) if first == "api" else PARTS[first](made)


@cache
def card(profile: str) -> Scorecard:
    """The scorecard of out/PROFILE. Without results there, it is the scorecard of the recorded results."""
    made = scorecard.load(profile, ROOT / "out" / profile)
    return made if made.results else recorded()


@cache
def recorded() -> Scorecard:
    """The scorecard of the recorded results in figures/. They count, though the code may have changed since."""
    return scorecard.load("quick", ROOT / "figures", as_recorded=True)


def evidence(made: Scorecard) -> str:
    """A note on the results that the verdicts rest on."""
    total = len(made.results) + len(made.missing)
    current = len(made.results) - len(made.stale)
    head = f"The verdicts rest on the results of {current} of {total} notebooks, in the profile *{made.profile}*."
    if made is recorded():
        return (
            f"{head} They were recorded in `figures/NN/result.json`, each with the commit of its code. "
            "`make figures` and then `make site` judge by the code as it is."
        )
    if current == total:
        return head
    profile = made.profile
    missing = "\n".join(f"- {remark}" for remark in made.remarks())
    return (
        f"```{{attention}}\n{head} The other results are missing or out of date, so they count for no verdict. "
        f"To see all verdicts, run `make figures PROFILE={profile}` and then `make site PROFILE={profile}`.\n```\n\n"
        f"<details><summary>The missing results</summary>\n\n{missing}\n\n</details>"
    )


def failing(made: Scorecard) -> str:
    """How many checks hold, and how many do not."""
    exact = [check.passed for check in made.current if check.exact]
    fails = sum(not check.passed for check in made.current)
    held = "all" if all(exact) else f"{sum(exact)} of"
    return (
        f"In the profile *{made.profile}*, {held} {len(exact)} exact checks hold, and {fails} of {len(made.current)} "
        "checks do not."
    )


def claim_table(made: Scorecard) -> str:
    """The nine claims with their verdicts, a row a claim, linked to their sections."""
    rows = ((f"[{claim}](claims.md#{claim.lower()})", row["text"], row["as claimed"], f"**{row['here']}**")
            for claim, row in made.claims().iterrows())  # fmt: skip
    return table(("claim", "the paper says, in our words", "at the paper's scale", "here, by our checks"), rows)


def claim_sections(made: Scorecard) -> str:
    """A section for each claim: both verdicts, and each check that bears on the claim."""
    return "\n\n".join(_claim(made, str(claim), row) for claim, row in made.claims().iterrows())


def _claim(made: Scorecard, claim: str, row: pd.Series) -> str:
    every = made.rows()
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


def theorem_sections(made: Scorecard) -> str:
    """A section for each theorem: statement, hypotheses, verdict and notebook."""
    judged = made.theorems()["verdict"]
    return "\n\n".join(_theorem(theorems.theorem(name), judged[name]) for name in theorems.names())


def _theorem(stated: Theorem, verdict: str) -> str:
    return "\n\n".join([
        f"### {stated.id}: {stated.title}",
        f"$$\n{stated.statement}\n$$",
        "Hypotheses:",
        "\n".join(f"- {hypothesis}" for hypothesis in stated.hypotheses),
        f"Verdict: **{verdict}**. Derived in {notebook_link(stated.notebook)}.",
    ])  # fmt: skip


def notebook_map() -> str:
    """The map of the notebooks, a row a notebook."""
    stated = theorems.table()
    rows = []
    for name, title in notebooks.titles().items():
        proved = ", ".join(stated.index[stated["notebook"] == name[:2]])
        place = notebooks.MAP[name[:2]]
        rows.append((f"[{name[:2]} {title}](../notebooks/{name}.ipynb)", place["assumes"], place["drops"], proved,
                     notebooks.minutes(name)))  # fmt: skip
    return table(("notebook", "it assumes", "it drops", "theorems", "minutes"), rows)


def published_map() -> str:
    """The map of the paper: a row for each of its figures, tables and claims, with links to our notebooks."""
    shown = paper_map.table(paper_map.entries()).reset_index()
    shown["notebook"] = [re.sub(r"\d\d", lambda number: notebook_link(number[0], ""), row) for row in shown["notebook"]]
    return table(shown.columns, shown.to_numpy())


def formulas() -> str:
    """The formulas of the ten regularizers, from their symbolic forms."""
    lines = {"g(v)": "g(v)", r"v^*(\ell)": "v*(l)", r"F(\ell)": "F(l)"}
    sections = []
    for name, row in symbolic.formulas().iterrows():
        aligned = r" \\[1ex] ".join(f"{left} &= {bare(row[column])}" for left, column in lines.items())
        sections.append(f"### {name}\n\n$$\n\\begin{{aligned}} {aligned} \\end{{aligned}}\n$$".replace(r"\log", r"\ln"))
    return "\n\n".join(sections)


def decks() -> str:
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


def notebook_link(number: str, before: str = "notebook ") -> str:
    """A link to a notebook by its number, with words before it; or the number alone if the notebook is not there."""
    name = next((name for name in notebooks.titles() if name[:2] == number), None)
    return f"[{before}{number}](../notebooks/{name}.ipynb)" if name else number


def code(text: str) -> str:
    """A text as code."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """A text that begins with a capital letter and ends with a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def bare(formula: str) -> str:
    """A formula without its dollar signs."""
    return formula.strip("$")


PARTS: dict[str, Callable[[Scorecard], str]] = {
    "evidence": evidence,
    "failing": failing,
    "claim-table": claim_table,
    "claims": claim_sections,
    "theorems": theorem_sections,
    "map": lambda _: notebook_map(),
    "paper-map": lambda _: published_map(),
    "sources": lambda _: paper_map.sources(),
    "formulas": lambda _: formulas(),
    "slides": lambda _: decks(),
    "front-door": lambda _: reference.front_door(),
    "weights": lambda _: player(moving.weights(), "weights"),
    "account": lambda _: player(moving.account(), "account"),
}
SITE_ONLY = ("slides", "weights", "account")
