"""How the threads of torch wait for each other: asleep, so that the cores are free for other programs.

Threads of OpenMP that wait actively spin. If two programs share the cores, each spins on a core that the other needs,
and both take many times as long (`benchmarks/waiting.py`). The OpenMP library reads its settings when torch loads it.
So this module imports no torch, and runs before all modules that do. A process that has torch already only hands the
setting on to the processes that it starts.
"""

import os

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # each decides how threads wait


def wait_asleep() -> None:
    """Sets OMP_WAIT_POLICY to passive, for this process and its children; a setting of the user stays as it is."""
    if not any(os.environ.get(name) for name in SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "passive"
