"""One function a figure: takes a result, draws on `ax` or on axes of its own, returns them. One style for all."""

from pathlib import Path

import matplotlib.pyplot as plt

plt.style.use(Path(__file__).parent / "cudfkd.mplstyle")

from analysis.plots.curriculum import (  # noqa: E402
    dynamics,
    easy_to_hard,
    granularities,
    weighted_difficulty,
)
from analysis.plots.students import learning, samples_by_class  # noqa: E402

__all__ = ["dynamics", "easy_to_hard", "granularities", "learning", "samples_by_class", "weighted_difficulty"]
