"""A params.yaml that cannot be read, or is no parameters, is refused in one line with its place."""

import re

import pytest
from params_content import PARAMS

from penumbra.errors import PenumbraError
from penumbra.experiment.load import validate

BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 11))
BROKEN = {
    "cut": ("common: {seed: 0", "params.yaml line 1: cannot be read as YAML"),
    "repeated": ("common: {seed: 0}\ncommon: {seed: 1}", "params.yaml line 2: cannot be read as YAML: found duplicate key"),
    "list": ("- 1", "params.yaml: must be a mapping"),
    "empty": ("", "params.yaml: must be a mapping"),
    "latin-1": ("common:\n  a: caf\xe9".encode("latin-1"), "params.yaml line 2: is not UTF-8 text"),
    "nul": ("common: \0", "params.yaml: cannot be read as YAML: special characters are not allowed"),
    "binary": (bytes(range(256)), "params.yaml line 2: is not UTF-8 text"),
    "tag": ("common: !!python/object/apply:os.system [id]", "params.yaml line 1: cannot be read as YAML: could not determine"),
    "undefined": ("common: *none", "params.yaml line 1: cannot be read as YAML: found undefined alias"),
    "recursive": ("common: &a\n  seed: *a", "params.yaml: nests sections more than 20 levels deep, or an alias (*NAME) stands inside"),
    "recursive list": ("common: &a [*a]", "params.yaml: nests sections more than 20 levels deep, or an alias"),
    "recursive like": (
        "synthesize: {sona: {sona: &a {x: *a}, far: {like: sona, x: {x: {x: 1}}}}}",
        "params.yaml: nests sections more than 20",
    ),
    "deep": ("common: " + "[" * 2000 + "]" * 2000, "params.yaml: nests sections more than 20 levels deep"),
    "deep sections": ("".join(f"{' ' * i}a:\n" for i in range(2000)), "params.yaml: nests sections more than 20 levels deep"),
    "bomb": (f"common: {{}}\n{BOMB}", "params.yaml: holds more than 100000 values; aliases (*NAME) repeat what they stand for"),
    "number as a key": ("common: {1: 2}", "params.yaml: common: the key 1 must be text (numbers and words like yes in quotes)"),
    "date as a key": ("common: {2020-01-01: 2}", 'params.yaml: common: the key "2020-01-01" must be text'),
    "null as a key": ("~: 1", "params.yaml: the key null must be text"),
    "list as a key": ("common:\n  ? [a, b]\n  : 1", 'params.yaml: common: the key ["a", "b"] must be text'),
    "no date": ("common: {seed: 2020-13-45}", "params.yaml: cannot be read as YAML: month must be in 1..12"),
    "endless number": ("common: {seed: " + "9" * 5000 + "}", "params.yaml: cannot be read as YAML"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_with_its_place(tmp_path, name):
    content, line = BROKEN[name]
    (tmp_path / "params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PenumbraError) as error:
        validate(tmp_path / "params.yaml")
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    "value", ["2020-01-01", "2020-01-01 10:00:00", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "0x10", ".nan", "-.inf"]
)
def test_a_value_that_yaml_makes_of_text_is_refused_in_one_line(tmp_path, value):
    text = PARAMS.read_text().replace("  kernels: portable", f"  kernels: {value}", 1)
    assert text != PARAMS.read_text()
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PenumbraError) as error:
        validate(tmp_path / "params.yaml")
    assert re.fullmatch(r"params\.yaml: common\.kernels( = [^\n]+)?: must be [^\n]+", str(error.value))


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(PenumbraError, match="params.yaml: cannot be read: Is a directory"):
        validate(tmp_path / "params.yaml")


def test_aliases_that_end_are_allowed(tmp_path):
    text = PARAMS.read_text().replace("  badood: {judge: none, mid", "  badood: &f {judge: none, mid")
    text = text.replace("  good: {judge: none, mid: [0.3, 0.5], upper: [0.5, 0.7]}", "  good: *f")
    assert "*f" in text
    (tmp_path / "params.yaml").write_text(text)
    assert validate(tmp_path / "params.yaml") == validate(PARAMS)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(PenumbraError, match="does not exist. Run from the root"):
        validate(tmp_path / "params.yaml")
