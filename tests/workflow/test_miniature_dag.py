"""Exactly downstream: what reruns in a miniature of the real DAG after a change, by DVC's decisions."""

import hashlib
import os

import pytest
from ruamel.yaml import YAML

from miniature import followers
from penumbra.artifacts.tables import read_json
from penumbra.errors import PenumbraError
from penumbra.workflow import contract
from penumbra.workflow.code import checked


@pytest.fixture
def miniature(whole):
    """All stages."""
    return whole


def recorded(miniature):
    """What dvc.lock says of each stage but `code`."""
    stages = YAML(typ="safe").load(miniature.root / "dvc.lock")["stages"]
    return {name: stage for name, stage in stages.items() if name != "code"}


def reword(miniature):
    """A comment, a docstring, another layout, and a helper in a file of its own."""
    with open(miniature.root / "src/penumbra/noise.py", "a") as file:
        file.write("# the end\n")
    miniature.edit("src/penumbra/noise.py", '"""Standard normal [B, *shape], float32, on the CPU."""', '"""Said better."""')
    miniature.edit("src/penumbra/calibrators.py", '("beta", "temperature",', '(\n    "beta",\n    "temperature",')
    noise = (miniature.root / "src/penumbra/noise.py").read_text()
    helper = noise[noise.index("def generator") : noise.index("\n\nclass SampleNoise")]
    (miniature.root / "src/penumbra/streams.py").write_text(f"import torch\n\nfrom penumbra.seeds import derive\n\n\n{helper}")
    miniature.edit("src/penumbra/noise.py", helper, "from penumbra.streams import generator\n")


def test_nothing_is_planned_and_nothing_runs_when_nothing_changed(here, planned, monkeypatch):
    text = (here.root / "params.yaml").read_text()
    (here.root / "params.yaml").write_text(f"# a comment\n{text}")
    assert planned(here) == ({"code"}, set())  # which looks at the file, and finds it to say the same
    here.reproduce(monkeypatch)
    assert not here.counters()


@pytest.mark.parametrize("engine", ["dvc", "penumbra"])
def test_words_layout_and_moves_of_code_run_nothing_and_the_code_alone_is_recorded_anew(here, planned, engine, monkeypatch):
    before, digests = recorded(here), (here.root / "code.json").read_bytes()
    reword(here)
    assert planned(here) == ({"code"}, set())
    here.reproduce(monkeypatch) if engine == "dvc" else here.penumbra("repro")
    assert not here.counters() and recorded(here) == before
    assert (here.root / "code.json").read_bytes() == digests
    assert planned(here) == (set(), set())


MEANINGS = {  # file, old, new: the stages whose program uses it
    ("synthesize/sona/words.py", "POOL = 0.25", "POOL = 0.2"): {"synthesize-sona@sona"},
    ("models/rdm.py", "LONGEST_WAVE = 10_000.0", "LONGEST_WAVE = 9_000.0"): {
        "pretrain-rdm@rcg",
        "synthesize-badood@badood",
        "synthesize-badood@badood-gaussian",
    },
    ("calibrate/measures.py", "CERTAIN = 1e-6", "CERTAIN = 1e-5"): {"calibrate@none"},
    ("report/base.html", "<body>", "<body lang='en'>"): {"report"},
}
EDIT, USERS = next(iter(MEANINGS.items()))


def test_a_constant_or_a_template_reaches_exactly_its_users_and_what_follows(here, planned):
    for (name, old, new), users in MEANINGS.items():
        here.edit(f"src/penumbra/{name}", old, new)
        assert planned(here) == ({"code"} | users, followers(users) - users), name
        here.edit(f"src/penumbra/{name}", new, old)


@pytest.mark.parametrize("other_bytes", [False, True])
def test_a_constant_runs_its_users_and_what_follows_if_their_bytes_are_others(here, monkeypatch, other_bytes):
    here.edit(f"src/penumbra/{EDIT[0]}", *EDIT[1:])
    if other_bytes:
        monkeypatch.setenv("MINIATURE_OTHER_BYTES", "outliers/sona")
    here.reproduce(monkeypatch)
    assert set(here.counters()) == (followers(USERS) if other_bytes else USERS)
    assert not other_bytes or {"train@sona-all", "score-control@repainting", "report"} <= set(here.counters())


