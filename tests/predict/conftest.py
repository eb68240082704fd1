"""What several tests of predict ask, and the command line as a user has it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from asked_repository import write_repository

from penumbra import cli


@pytest.fixture(scope="session")
def root(once) -> Path:
    """A repository with two detectors, what they said of its images, and their scores; read-only by convention."""
    return once("predict", write_repository)


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    """Calls `penumbra ...`; exit status, standard output, and standard error or the message that ends it."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            cli.main([*map(str, arguments)])
            status = 0
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return (1, out, status) if isinstance(status, str) else (status, out, err)

    return call
