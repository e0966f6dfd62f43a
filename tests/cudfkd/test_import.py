"""`import cudfkd` stays light: modules that take seconds wait until they are needed."""

import subprocess
import sys

import pytest

import cudfkd

HEAVY = ("torch._dynamo", "torch._inductor", "torchvision", "sympy", "scipy", "pandas", "matplotlib")
WITHOUT_TORCH = ("torch", "numpy", "pydantic", *HEAVY)


def imported(statements: str, names: tuple[str, ...]) -> list[str]:
    """The modules, of those named, that a new process has imported after some statements."""
    asks = f"import sys\n{statements}\nprint(*(name for name in {names} if name in sys.modules), file=sys.stderr)"
    asked = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    return asked.stderr.split()


@pytest.mark.parametrize("first_use", ["cudfkd.distill", "import cudfkd.cli.distill"])
def test_heavy_modules_wait_until_they_are_needed(first_use):
    assert imported(f"import cudfkd\n{first_use}", ("torch", *HEAVY)) == ["torch"]


@pytest.mark.parametrize(
    "statements",
    ["import cudfkd", *(f"from cudfkd.cli import main\ntry: main({words})\nexcept SystemExit: pass" for words in (
        ["--help"], ["--version"],
    ))],
)  # fmt: skip
def test_what_needs_no_torch_does_not_import_it(statements):
    assert imported(statements, WITHOUT_TORCH) == []


def test_a_misspelt_command_needs_no_torch():
    errors = imported("from cudfkd.cli import main\nmain(['distil'])", WITHOUT_TORCH)
    assert " ".join(errors).startswith("cudfkd: unknown command 'distil': did you mean 'distill'")
    assert "completion," in errors  # the line lists the commands
    assert errors[-1] == "teacher"  # the last command: no module follows


def test_every_name_of_the_stub_is_there():
    for name in cudfkd.__all__:
        assert getattr(cudfkd, name) is not None
        assert name in dir(cudfkd)
    assert not hasattr(cudfkd, "nonsense")
