"""How the threads of torch wait for each other: they spin for a moment and then sleep, which frees the cores.

Threads of OpenMP that wait actively spin. If two programs share the cores, each spins on a core that the second needs,
and both take many times as long. Threads that sleep at once take long to wake, which slows a program that has the cores
for itself. `benchmarks/waiting.py` measures both.

The OpenMP library reads its settings when torch loads it. So this module imports no torch, and runs before all modules
that do. A process that has torch already only hands the settings on to the processes that it starts.
"""

import os

SHORT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}  # the second is of GNU's library; others sleep at once
DECISIVE = (*SHORT, "KMP_BLOCKTIME")  # whoever sets one of these has decided how threads wait


def wait_shortly() -> None:
    """Sets the environment for this process and its children, unless the user decided how threads wait."""
    if not any(os.environ.get(name) for name in DECISIVE):
        os.environ.update(SHORT)
