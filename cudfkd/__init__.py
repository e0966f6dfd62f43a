"""Data-free knowledge distillation with CuDFKD's easy-to-hard curriculum.

import cudfkd
run = cudfkd.distill(teacher, student, cudfkd.DistillConfig(epochs=25), evaluate_on=dataset)
print(run.history["accuracy"])

The names stand in `__init__.pyi`. Each is imported at its first use, because torch alone takes seconds.
"""

from lazy_loader import attach_stub

from cudfkd import base  # noqa: F401  # it tells torch's threads how to wait, which must come before torch

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
