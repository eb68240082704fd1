"""dvc.yaml as DVC resolves it: what stages there are, what each is given, and that it can be read in five minutes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from penumbra.errors import PenumbraError
from penumbra.synthesize.moved.params import Moved
from penumbra.synthesize.synood.params import SynOodNegatives
from penumbra.workflow import code, contract, execute

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    contract.load.cache_clear()


@pytest.mark.parametrize(
    ("name", "step", "kind", "item"),
    [
        ("code", "code", None, None),
        ("pretrain-rdm@rcg", "pretrain", "rdm", "rdm"),
        ("synthesize-none", "synthesize", "none", "none"),
        ("synthesize-sona@sona-close", "synthesize", "sona", "sona-close"),
        ("train@badood-mid", "train", None, "badood-mid"),
        ("score-control@reconstruction", "score", "control", "reconstruction"),
    ],
)
def test_a_name_tells_step_kind_and_item(name, step, kind, item):
    assert contract.parts(name) == (step, kind, item)
    entry = contract.Entry(name, (), (), (), ())
    assert (entry.step, entry.kind, entry.item) == (step, kind, item)
    assert entry.label == (f"{step}/{item}" if item else step) and entry.key == (f"{step}.{item}" if item else step)


def test_every_stage_is_found_by_its_name_and_by_step_and_item():
    dag = contract.load()
    for name, entry in dag.stages.items():
        assert dag.entry(name) is dag.of(entry.step, entry.item) is entry
        assert entry.code == (() if name == "code" else (entry.key,))
    assert len({execute.rule(entry) for entry in dag.stages.values()}) == len(dag.stages)


def test_an_unknown_stage_is_an_error_that_lists_the_known():
    dag = contract.load()
    with pytest.raises(PenumbraError, match="there is no stage 'train@nine'.*train@none"):
        dag.entry("train@nine")
    with pytest.raises(PenumbraError, match="penumbra train: there is no nine. Choose one of: none, "):
        dag.of("train", "nine")


def test_dvc_yaml_and_params_yaml_can_be_read_in_five_minutes():
    text, params = (ROOT / "dvc.yaml").read_text(), ROOT / "params.yaml"
    assert len(text.splitlines()) <= 450 and params.stat().st_size <= 16384
    assert (ROOT / "dvc.lock").stat().st_size <= 130 * 1024
    stages = YAML(typ="safe").load(text)["stages"]
    declared = {name: stage.get("do", stage) for name, stage in stages.items()}
    assert {stage["cmd"] for stage in declared.values()} == {"penumbra run"}
    of_code = {name: [dep for dep in stage.get("deps", ()) if dep.startswith(("src", "requirements"))] for name, stage in declared.items()}
    assert of_code.pop("code") and not any(of_code.values())
    assert "src/" not in text


def test_what_a_folder_holds_is_read_after_all_that_write_there():
    dag = contract.load()
    benchmark = {entry.name for entry in dag.before(dag.entry("benchmark"))}
    assert {entry.name for step in ("score", "calibrate", "filter") for entry in dag.of_step(step)} <= benchmark
    assert {"synthesize-none", "synthesize-sona@sona", "extract-candidates@vit"} <= benchmark and "code" not in benchmark
    inputs = dag.inputs(dag.entry("benchmark"))
    assert "data/scores" not in inputs and "data/scores/none.parquet" in inputs and "data/models/encoder" in inputs
    assert dag.inputs(dag.entry("train@none"))[:2] == ["data/images/train.parquet", "data/images/val.parquet"]


def test_an_empty_folder_that_nothing_writes_into_is_no_input_for_snakemake():
    entries = [contract.Entry("score-control@x", ("data/controls/x.parquet", "data/recipes"), (), (), ())]
    dag = contract.Contract([*entries, contract.Entry("prepare", (), ("data/controls/x.parquet",), (), ())], {}, contract.load().experiment)
    assert dag.inputs(entries[0]) == ["data/controls/x.parquet"]


def test_a_stage_is_given_its_section_without_the_kind_it_stands_under():
    dag = contract.load()
    stage = dag.stage(dag.entry("synthesize-badood@badood-gaussian"), digests={"code": "abc", "libraries": "numpy 2"})
    assert stage.params.synthesize["badood-gaussian"].guidance == "gaussian" and stage.params.synthesize["badood-gaussian"].t == 300
    assert (stage.name, stage.code, stage.versions) == ("synthesize@badood-gaussian", "abc", {"numpy": "2"})
    assert dag.stage(dag.entry("pretrain-rdm@rcg")).params.pretrain.rdm.timesteps == 1000
    assert list(dag.params(dag.entry("benchmark")).controls) == ["reconstruction", "repainting"]
    with pytest.raises(PenumbraError, match=r"synthesize\.badood is read but this stage does not declare it"):
        stage.params.synthesize["badood"]


def test_every_program_exists_and_code_json_has_an_entry_for_each_stage():
    dag = contract.load()
    entries = code.entries(dag)
    for entry in dag.stages.values():
        if entry.step == "code":
            continue
        found = contract.dig(entries, entry.key)
        assert len(found["code"]) == 16 and (ROOT / f"src/{dag.program(entry).replace('.', '/')}.py").exists()
    programs = {
        "train@clip": "train.losses.clip.plan",
        "train@none": "train.losses.energy.plan",
        "infer@clip": "infer.clip",
        "infer@none": "infer.network",
        "score@clip": "score.step",
        "synthesize-good@good": "synthesize.good.plan",
    }
    assert {name: dag.program(dag.entry(name)).removeprefix("penumbra.") for name in programs} == programs


def test_a_program_is_that_of_the_method_whatever_the_kind_of_the_stage():
    experiment, entry = contract.load().experiment, contract.Entry("synthesize-negatives@words", (), (), (), ())
    words = SynOodNegatives(**experiment.synthesize.synood["synood"].model_dump())
    synthesize = experiment.synthesize.model_copy(update={"negatives": {"words": words}})
    dag = contract.Contract([entry], {}, experiment.model_copy(update={"synthesize": synthesize}))
    assert dag.program(entry) == "penumbra.synthesize.synood.plan"


def test_a_variant_that_is_moved_is_given_its_step_and_runs_the_room_of_the_moved():
    key = "synthesize.badood.near"
    experiment, entry = contract.load().experiment, contract.Entry("synthesize-badood@near", (), (), (key,), ())
    near = Moved(**experiment.synthesize.badood["badood"].model_dump(), toward=0.1)
    synthesize = experiment.synthesize.model_copy(update={"badood": {"near": near}})
    dag = contract.Contract([entry], {}, experiment.model_copy(update={"synthesize": synthesize}))
    assert dag.program(entry) == "penumbra.synthesize.moved.plan"
    assert dag.stage(entry).provenance["params"]["synthesize"]["near"]["toward"] == 0.1


def test_another_version_and_other_code_than_recorded_are_refused(tmp_path, monkeypatch):
    dag, entry = contract.load(), contract.load().entry("synthesize-none")
    monkeypatch.setattr(code, "CODE", tmp_path / "code.json")
    with pytest.raises(PenumbraError, match="has no entry for synthesize-none"):
        code.checked(dag, entry)
    true = code.entries(dag)
    code.write(true)
    assert code.checked(dag, entry) == true["synthesize"]["none"]
    with monkeypatch.context() as patched, pytest.raises(PenumbraError, match="installed is pyarrow 0.1 instead of"):
        patched.setattr(code, "version", lambda name: "0.1")
        code.installed.cache_clear()
        code.checked(dag, entry)
    code.installed.cache_clear()
    true["synthesize"]["none"]["code"] = "0" * 16
    code.write(true)
    with pytest.raises(PenumbraError, match="the code of synthesize-none has changed since it was written"):
        code.checked(dag, entry)


def test_builds_of_one_version_are_one_version(monkeypatch):
    monkeypatch.setattr(code, "version", lambda name: "2.13.0+cu130")
    code.installed.cache_clear()
    assert code.installed("torch") == "2.13.0"
    monkeypatch.undo()
    code.installed.cache_clear()
    with pytest.raises(PenumbraError, match="nowhere is not installed"):
        code.installed("nowhere")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["train", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"import sys\nfrom penumbra.cli import main\ntry: main({arguments})\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'torch', 'numpy', 'dvc', 'snakemake', 'pandas', 'pydantic'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: penumbra")


def test_a_kept_contract_is_what_dvc_resolves_and_is_resolved_again_after_a_change(tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.chdir(tmp_path)
    first, kept = contract.load.__wrapped__(), contract.load.__wrapped__()
    assert kept.stages == first.stages and kept.experiment == first.experiment
    text = (tmp_path / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("      - data/images/quarantine.csv", "      - data/images/left_out.csv"))
    assert "data/images/left_out.csv" in contract.load.__wrapped__().stages["prepare"].outputs


def test_loading_the_contract_does_not_import_torch():
    code = "import sys\nfrom penumbra.workflow import contract\ncontract.load()\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
