"""Stand-ins for the runs of the search: the accuracy is a known function of the settings, and no run takes time."""

from math import log10

from analysis.studies.records import Entry
from analysis.studies.tuning import Plan
from analysis.studies.tuning.sampler import hopeless
from analysis.studies.tuning.search import Job

PLAN = Plan(trials=12, random_trials=4, unpruned_trials=3)
BEST = 0.03  # the learning rate with the highest accuracy


def height(job: Job) -> float:
    """The accuracy of a run: 0.9 at the best learning rate, less by the squared distance in decades."""
    lr = job.case.experiment.distill.lr
    return max(0.9 - 0.6 * log10(lr / BEST) ** 2 - 1e-4 * (job.seed % 7), 0.05)


def work(job: Job) -> Entry:
    """A run that nears its accuracy epoch by epoch, and is pruned as a real run is."""
    distill = job.case.experiment.distill
    accuracies: list[float] = []
    made, seconds = {"threads": 2}, float(distill.epochs)
    for epoch in range(1, distill.epochs + 1):
        accuracies.append(height(job) * (1 - 0.5**epoch))
        numbers = {"accuracies": accuracies, "student_steps": epoch * distill.steps_per_epoch}
        searches = job.stage == "search" and epoch < distill.epochs
        if searches and hopeless(job.rivals, accuracies, job.plan):
            return Entry(made=made, seconds=seconds, numbers=numbers, pruned=epoch)
    return Entry(made=made, seconds=seconds, numbers=numbers | {"accuracy": accuracies[-1]})


def failing(job: Job) -> Entry:
    """As `work`, but a run with a learning rate above 0.2 stops itself."""
    if job.case.experiment.distill.lr > 0.2:
        return Entry(made={}, seconds=1.0, numbers={"accuracies": [], "student_steps": 7}, stopped="not finite")
    return work(job)
