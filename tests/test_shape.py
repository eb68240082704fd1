"""The shape of the code: imports point down, files and functions can be held in the head."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 300, 45


def test_imports_point_down():
    """pyproject.toml says which layer each package is in, and leaves none out."""
    found = subprocess.run([Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT / "src/penumbra")))
def test_files_and_functions_are_short(file: Path):
    text = file.read_text()
    assert text.count("\n") <= LINES_OF_A_FILE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= LINES_OF_A_FUNCTION] == []


def test_files_of_tests_are_short():
    assert [str(file.relative_to(ROOT)) for file in TESTS if file.read_text().count("\n") > LINES_OF_A_FILE] == []
