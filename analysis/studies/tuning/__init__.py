"""The search for each method's settings: the same effort for every method, CuDFKD and the references included.

The search goes through three stages. A method's next run depends on the method's recorded runs alone.

search: `Plan.trials` short runs. The first run has the method's defaults. Optuna's TPE sampler proposes the other
    runs, from the method's space. Optuna's median pruner ends bad runs early.
finalists: the best settings of the search, at full length, with three fresh seeds.
confirmation: the best finalist against the defaults, at full length, with four further seeds. The rule was fixed before
    the first run: the defaults stay, unless the mean of the paired differences is more than its standard error.

Only *dev* is looked at. No reported run has a seed of the search. The last student of a run gives its score.
"""

from analysis.studies.tuning.choice import choose, complete, decisions
from analysis.studies.tuning.costs import core_hours, effort
from analysis.studies.tuning.plan import NAME, PLAN, PURPOSE, Plan, Search, study

TRIALS = PLAN.trials

__all__ = [
    "NAME", "PLAN", "PURPOSE", "TRIALS", "Plan", "Search", "choose", "complete", "core_hours", "decisions", "effort",
    "study",
]  # fmt: skip
