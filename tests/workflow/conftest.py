"""What the tests of the workflow share."""

import pytest

from penumbra.workflow import code, contract, plan
from penumbra.workflow.repository import opened


@pytest.fixture
def planned(monkeypatch):
    """What is planned in a miniature: (stages that will run, stages that may run)."""

    def ask(miniature):
        monkeypatch.chdir(miniature.root)
        contract.load.cache_clear()
        with opened() as repo:
            found = plan.plan(repo, code=code.entries(contract.load()))
        return {each.name for each in found if each.reasons}, {each.name for each in found if not each.reasons}

    return ask


@pytest.fixture
def here(miniature, monkeypatch):
    """The miniature, in the working directory."""
    monkeypatch.chdir(miniature.root)
    contract.load.cache_clear()
    yield miniature
    contract.load.cache_clear()


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A DVC repository of two stages of the shell, in the working directory; both have run."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contract, "typed", lambda given, name: None)  # it has other sections
    (tmp_path / "params.yaml").write_text("first: {text: a, more: 1, rate: 0.5}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  first: {cmd: cp params.yaml one, params: [first], outs: [one]}\n"
        "  second: {cmd: (cat one; echo 2) > two; mkdir -p folder; cat one two > folder/file, deps: [one], outs: [two, folder]}\n"
    )
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        repo.reproduce()
    contract.load.cache_clear()
    yield tmp_path
    contract.load.cache_clear()
