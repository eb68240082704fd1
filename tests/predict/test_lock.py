"""What an export says of how a detector was made is what dvc.lock says, and only while that is about these files."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta
from dvc_data.hashfile.tree import Tree
from huggingface_hub import ModelCard
from ruamel.yaml import YAML

from penumbra.errors import PenumbraError
from penumbra.predict import export
from penumbra.predict.lock import Lock

SCORES = """\
detector,score,set,group,fpr95_id_tpr_mean,fpr95_id_tpr_std,auroc_mean,auroc_std,aupr_in_mean,aupr_in_std,aupr_out_mean,aupr_out_std
none,vim,near,near,0.25,0.01,0.9,0.02,0.8,0.03,0.7,0.04
none,vim,letters,near,0.5,0.01,0.75,0.02,0.8,0.03,0.7,0.04
none,msp,near,near,0.3,0.01,0.1,0.02,0.1,0.03,0.1,0.04
clip,neglabel,near,near,0.3,0.01,0.2,0.02,0.1,0.03,0.1,0.04
"""
DETECTORS = "detector,outliers,id_acc_mean,id_acc_std\nnone,0,0.985,\nclip,3,0.9,0.1\n"


def md5(path: Path) -> str:
    """As DVC itself counts it."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    tree = Tree()
    for file in path.rglob("*"):
        if file.is_file():
            tree.add(file.relative_to(path).parts, Meta(), HashInfo("md5", md5(file)))
    tree.digest()
    return tree.hash_info.value


@pytest.fixture
def recorded(root, tmp_path) -> Path:
    """A copy of the repository with tables, and a dvc.lock that is true."""
    folder = Path(shutil.copytree(root, tmp_path / "repository"))
    (folder / "reports/tables").mkdir(parents=True)
    (folder / "reports/tables/scores.csv").write_text(SCORES)
    (folder / "reports/tables/detectors.csv").write_text(DETECTORS)
    (folder / "CITATION.cff").write_text("title: x\nlicense: MIT\n")
    images = [f"data/images/{name.name}" for name in sorted((folder / "data/images").iterdir())]
    stages = {
        "prepare": ([], images),
        "other": ([], ["data/models/other"]),
        "equip-scratch@energy": ([], ["data/recipes/zero-shot"]),
        "train@none": (["data/images/train.parquet", "data/recipes/zero-shot"], ["data/detectors/none"]),
        "infer@none": (["data/detectors/none", "data/images", "data/recipes/zero-shot"], ["data/outputs/none"]),
        "score@none": (["data/outputs/none"], ["data/scores/none.parquet"]),
        "score@clip": ([], ["data/scores/clip.parquet"]),
        "benchmark": (["data/scores"], ["reports/tables"]),
    }
    (folder / "data/models/other").mkdir(parents=True)

    def entries(paths: list[str]) -> list[dict]:
        return [{"path": path, "hash": "md5", "md5": md5(folder / path)} for path in paths]

    content = {name: {"cmd": "x", "deps": entries(deps), "outs": entries(outs)} for name, (deps, outs) in stages.items()}
    content["train@none"]["params"] = {"params.yaml": {"train.seeds": [10, 2]}}
    (folder / ".snakemake_timestamp").touch()
    (folder / "data/detectors/none/.snakemake_timestamp").touch()  # which DVC does not count
    YAML().dump({"schema": "2.0", "stages": content}, folder / "dvc.lock")
    return folder


def test_what_made_it_is_recorded(recorded):
    lock = Lock(recorded)
    made = lock.made("none")
    assert list(made) == ["prepare", "equip-scratch@energy", "train@none", "infer@none"]
    assert made["train@none"]["params"] == {"params.yaml": {"train.seeds": [10, 2]}}
    (recorded / "data/detectors/none/.snakemake_timestamp").unlink()
    assert made["train@none"]["outs"] == {"data/detectors/none": md5(recorded / "data/detectors/none")}
    assert made["prepare"]["outs"]["data/images/train.parquet"] == md5(recorded / "data/images/train.parquet")
    assert lock.measured("none") and not lock.measured("clip")
    assert lock.made("clip") is None


@pytest.mark.parametrize("changed", ["detectors/none/seed-2/config.json", "outputs/none/images.parquet", "detectors/none/more"])
def test_files_that_dvc_does_not_know_are_not_vouched_for(recorded, changed):
    with open(recorded / "data" / changed, "ab") as file:
        file.write(b" ")
    assert Lock(recorded).made("none") is None


def test_a_stage_that_saw_other_files_is_not_vouched_for(recorded):
    content = YAML(typ="safe").load((recorded / "dvc.lock").read_text())
    content["stages"]["train@none"]["deps"][0]["md5"] = "0" * 32
    YAML().dump(content, recorded / "dvc.lock")
    assert Lock(recorded).made("none") is None


def test_tables_of_other_scores_are_no_results(recorded):
    (recorded / "reports/tables/scores.csv").write_text(SCORES + "\n")
    assert Lock(recorded).made("none") is not None and not Lock(recorded).measured("none")


def test_a_lock_that_is_cut_is_named(recorded):
    (recorded / "dvc.lock").write_text("schema: '2.0'\nstages:\n  train@no: {")
    with pytest.raises(PenumbraError, match=r"dvc.lock: cannot be read \(.*Run `penumbra doctor`"):
        Lock(recorded)
    (recorded / "dvc.lock").unlink()
    assert Lock(recorded).made("none") is None


def test_the_card_tells_the_results(recorded, tmp_path):
    export.export(str(recorded / "data/detectors/none"), tmp_path / "out", onnx=False, torch=False)
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "ID accuracy: 98.5." in text and "| near | 25.0 ± 1.0 | 90.0 ± 2.0 | 80.0 ± 3.0 | 70.0 ± 4.0 |" in text
    assert "| letters (near) | 50.0 ± 1.0 |" in text and "knows `letters` worst: 50.0 ± 1.0 percent" in text
    data = ModelCard(text).data
    values = {(result.dataset_type, result.metric_type): result.metric_value for result in data.eval_results}
    assert data.license == "mit" and data.model_name == "none"
    assert values[("id", "accuracy")] == 98.5 and values[("near", "auroc")] == 90.0 and values[("letters", "fpr95")] == 50.0
    provenance = json.loads((tmp_path / "out/provenance.json").read_text())
    assert provenance == Lock(recorded).made("none")
