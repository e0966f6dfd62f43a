"""The tables of the pages on speed say what the recorded benchmark says."""

import json

from analysis.origin import ROOT

RECORD = json.loads((ROOT / "benchmarks" / "results" / "throughput.json").read_text())
PLAIN, COMPILED = sorted(RECORD, key=len)
PAIRS = {
    ("WRN-16-1", "authors'"): "wrn-16-1",
    ("LeNet-5", "authors'"): "lenet5-paper",
    ("LeNet-5", "defaults"): "lenet5",
}


def rows(page: str, heads: str) -> list[list[str]]:
    """The rows of the table of a page whose first line begins with `heads`."""
    table = (ROOT / page).read_text().split(heads)[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def recorded(networks: str, sizes: str, compiled: str = "no") -> dict:
    return RECORD[COMPILED if compiled == "yes" else PLAIN][PAIRS[networks.split(" to ")[0], sizes]]


def test_the_ratios_of_the_engine_are_of_the_record():
    shown = rows("docs/speed.md", "| networks | sizes | compiled | engine / plain loop")
    assert len(shown) == 5
    for *which, median, extremes, n in shown:
        ratio = recorded(*which)["speed"]["engine_over"]["reference"]
        wanted = [f"{ratio['median']:.2f}", f"{ratio['lowest']:.2f} to {ratio['highest']:.2f}", str(ratio["n"])]
        assert [median, extremes, n] == wanted, which


def test_operations_and_memory_are_of_the_record():
    shown = rows("benchmarks/README.md", "| networks | sizes | compiled | GFLOP")
    assert len(shown) == 5
    for networks, sizes, compiled, *numbers in shown:
        flops = recorded(networks, sizes)["flops"]["per_step"]  # of compiled networks they are the same
        memory = recorded(networks, sizes, compiled)["memory"]["mb"]
        wanted = [f"{flops[program] / 1e9:.3g}" for program in ("engine", "reference")]
        wanted += [f"{memory[program]['peak'] - memory[program]['before']:.0f}" for program in ("engine", "reference")]
        assert numbers == wanted, (networks, sizes, compiled)


def test_the_page_on_speed_is_short():
    assert len((ROOT / "docs" / "speed.md").read_text().splitlines()) <= 60
