"""rerun on saved networks and small images: the rows of data/scores, parts, and its place beside them in the benchmark."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rerun_files import COUNTS, SCORES

from penumbra.artifacts.images import read_provenance
from penumbra.artifacts.tables import SWEPT
from penumbra.benchmark.found import beside
from penumbra.errors import PenumbraError
from penumbra.experiment.load import load
from penumbra.rerun import step
from penumbra.rerun.params import Rerun


def test_rows_are_those_of_scores_and_parts_give_the_same_bytes(stage, tmp_path):
    step.main(stage)
    table = pd.read_parquet(stage.write())
    rows = [f"{file}/{i:06d}" for file in ("test", "ood", "shifted", "val") for i in range(COUNTS[file])]
    assert list(table.columns) == ["seed", "sample_id", *SCORES]
    assert table.sample_id.tolist() == rows * 2 and table.seed.tolist() == [2] * len(rows) + [10] * len(rows)
    assert np.isfinite(table[list(SCORES)]).all(axis=None) and not table[:18][list(SCORES)].equals(table[18:][list(SCORES)])
    tried = read_provenance(stage.write())[SWEPT]
    assert set(tried) == {"2", "10"} and [each["values"] for each in tried["2"]["odin"]] == [{"noise": 0.0}, {"noise": 0.02}]
    parts = replace(stage, writes={"scores/rerun/none": tmp_path / "parts.parquet"}, scratch_root=tmp_path / "other")
    for part in ((1, 2), None):
        step.main(replace(parts, part=part))
    assert parts.write().read_bytes() == stage.write().read_bytes()


def test_columns_join_those_of_the_kept_outputs_of_the_same_images():
    scores = pd.DataFrame({"seed": [0, 0], "sample_id": ["a", "b"], "energy": [1.0, 2.0]})
    again = pd.DataFrame({"seed": [0, 0], "sample_id": ["a", "b"], "odin": [3.0, 4.0]})
    assert beside("none", scores, again).to_dict("list") == scores.to_dict("list") | {"odin": [3.0, 4.0]}
    with pytest.raises(PenumbraError, match=r"rerun/none\.parquet: is of other images or seeds\. Run `penumbra repro rerun@none`"):
        beside("none", scores, again[::-1].reset_index(drop=True))


def test_the_overlay_is_valid():
    from pathlib import Path

    assert len(Rerun(**load(Path(__file__).parents[2] / "conf/ablations/rerun.yaml")["rerun"]).scores) == 4
