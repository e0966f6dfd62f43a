"""`import cudfkd` stays light: modules that take seconds wait until they are needed."""

import subprocess
import sys

import pytest

HEAVY = ("torch._dynamo", "torch._inductor", "torchvision", "sympy", "scipy", "pandas", "matplotlib")


@pytest.mark.parametrize("module", ["cudfkd", "cudfkd.cli"])
def test_heavy_modules_wait_until_they_are_needed(module):
    asks = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    asked = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert asked.stdout.split() == []
