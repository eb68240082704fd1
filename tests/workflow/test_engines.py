"""DVC and Snakemake on a miniature of the real DAG, by their real commands: they agree on bytes and on what is up to date."""

import os
import shutil
import subprocess
import sys

import pytest
from dvc.repo import Repo

from miniature import SMALL, Miniature, followers
from penumbra.workflow import contract


def test_plain_snakemake_makes_the_same_bytes_as_dvc(tmp_path, monkeypatch):
    of_dvc, fresh = (Miniature.create(tmp_path / engine, *SMALL) for engine in ("dvc", "snakemake"))
    of_dvc.reproduce(monkeypatch)
    options = ("--workflow-profile", "profiles/default", "--config", "shards=2")  # each synthesis, training and scoring in two parts
    fresh.snakemake(*options)
    assert fresh.outputs() == of_dvc.outputs()
    assert set(fresh.counters().values()) == {1}
    again = fresh.snakemake("-n", *options)
    assert "Nothing to be done" in again.stdout + again.stderr


def set_score(clone):
    clone.change_param("benchmark.score", "msp")


def edit_code_and_template(clone):
    """Which leaves the bytes of the miniature's candidates as they are: what follows them need not run."""
    clone.edit("src/penumbra/synthesize/sona/words.py", "POOL = 0.25", "POOL = 0.2")
    clone.edit("src/penumbra/report/base.html", "<body>", "<body lang='en'>")


@pytest.fixture(scope="module")
def clone(built, tmp_path_factory):
    """A fresh clone with pulled data."""
    return built("sona").copy(tmp_path_factory.mktemp("origin") / "dag").clone(tmp_path_factory.mktemp("clone") / "dag")


def test_a_fresh_clone_with_pulled_data_has_nothing_to_run(clone):
    assert "up to date" in clone.dvc("status", "dvc.yaml").stdout
    assert "Nothing to run" in clone.penumbra("repro", "--dry").stdout


@pytest.mark.parametrize("change", [set_score, edit_code_and_template])
def test_in_a_clone_planned_is_executed_is_what_dvc_says_and_the_engines_agree(clone, planned, monkeypatch, change):
    clone.reset()
    change(clone)
    will, may = planned(clone)
    monkeypatch.chdir(clone.root)
    contract.load.cache_clear()
    assert will | may == followers(will - {"code"}) | (will & {"code"})
    contract.load.cache_clear()
    clone.penumbra("repro")
    assert set(clone.counters()) == (will if change is edit_code_and_template else will | may) - {"code"}
    assert "up to date" in clone.dvc("status", "dvc.yaml").stdout
    dry = clone.snakemake("-n", "--workflow-profile", "profiles/default")
    assert "Nothing to be done" in dry.stdout + dry.stderr


@pytest.mark.parametrize(("link", "engine"), [("hardlink", "dvc"), ("symlink", "penumbra")])
def test_read_only_links_to_the_cache_are_replaced_where_permissions_count(miniature, link, engine):
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everything, and there is no setpriv to give that up")
        miniature.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    (miniature.root / ".dvc/config.local").write_text(f"[cache]\n    type = {link}\n")
    with Repo(str(miniature.root)) as repo:
        repo.checkout(relink=True)
    assert not os.stat(miniature.root / "reports/report.html").st_mode & 0o222
    miniature.change_param("report.gallery", 7)
    miniature.run(engine, "repro")
    assert miniature.counters() == {"report": 1} and miniature.status() == {}


def test_snakemake_reads_the_rules_without_loading_torch(miniature):
    code = "import sys\nfrom snakemake.cli import main\nsys.argv = 'snakemake -n --cores 1'.split()\n"
    code += "try: main()\nexcept SystemExit as end: assert not end.code\nsys.exit('torch' in sys.modules)"
    miniature.run(sys.executable, "-c", code)


def test_penumbra_runs_the_code_of_the_checkout_that_it_stands_in(tmp_path):
    source = tmp_path / "src/penumbra"
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "cli.py").write_text("def main():\n    print('this checkout')\n")
    code = "import sys\nfrom penumbra.cli import main\nmain()\n"
    (tmp_path / "penumbra").write_text(code)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, str(tmp_path / "penumbra"), "headline"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "this checkout\n"
