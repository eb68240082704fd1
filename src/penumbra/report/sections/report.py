"""How this was made."""

from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, number, yaml

KERNELS = {
    "portable": "Computed with portable kernels: every x86-64 machine with AVX2 gives these bytes.",
    "native": "Computed with the fastest kernels of one machine: the bytes are its own. Other machines differ in last bits, which training "
    "makes large.",
}


def section(results: Results) -> Section:
    """The DAG, cost, parameters and versions."""
    blocks = [
        Block(text=KERNELS[results.params.common.kernels]),
        Block(
            "The stages of dvc.yaml, a colour for each step; a line runs down from what writes a file to what reads it, implied lines are "
            "left out. Wide ranks go on below, shifted.",
            figure="dag",
        ),
    ]
    rows = [[row.stage, number(row.seconds, 1), number(row.step_seconds, 1), number(row.peak_gib, 2)] for row in results.cost.itertuples()]
    where = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    caption = (
        f"Cost of one measured run ({where}), by `benchmarks/measure_run.py`. What this run cost is not here, so that equal results give "
        "equal pages."
    )
    blocks.append(Block(caption, table=Table(["stage", "wall, s", "of it the step's own work, s", "peak memory, GiB"], rows)))
    versions = [
        [stage, ", ".join(f"{name} {version}" for name, version in sorted(used.items()))]
        for stage, used in results.versions.items()
        if used
    ]
    blocks.append(
        Block(
            "Versions of the libraries that made this page and the Parquet files that it reads.",
            table=Table(["stage", "versions"], versions),
        )
    )
    blocks.append(Block("The parameters of the experiment.", code=yaml(results.params.plain())))
    return Section("report", "How this was made", blocks)
