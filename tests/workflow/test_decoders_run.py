"""Bad-OOD's decoders in the real DAG: what waits for what, and a small real run from digits to the claims of Fig. 4."""

from importlib import import_module

import pandas as pd
import pytest

from miniature import Miniature
from penumbra.artifacts.images import read_pixels, read_table
from penumbra.workflow import contract

GONE = ("good", "sona", "synood", "clip")
SMALL = (
    "+ablations=badood-decoders",
    "pretrain.ldm.rcg={pipeline:null,channels:[8,16],layers:1,head_width:8,epochs:1,batch_size:64,learning_rate:0.002,weight_decay:0,"
    "ema_decay:0.9,warmup_epochs:0,drop_representation:0.1,validate_every:1,sample_steps:2,sample_guidance:2}",
    "pretrain.dit.rcg={pipeline:null,patch_size:2,width:16,depth:1,heads:2,epochs:1,batch_size:64,learning_rate:0.002,weight_decay:0,"
    "ema_decay:0.9,warmup_epochs:0,drop_representation:0.1,validate_every:1,sample_steps:2,sample_guidance:2}",
    "train.recipes.scratch.energy.epochs=3",
    "synthesize.decoded.badood-ldm.steps=2",
    "synthesize.decoded.badood-dit.steps=2",
    *(f"filter.badood-{kind}.mid=[0.01,0.99]" for kind in ("ldm", "dit")),
    *(f"~synthesize.{kind}.{kind}" for kind in GONE[:3]),
    *(f"~filter.{kind}" for kind in GONE[:3]),
    *(f"~pretrain.{model}" for model in ("classifier.resnet", "inpainting.sd", "clip.vit")),
    "~extract.contexts.tags",
    "~extract.negatives.neglabel",
    "~synthesize.control.reconstruction",
    "~synthesize.control.repainting",
    *(f"~train.recipes.{recipe}" for recipe in ("classifier.good", "reconstruction.sona", "clip.synood", "clip.zero-shot")),
    *(f"~train.detectors.{name}" for name in ("good-none", "good-all", "sona-none", "sona-all", "synood-all", "clip", "clip-synood")),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Bad-OOD and its decoders alone, of the miniature experiment."""
    return Miniature.create(tmp_path_factory.mktemp("decoders") / "dag", "miniature", *SMALL)


@pytest.fixture
def dag(small, monkeypatch):
    monkeypatch.chdir(small.root)
    contract.load.cache_clear()
    yield contract.load()
    contract.load.cache_clear()


def test_a_room_waits_for_the_decoder_that_it_names_and_for_whose_representations_it_paints(dag):
    before = {name: {each.name for each in dag.before(dag.entry(name))} for name in dag.stages}
    shared = {"extract-encoder@moco", "pretrain-encoder@moco", "synthesize-badood@badood"}
    assert before["synthesize-decoded@badood-ldm"] - {"code"} == shared | {"pretrain-ldm@rcg"}
    assert before["synthesize-decoded@badood-dit"] - {"code"} == shared | {"pretrain-dit@rcg"}
    assert not {"pretrain-ldm@rcg", "pretrain-dit@rcg", "pretrain-diffusion@sd"} & before["synthesize-badood@badood"]
    assert {"pretrain-encoder@moco", "pretrain-diffusion@sd", "prepare"} <= before["pretrain-ldm@rcg"]
    assert dag.program(dag.entry("synthesize-decoded@badood-dit")) == "penumbra.synthesize.decoded.plan"


def test_from_digits_to_the_claims_of_the_figure(dag, small):
    done: set[str] = set()
    waiting = {name: entry for name, entry in dag.stages.items() if name != "code"}
    while waiting:
        ready = [name for name, entry in waiting.items() if {each.name for each in dag.before(entry)} <= done | {"code"}]
        for name in ready:
            entry = waiting.pop(name)
            import_module(dag.program(entry)).main(dag.stage(entry, digests={"code": "0", "libraries": ""}))
        done |= set(ready)
    theirs = read_table("data/outliers/badood.parquet").to_pandas()
    for kind in ("ldm", "dit"):
        path = f"data/outliers/badood-{kind}.parquet"
        rows = read_table(path).to_pandas()
        assert rows["of"].tolist() == theirs.sample_id.tolist() and (read_pixels(path) != read_pixels("data/outliers/badood.parquet")).any()
    claims = pd.read_csv("reports/tables/claims.csv").set_index("claim")
    for decoder in ("latent diffusion model", "DiT"):
        (claim,) = {name for name in claims.index if name.startswith("MAGE's pictures") and name.endswith(decoder)}
        assert set(claims.loc[[claim]].source) == {"Bad-OOD, Fig. 4"}
    page = (small.root / "reports/report.html").read_text()
    assert "what other decoders make of the same one" in page and (small.root / "reports/figures/badood-decoders.svg").exists()
    assert "Samples of the DiT decoder trained here" in page
