"""Theory and evidence, which the notebooks call. It imports cudfkd and trains nothing itself except toy problems."""

import cudfkd.base  # noqa: F401  # before torch: see cudfkd.base.waiting; the kernels of notebooks inherit the setting
