"""Functions that draw the figures, one function a figure, in one style.

Each function takes a result, draws it on `ax` or on new axes, and returns the axes or the figure.
"""

from pathlib import Path

import matplotlib.pyplot as plt

from analysis.plots.ablations import by_luck, ramp_surfaces, responses
from analysis.plots.comparison import against, on_test
from analysis.plots.curriculum import dynamics, easy_to_hard, granularities, weighted_difficulty
from analysis.plots.descent import (
    chased,
    convergence,
    descent_bars,
    growing_pace,
    hysteresis_loop,
    limit_cycle,
    lines_and_parabolas,
    momentum_energy,
    rate_bound,
    towards_plain,
)
from analysis.plots.effects import effects, terms
from analysis.plots.fidelity import changes, errors, histograms, measures
from analysis.plots.live import accounts, dead_maps, drift_bounds, paces, parts_by_variant
from analysis.plots.map import paper_map
from analysis.plots.measuring import batch_sizes, best_of, curves, loyalty_scales, mean_change, modes, walk
from analysis.plots.methods import accuracies, races, studied
from analysis.plots.robustness import bands, beside_published, gains, repeated, steadiness, times
from analysis.plots.samples import distributions, embedding, noise_costs, pseudo_classes
from analysis.plots.scorecard import scorecard
from analysis.plots.search import effort
from analysis.plots.slider import weight_slider
from analysis.plots.speed import throughput
from analysis.plots.students import learning, samples_by_class
from analysis.plots.theorems import curriculum_price, linear_rates, tp2_decides, tracking_floor, weight_priors
from analysis.plots.weights import (
    activity,
    area,
    breakers,
    entropies,
    gallery,
    one_weight,
    shares,
    slider_frames,
    soft_minimum,
    tangent_lines,
    theorem_matrix,
    through_the_weight,
    valleys,
    weights_by_pace,
)

plt.style.use(Path(__file__).parent / "cudfkd.mplstyle")

__all__ = [
    "accounts",
    "accuracies",
    "activity",
    "against",
    "area",
    "bands",
    "batch_sizes",
    "beside_published",
    "best_of",
    "breakers",
    "by_luck",
    "changes",
    "chased",
    "convergence",
    "curriculum_price",
    "curves",
    "dead_maps",
    "descent_bars",
    "distributions",
    "drift_bounds",
    "dynamics",
    "easy_to_hard",
    "effects",
    "effort",
    "embedding",
    "entropies",
    "errors",
    "gains",
    "gallery",
    "granularities",
    "growing_pace",
    "histograms",
    "hysteresis_loop",
    "learning",
    "limit_cycle",
    "linear_rates",
    "lines_and_parabolas",
    "loyalty_scales",
    "mean_change",
    "measures",
    "modes",
    "momentum_energy",
    "noise_costs",
    "on_test",
    "one_weight",
    "paces",
    "paper_map",
    "parts_by_variant",
    "pseudo_classes",
    "races",
    "ramp_surfaces",
    "rate_bound",
    "responses",
    "repeated",
    "samples_by_class",
    "scorecard",
    "shares",
    "slider_frames",
    "soft_minimum",
    "steadiness",
    "studied",
    "tangent_lines",
    "terms",
    "theorem_matrix",
    "through_the_weight",
    "throughput",
    "times",
    "towards_plain",
    "tp2_decides",
    "tracking_floor",
    "valleys",
    "walk",
    "weight_priors",
    "weight_slider",
    "weighted_difficulty",
    "weights_by_pace",
]