def test_another_version_of_a_library_reruns_what_computes_with_it(here, planned, monkeypatch):
    of_stages = {entry.name: contract.dig(read_json(contract.CODE), entry.key) for entry in contract.load().stages.values() if entry.code}
    for library, some, others in [("jinja2", {"report"}, {"benchmark"}), ("scipy", {"calibrate@none", "benchmark"}, {"train@none"})]:
        users = {name for name, content in of_stages.items() if library in contract.versions(content)}
        assert some <= users and not others & users
        monkeypatch.setenv("MINIATURE_VERSIONS", f"{library}=9.0")
        with monkeypatch.context() as patched:
            here.installed(patched)
            assert planned(here) == (users, followers(users) - users)
    with open(here.root / "requirements.lock", "a") as file:  # which comes with other versions
        file.write("# newer\n")
    here.reproduce(monkeypatch)
    assert users <= set(here.counters()) <= followers(users)


def test_changed_bytes_of_one_data_file_rerun_exactly_its_readers_and_what_follows(here, monkeypatch):
    here.edit("src/penumbra/prepare/sources/digits.py", "CELLS = 8", "CELLS = 9")
    monkeypatch.setenv("MINIATURE_OTHER_BYTES", "images/ood")
    here.reproduce(monkeypatch)
    dag = contract.load()
    readers = {entry.name for entry in dag.stages.values() if "data/images/ood.parquet" in dag.inputs(entry)}
    assert {"infer@none", "extract-clip@vit"} <= readers
    assert set(here.counters()) == {"prepare", "report"} | followers(readers)


@pytest.mark.parametrize("in_cache", [True, False])
def test_a_damaged_output_is_made_again_and_nothing_else_runs(here, planned, monkeypatch, in_cache):
    before = here.outputs()
    damaged = here.root / "data/outliers/badood-gaussian.parquet"
    md5 = hashlib.md5(damaged.read_bytes()).hexdigest()
    damaged.write_bytes(damaged.read_bytes() + b" ")
    if not in_cache:
        (here.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    assert planned(here)[0] == {"synthesize-badood@badood-gaussian"}
    here.reproduce(monkeypatch)
    assert set(here.counters()) == (set() if in_cache else {"synthesize-badood@badood-gaussian"})
    assert here.outputs() == before


def test_a_reverted_change_is_restored_from_the_run_cache(here, monkeypatch):
    before = here.outputs()
    here.change_param("benchmark.score", "msp")
    here.reproduce(monkeypatch)
    assert set(here.counters()) == {"benchmark", "report"}
    here.reset()
    here.run("git", "checkout", "-q", "params.yaml")
    here.reproduce(monkeypatch)
    assert not here.counters() and here.outputs() == before


def test_an_edited_checkpoint_reruns_its_model_and_what_follows_and_a_touch_nothing(here, planned, monkeypatch, tmp_path):
    file = tmp_path / "vitl.pth.tar"
    file.write_text("weights")
    here.change_param("pretrain.encoder.moco.checkpoint", str(file))
    here.reproduce(monkeypatch)
    os.utime(file, (1, 1))
    assert planned(here) == (set(), set())
    file.write_text("Weights")
    will, may = planned(here)
    assert will == {"pretrain-encoder@moco"} and may == followers(will) - will
    with pytest.raises(PenumbraError, match=f"pretrain-encoder@moco: {file} has changed since code.json was written"):
        checked(contract.load(), contract.load().entry("pretrain-encoder@moco"))


@pytest.mark.parametrize("command", [["repro"], ["run", "pretrain-encoder@moco"]], ids=" ".join)
def test_nothing_starts_while_a_file_is_missing_that_a_stage_needs(here, command):
    here.change_param("pretrain.encoder.moco.checkpoint", "/gone/vitl.pth.tar")
    done = here.penumbra(*command, check=False)
    line = "penumbra: pretrain.encoder.moco.checkpoint: /gone/vitl.pth.tar does not exist. Correct the path or put the file there."
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1] == line
    assert not here.counters()
