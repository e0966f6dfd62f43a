"""One notation: every symbol has one row on the notation page, and notebooks and formulas keep to it."""

import json
import re
from functools import cache
from itertools import pairwise

import pytest

from analysis.evidence.pages import ELSEWHERE
from analysis.origin import NOTEBOOKS, ROOT
from analysis.theory import hysteresis, theorems
from analysis.theory.algebra import log_weight, symbolic
from analysis.theory.algebra.families import FAMILIES

PAGE = (ROOT / "docs" / "notation.md").read_text(encoding="utf-8")
START = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
FILES = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
NAMES = [path.stem for path in FILES]

LABELS = ("generator-loss", "sample-loss", "weight", "student-loss", "pace", "ramp")  # of the equations, in their order
EQUATIONS = {
    1: r"\\mathcal\{L\}_G\s*=",
    2: r"\\ell_i\s*=\s*\\overline",
    3: r"\\arg\\min_\{0 \\le v|v\^\*\(\\ell(; \\lambda)?\) = \\frac\{1 \+ e",
    4: r"\\mathcal\{L\}_S\s*=",
    5: r"\\lambda_k\s*=\s*\\lambda_0",
    6: r"a\(\\tau\)\s*=",
}  # how the start of each equation looks
SECOND = (
    r"Q_\\lambda",
    r"(?<!mathcal\{)D_[fg]",
    r"(?<!mathcal\{)H_[kK{]",
    r"\bT_c\b",
    r"g_[Bk1]",
    r"(?<!mathcal\{)L_[GS]\b",
    r"G\s*=\s*\\\|",
    r"e^\{-F/c\}",
    r"\\mu w\^2",
    r"dM\b|M = vP",
    r"a < b",
    r"JJ'|J'V",
    r"\\Gamma\(",
    r"\\pm a\b",
    r"\\lambda_\{\\min\}",
    r"\\bar L",
    r"e_[01]\b",
)  # patterns of letters with a second meaning, as they once were
CONSTANT = {"e", "d", "O", "o", r"\nabla", r"\partial"}  # signs that every reader knows

ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
LINK = re.compile(r"\[(?:\$((?:[^$])+)\$|[^]$]+)\]\(\.\./docs/(notation|index)\.md#([\w-]+)\)")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
UPRIGHT = re.compile(r"\\(?:text|operatorname|mathrm|begin|end)\{([^}]*)\}")
ALPHABET = re.compile(r"\\(?:mathcal|mathbb|mathbf)\s*\{?\s*[A-Z]\s*\}?")
WORD = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu",
    "xi", "pi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
    "Xi", "Pi", "Phi", "Psi", "Omega", "ell", "nabla", "partial",
}  # fmt: skip


def letters(formula: str) -> list[str]:
    """The letters of a formula in their order: Latin, Greek, and letters of another alphabet, such as \\mathcal{H}."""
    found = []
    plain = UPRIGHT.sub(" ", formula)
    for token in re.finditer(rf"{ALPHABET.pattern}|{WORD.pattern}", plain):
        name = token[0]
        if ALPHABET.fullmatch(name):
            found.append(re.sub(r"[\s{}]", "", name))
        elif not name.startswith("\\") or name[1:] in GREEK:
            found.append(name)
    return found


def symbol(formula: str) -> str:
    """The letter or the upright word, such as KL, with which a formula begins; empty if it has none."""
    upright = UPRIGHT.search(formula)
    before = letters(formula[: upright.start()] if upright else formula)
    return before[0] if before else upright[1] if upright else ""


def formulas(text: str) -> list[str]:
    """The formulas of a Markdown text, without its code."""
    return [display or inline for display, inline in FORMULA.findall(CODE.sub(" ", text))]


@cache
def rows() -> dict[str, list[str]]:
    """By anchor of the notation page: the letters and upright words that the row explains."""
    found = {}
    for line in PAGE.splitlines():
        if line.startswith('| <a id="sym-'):
            first = formulas(line.split(" | ")[0])
            found[ANCHOR.findall(line)[0]] = sorted({head for formula in first for head in [symbol(formula)] if head})
    return found


