"""LICENSE, CITATION.cff, docs/citing.md and pyproject.toml tell one story."""

import re
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
CITATION = YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BIBTEX = (ROOT / "docs/citing.md").read_text()


def test_version_and_licence_are_those_of_the_package():
    assert (CITATION["version"], CITATION["license"]) == (PROJECT["version"], PROJECT["license"])
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) ")
    assert f"version = {{{PROJECT['version']}}}" in BIBTEX


def test_every_paper_is_in_both_with_the_same_title_and_authors():
    entries = re.findall(r"title\s*= \{(.+)\},\n\s*author\s*= \{((?:.|\n)+?)\},\n", BIBTEX)
    papers = {title.translate({ord(brace): None for brace in "{}"}): " ".join(authors.split()).split(" and ") for title, authors in entries}
    papers = {title: authors for title, authors in papers.items() if not title.startswith(CITATION["title"])}
    cited = {each["title"]: [f"{who['family-names']}, {who['given-names']}" for who in each["authors"]] for each in CITATION["references"]}
    assert papers == cited
