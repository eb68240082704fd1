"""A file of vetoes in a miniature of the DAG: it is read by the filter that names it, and by its content."""

import os

import pytest

from miniature import followers
from penumbra.artifacts.tables import read_json
from penumbra.errors import PenumbraError
from penumbra.workflow import contract, ready

FILE = "vetoes/badood.csv"


@pytest.fixture
def miniature(whole):
    """All stages."""
    return whole


def test_vetoes_rerun_the_filter_that_names_them_by_their_content(here, planned, monkeypatch):
    assert all("files" not in entry for entry in read_json(contract.CODE)["filter"].values())
    (here.root / "vetoes").mkdir()
    (here.root / FILE).write_text("sample_id,image,reason\n")
    assert planned(here) == (set(), set())
    here.penumbra("configure", f"+filter.badood.veto={FILE}")
    will, may = planned(here)
    assert will - {"code", "benchmark", "report"} == {"filter@badood"} and "train@badood-mid" in may and "train@none" not in may
    here.reproduce(monkeypatch)
    assert set(here.counters()) == followers({"filter@badood"}) and list(read_json(contract.CODE)["filter"]["badood"]["files"]) == [FILE]
    os.utime(here.root / FILE, (1, 1))
    assert planned(here) == (set(), set())
    here.reset()
    (here.root / FILE).write_text("sample_id,image,reason\nbadood/000001,,\n")
    assert planned(here)[0] - {"code"} == {"filter@badood"}
    here.penumbra("repro")
    assert set(here.counters()) == {"filter@badood"}  # its bytes in a miniature are as before


def test_a_file_of_vetoes_that_is_not_there_is_said_before_anything_runs(here):
    here.change_param("filter.badood.veto", FILE)
    contract.load.cache_clear()
    with pytest.raises(PenumbraError, match=f"^filter.badood.veto: {FILE} does not exist. Correct the path or put the file there.$"):
        ready.check(contract.load(), ["filter@badood"])
