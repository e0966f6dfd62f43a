# A grid of runs on one machine or many; docs/many-runs.md.
#
#     snakemake --cores 2 --configfile grids/smoke.yaml         every run, then tables and figures
#     snakemake runs --cores 2 --configfile grids/smoke.yaml    the runs alone
#     snakemake recorded --cores 1                              figures of the committed records
#
# A run's folder, with its checkpoint, is nobody's output: Snakemake removes the outputs of a job that failed, and the
# next attempt goes on from the checkpoint. Committed records are inputs only, never written here.
import sys
from pathlib import Path

from analysis.studies import grid
from cudfkd.base.errors import CudfkdError

try:
    GRID = grid.read(config) if config else grid.load(Path(workflow.basedir) / "grids" / "smoke.yaml")
except CudfkdError as error:
    sys.stderr.write(f"analysis: {error}\n")
    sys.exit(2)

RESULTS, FIGURES = GRID.folder / "results", GRID.folder / "figures"
DRAWN = expand("{name}.{kind}", name=["accuracies", "races"], kind=["png", "pdf", "json"])


wildcard_constraints:
    run=r"[a-z0-9-]+-seed[0-9]+",
    group="|".join(GRID.groups()),


localrules: all, runs, tables, figures, recorded


rule all:
    input:
        GRID.folder / "runs.csv",
        expand(FIGURES / "{group}" / "{file}", group=GRID.groups(), file=DRAWN),


rule runs:
    input:
        [cell.result for cell in GRID.cells.values()],


rule run:
    output:
        RESULTS / "{group}" / "{run}.json",
    params:
        arguments=lambda found: GRID.cells[f"{found.group}/{found.run}"].arguments(),
        folder=lambda found: GRID.cells[f"{found.group}/{found.run}"].folder,
    threads: GRID.resources.threads
    resources:
        **GRID.resources.declared(),
    shell:
        "{sys.executable} -m cudfkd.cli distill {params.arguments}"
        " && {sys.executable} -m analysis.studies take {params.folder:q} {output:q}"


rule tables:
    input:
        rules.runs.input,
    output:
        expand(GRID.folder / "{name}", name=["runs.csv", "methods.csv", "rates.json"]),
    run:  # and no command: the names of a large grid's results are longer than one may be
        from analysis.studies import reports

        reports.tables(Path(output[0]).parent, reports.union(map(Path, input)))


rule figures:
    input:
        lambda found: [cell.result for cell in GRID.groups()[found.group]],
    output:
        expand(FIGURES / "{{group}}" / "{file}", file=DRAWN),
    shell:
        "{sys.executable} -m analysis.studies figures $(dirname {output[0]:q}) {GRID.name} {input:q}"


rule recorded:
    input:
        Path(workflow.basedir) / "analysis" / "records" / "methods.json",
    output:
        expand("out/recorded/{file}", file=DRAWN),
    shell:
        "{sys.executable} -m analysis.studies figures $(dirname {output[0]:q}) recorded {input:q}"