@cache
def local() -> set[str]:
    """The letters without a meaning of their own, as the page lists them."""
    sentence = PAGE.split("### Letters inside one derivation")[1].split("have no meaning")[0]
    return {letter for formula in formulas(sentence) for letter in letters(formula)}


def cells(name: str) -> list[str]:
    """The Markdown cells of a notebook."""
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]


def tables(name: str) -> list[str]:
    """The rows of a notebook's table of symbols."""
    sections = [text.split("## The symbols")[1].split("\n## ")[0] for text in cells(name) if "## The symbols" in text]
    return [line for section in sections for line in section.splitlines() if line.startswith("|")][2:]


@cache
def printed() -> dict[str, str]:
    """The texts with formulas that code prints, by name: theorems, derivations and proofs."""
    stated = {name: theorems.theorem(name) for name in theorems.names()}
    derived = {name: symbolic.derive(name) for name in FAMILIES}
    proofs = {proof.name: proof for proof in (*log_weight.facts(), *hysteresis.proofs())}
    return {name: thing._repr_markdown_() for name, thing in (stated | derived | proofs).items()}


def unknown(text: str) -> set[str]:
    """The letters in the formulas of a text that the page does not know."""
    known = {head for heads in rows().values() for head in heads} | local()
    return {letter for formula in formulas(text) for letter in letters(formula)} - known


def unlinked(texts: list[str]) -> set[str]:
    """The letters of a notebook that are not linked in the first cell, after the title, that uses them."""
    places = {head: anchor for anchor, heads in rows().items() for head in heads}
    linked: set[str] = {anchor for *_, anchor in LINK.findall(texts[0])}
    missing = set()
    for text in texts[1:]:
        linked |= {anchor for *_, anchor in LINK.findall(text)}
        used = {letter for formula in formulas(text) for letter in letters(formula)} & places.keys()
        missing |= {letter for letter in used - CONSTANT if places[letter] not in linked}
    return missing


def test_the_page_has_a_row_with_an_anchor_for_each_symbol():
    assert len(rows()) > 60
    assert all(line.startswith('| <a id="sym-') for line in PAGE.splitlines() if line.startswith("| ") and "$" in line)
    anchors = ANCHOR.findall(PAGE)
    assert len(anchors) == len(set(anchors))


def test_no_letter_has_two_rows():
    heads = sorted(head for some in rows().values() for head in some)
    assert [first for first, second in pairwise(heads) if first == second] == []
    assert not local() & set(heads)


def test_letters_of_a_formula():
    assert letters(r"\frac1n\sum_i v_i\,\mathrm{KL}(p_t \| p_s) + \mathcal{H}_k \text{ at }\ell") == [
        "n", "i", "v", "i", "p", "t", "p", "s", r"\mathcalH", "k", r"\ell",
    ]  # fmt: skip
    assert (symbol(r"\mathrm{BN}(x)"), symbol(r"\Pi_\lambda"), symbol(r"\overline{\cdot}")) == ("BN", r"\Pi", "")
    assert unknown(r"A letter $Y$ and a letter $\varphi$, and code `$Z$`.") == {"Y", r"\varphi"}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_every_letter_of_a_notebook(name):
    assert unknown("\n\n".join(cells(name))) == set()


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_the_page_has_every_letter_of_the_documents(page):
    assert unknown((ROOT / "docs" / page).read_text(encoding="utf-8")) == set()


def test_the_page_has_every_letter_of_theorems_and_derivations():
    found = {name: unknown(text) for name, text in printed().items()}
    assert {name: strange for name, strange in found.items() if strange} == {}


@pytest.mark.parametrize("name", NAMES)
def test_the_symbols_of_a_table_are_linked_to_their_rows(name):
    for line in tables(name):
        first = line.split(" | ")[0].replace(r"\|", "")
        assert formulas(LINK.sub("", first)) == [], line
        for formula, page, anchor in LINK.findall(first):
            heads = rows()[anchor]
            assert page == "notation"
            assert set(heads) & {symbol(formula), *letters(formula)}, (formula, anchor)


