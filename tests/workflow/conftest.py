"""What the tests of the workflow share."""

import pytest

from penumbra.workflow import contract, plan


@pytest.fixture
def planned(monkeypatch):
    """What is planned in a miniature: (stages that will run, stages that may run)."""
    from dvc.repo import Repo

    def ask(miniature):
        monkeypatch.chdir(miniature.root)
        contract.load.cache_clear()
        with Repo(str(miniature.root)) as repo:
            found = plan.plan(repo)
        contract.load.cache_clear()
        return {each.name for each in found if each.reasons}, {each.name for each in found if not each.reasons}

    return ask
