"""What a wheel carries."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_beside_the_modules_is_package_data():
    """A wheel has the modules and what pyproject.toml names; a template or a table that it lacks is missed only when it is read."""
    source = ROOT / "src"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    there = {path for path in (source / "penumbra").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    named = {path for package, globs in patterns.items() for glob in globs for path in source.joinpath(*package.split(".")).glob(glob)}
    assert there == named and there
