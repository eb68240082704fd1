import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from penumbra.workflow.record import meaning

from penumbra.errors import PenumbraError
from penumbra.workflow import closure, contract, execute, libraries, mend

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_contract_names_the_code_and_libraries_that_the_steps_import():
    assert mend.mend(mend._read(mend.CONTRACT)["stages"]) == []


def test_environment_is_what_is_installed():
    libraries.check_installed(dict(mend._read(contract.ENVIRONMENT)))


def test_another_version_than_recorded_is_refused():
    with pytest.raises(PenumbraError, match="numpy .* instead of 0.1"):
        libraries.check_installed({"numpy": "0.1"})


def test_mending_is_idempotent_and_keeps_comments(tmp_path):
    content = mend._read(mend.CONTRACT)
    first = content["stages"]["prepare"]
    first["deps"] = [dep for dep in first["deps"] if not dep.endswith("stage.py")] + ["src/penumbra/cli.py"]
    assert mend.mend(content["stages"]) == ["prepare: + src/penumbra/stage.py", "prepare: - src/penumbra/cli.py"]
    assert mend.mend(content["stages"]) == []
    mend._write(tmp_path / "dvc.yaml", content)
    assert "# ID, to train on" in (tmp_path / "dvc.yaml").read_text()


def test_imports_for_type_checking_are_not_in_a_closure(tmp_path, monkeypatch):
    package = tmp_path / "src/penumbra/toy"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("import numpy\n")
    (package / "types.py").touch()
    (package / "step.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n    from penumbra.toy import types\n"
        "def main(stage):\n    from .helper import f\n"
    )
    monkeypatch.chdir(tmp_path)
    files, names = closure.closure("penumbra.toy.step")
    assert [file.as_posix() for file in files] == [
        f"src/penumbra/{name}" for name in ("__init__.py", "toy/__init__.py", "toy/helper.py", "toy/step.py")
    ]
    assert names == ["numpy"]


def test_stages_go_in_one_call_where_their_rules_make_nothing_else():
    dag = contract.load()

    def closed(*names):
        return execute.closed(dag, [dag.stages[name] for name in names])

    assert execute.closed(dag, dag.standing())
    assert closed("synthesize@badood", "synthesize@synood", "pretrain@rdm")
    assert closed("train@badood-mid", "score@badood-mid")
    assert not closed("filter@badood", "calibrate@badood", "train@badood-mid")  # calibration reads train@badood-all
    assert not closed("score@badood-mid", "train@badood-low")


def test_an_unknown_stage_is_an_error_that_lists_the_known():
    with pytest.raises(PenumbraError, match="there is no stage 'train@nine'.*train@none"):
        contract.load().entry("train", "nine")


def test_docstrings_comments_and_layout_have_no_meaning_but_code_has():
    plain = b"def f(x):\n    return x\n"
    assert meaning(b'"""Module."""\n# why\ndef f(x):\n    """Doc."""\n    return (x)\n') == meaning(plain)
    assert meaning(b"def f(x):\n    return -x\n") != meaning(plain)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["train", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"import sys\nfrom penumbra.cli import main\ntry: main({arguments})\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'torch', 'numpy', 'dvc', 'snakemake', 'pandas', 'pydantic'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: penumbra")


def test_a_kept_contract_is_what_dvc_resolves_and_is_resolved_again_after_a_change(tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml", "environment.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.chdir(tmp_path)
    first, kept = contract.load.__wrapped__(), contract.load.__wrapped__()
    assert kept.stages == first.stages and kept.parameters == first.parameters
    text = (tmp_path / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("      - data/images/quarantine.csv", "      - data/images/left_out.csv"))
    assert "data/images/left_out.csv" in contract.load.__wrapped__().stages["prepare"].outputs


def test_loading_the_contract_does_not_import_torch():
    code = "import sys\nfrom penumbra.workflow import contract\ncontract.load()\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
