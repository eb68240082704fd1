"""synthesize-negatives: SynOOD's way, prompted by negative labels instead of context labels (SynOOD, Table 4)."""

from penumbra.stage import Stage
from penumbra.synthesize.synood import plan as synood


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each chosen ID image."""
    synood.main(stage)
