"""A page of candidates that the project's own filter has judged."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from reviewed_repository import serving, write_repository

from penumbra.review.server import Server


@pytest.fixture(scope="session")
def built(once) -> Path:
    """The repository; read-only by convention."""
    return once("review", write_repository)


@pytest.fixture
def root(built, tmp_path, monkeypatch) -> Path:
    """A repository of one's own, in the working directory."""
    shutil.copytree(built, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def server(root) -> Iterator[Server]:
    """A server of one's own."""
    with serving() as server:
        yield server