def test_notebooks_have_a_table_of_symbols_where_they_have_many():
    assert [name[:2] for name in NAMES if not tables(name)] == ["00", "13", "14", "18"]


@pytest.mark.parametrize("name", NAMES)
def test_a_symbol_is_linked_where_it_is_used_first(name):
    assert unlinked(cells(name)) == set()


def test_a_symbol_without_a_link_is_found():
    assert unlinked(["# Title with $\\beta$", "The step $\\eta$."]) == {r"\eta"}
    assert unlinked(["# Title", "The step [$\\eta$](../docs/notation.md#sym-step-size)."]) == set()


@pytest.mark.parametrize("name", NAMES)
def test_links_to_symbols_and_equations_lead_to_an_anchor(name):
    known = {"notation": set(ANCHOR.findall(PAGE)), "index": set(ANCHOR.findall(START))}
    links = [link for text in cells(name) for link in LINK.findall(text)]
    assert [anchor for _, page, anchor in links if anchor not in known[page]] == []


def test_links_of_the_page_lead_to_the_equations_of_the_start_page():
    linked = re.findall(r"\[\((\d)\)\]\(index\.md#eq-(\d)\)", PAGE)
    assert {number for number, _ in linked} == set("123456")
    assert all(number == anchor for number, anchor in linked)


def test_the_equations_of_the_start_page_are_numbered_in_their_order():
    places = re.findall(r'<a id="eq-(\d)"></a>|^\$\$ \(([\w-]+)\)$', START, re.MULTILINE)
    assert [number or label for number, label in places] == [
        part for number, label in enumerate(LABELS, start=1) for part in (str(number), label)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_that_states_an_equation_gives_its_number(name):
    for text in cells(name):
        for number, stated in EQUATIONS.items():
            if any(re.search(stated, formula) for formula in formulas(text)):
                assert f"[({number})](../docs/index.md#eq-{number})" in text, (number, text[:80])


def test_the_equations_are_recognised_in_the_start_page():
    found = {number for number, stated in EQUATIONS.items() for part in formulas(START) if re.search(stated, part)}
    assert found == set(EQUATIONS)


@pytest.mark.parametrize("second", SECOND)
def test_no_letter_gets_a_second_meaning_again(second):
    texts = [(name, text) for name in NAMES for text in cells(name)]
    texts += [*printed().items(), ("page", PAGE)]
    found = [(name, part) for name, text in texts for part in formulas(text) if re.search(second, part)]
    assert found == []


PLAIN = re.compile(r"\b(?:Q_lambda|E_Q|D_f|D_g|g_B|g_k|H_k|H_K|L_G|L_S|L_VAE|mu w|J J'|T_c)\b|KL\(Q \|\| P\)|H\(Q\)")
NUMBERED = {
    "cudfkd/methods/cudfkd.py": "123456",
    "cudfkd/curriculum.py": "3456",
    "cudfkd/regularizers.py": "3",
    "cudfkd/losses.py": "2",
}


def test_plain_text_in_the_source_has_no_second_meaning():
    sources = [path for package in ("cudfkd", "analysis", "docs") for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 200
    texts = {path: path.read_text(encoding="utf-8") for path in [*sources, *(ROOT / "docs").glob("*.md")]}
    assert {path.name: PLAIN.findall(text) for path, text in texts.items() if PLAIN.search(text)} == {}
    assert PLAIN.search("the loss L_G of KL(Q || P)")


@pytest.mark.parametrize("path", NUMBERED)
def test_docstrings_give_the_numbers_of_the_equations(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert [number for number in NUMBERED[path] if f"({number})" not in text] == []


def test_an_exported_page_shows_the_symbol_without_its_link():
    text = "| [$v \\in [0, 1]$](../docs/notation.md#sym-weight) | equation [(3)](../docs/index.md#eq-3), [text](a.md) |"
    assert ELSEWHERE.sub(r"\1", text) == "| $v \\in [0, 1]$ | equation (3), [text](a.md) |"
    assert all("../docs/" not in ELSEWHERE.sub(r"\1", text) for name in NAMES for text in cells(name))
