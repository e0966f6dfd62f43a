"""Threads wait shortly in every process that uses the library, unless the user decided how they wait."""

import os
import subprocess
import sys

import pytest

from analysis.origin import ROOT
from cudfkd.base.waiting import DECISIVE, SHORT, wait_shortly

TELLS = """
import builtins, os, sys
load, names = builtins.__import__, {names}

def watching(name, *more, **options):
    if name.split(".")[0] == "torch" and "torch" not in sys.modules:
        print([os.environ.get(name) for name in names], flush=True)
        os._exit(0)
    return load(name, *more, **options)

builtins.__import__ = watching
"""


def told(code, **environment):
    """The settings at the moment in which torch is loaded."""
    clean = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    words = [sys.executable, "-c", TELLS.format(names=DECISIVE) + code]
    return subprocess.run(words, env=clean | environment, capture_output=True, text=True, cwd=ROOT).stdout.strip()


RUN = "import runpy\nrunpy.run_path('benchmarks/{}.py')"


@pytest.mark.parametrize(
    "code",
    ["import cudfkd", "import cudfkd.base.files", "import cudfkd.cli", "import analysis", "import analysis.origin",
     *(RUN.format(name) for name in ("throughput", "probe", "rates", "gpu"))],
)  # fmt: skip
def test_the_settings_are_there_before_torch(code):
    assert told(f"{code}\nimport torch") == str([*SHORT.values(), None])


@pytest.mark.parametrize("name", DECISIVE)
def test_a_users_setting_stays_and_nothing_is_added(name):
    assert told("import cudfkd\nimport torch", **{name: "7"}) == str(["7" if name == one else None for one in DECISIVE])


def test_without_the_library_nothing_is_set():
    """The control: the test looks at the moment before torch is loaded."""
    assert told("import torch\nimport cudfkd") == str([None] * 3)


def test_an_empty_setting_is_none(monkeypatch):
    for name in DECISIVE:
        monkeypatch.setenv(name, "")
    wait_shortly()
    assert {name: os.environ[name] for name in SHORT} == SHORT


def test_processes_inherit_the_settings_of_one_that_had_torch_already():
    child = f"import os; print([os.environ[name] for name in {tuple(SHORT)}])"
    code = f"import torch, subprocess, sys, cudfkd; subprocess.run([sys.executable, '-c', {child!r}])"
    clean = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True)
    assert done.stdout.strip() == str([*SHORT.values()])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, [*SHORT.values(), ""]),
        *(({name: "7"}, ["7" if name == one else "" for one in DECISIVE]) for name in DECISIVE),
    ],
)
def test_make_sets_the_same_for_jupyterlab(environment, expected, tmp_path):
    """A kernel of JupyterLab may load torch before the library."""
    makefile = tmp_path / "Makefile"
    shown = " ".join(f"[$${name}]" for name in DECISIVE)
    makefile.write_text(f"include {ROOT / 'Makefile'}\nshown:\n\t@echo {shown!r}\n".replace("'", '"'))
    clean = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    words = ["make", "-s", "-f", str(makefile), "shown"]
    done = subprocess.run(words, env=clean | environment, capture_output=True, text=True)
    assert done.stdout.strip() == " ".join(f"[{value}]" for value in expected)
