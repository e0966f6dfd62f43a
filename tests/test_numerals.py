"""Which numbers in the texts of notebooks need a cell, and which numbers of cells they may come from."""

import nbformat
import pytest

from tests.numerals import backed, numbers, numerals, unbacked


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lies in 0.088 to 1, about 17 % of 2,000 images.", ["0.088", "1", "17 %", "2,000"]),
        (r"$x = 3$, $$y\n= 4$$ and `5`, see [notebook 06](06_a.ipynb), T7, C8, LeNet-5, float64", []),
        ("1. Hinton et al. (2015)\n2. *(easy)* one of 12", ["12"]),
    ],
)
def test_numerals_of_a_text(text, found):
    assert numerals(text) == found


@pytest.mark.parametrize(
    ("numeral", "number", "known"),
    [
        ("0.088", 0.08756, True),
        ("0.088", 0.0890, False),
        ("17 %", 0.168, True),
        ("17 %", 17.2, True),
        ("17 %", 0.16, False),
        ("32", 32.0, True),
        ("32", 31.9, False),
        ("2,000", 2000, True),
    ],
)
def test_a_number_backs_a_numeral_that_it_rounds_to(numeral, number, known):
    assert backed(numeral, [number]) == known


def test_numbers_of_code_and_outputs():
    assert numbers("f(20_000, 1e-3, x2)", "58,000 images: 0.5") == [20000, 0.001, 58000, 0.5]


def test_a_number_without_a_cell_is_found_and_a_number_of_a_cell_is_not():
    new = nbformat.v4
    texts = "Here 7 of 9.\n\n## Exercises\n\n1. Take 4.\n\n<details>\n\n1. 4 and 6 and 8\n\n</details>"
    ran = new.new_code_cell("3 + 4", outputs=[new.new_output("execute_result", data={"text/plain": "7"})])
    injected = new.new_code_cell("a = 9", metadata={"tags": ["injected-parameters"]})
    notebook = new.new_notebook(cells=[new.new_markdown_cell(texts), ran, injected])
    assert unbacked(notebook, [], "") == ["9", "6", "8"]
    assert unbacked(notebook, [9.0], "assert found == 6") == ["8"]
