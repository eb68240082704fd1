"""Files of vetoes: what is read, what is refused with its line, and what filter makes of them."""

import pyarrow as pa
import pytest

from penumbra.artifacts.images import ImageWriter
from penumbra.errors import PenumbraError
from penumbra.filter import pictures, vetoes
from penumbra.filter.params import Filter
from penumbra.filter.vetoes import Veto

HEAD = "sample_id,image,reason\n"
ROWS = 2600  # of more than two row groups


@pytest.fixture(scope="module")
def outliers(tmp_path_factory):
    """Candidates whose pictures are no pictures, but bytes that differ."""
    path = tmp_path_factory.mktemp("vetoes") / "outliers.parquet"
    with ImageWriter(path, {"sample_id": pa.string()}, {}) as writer:
        for row in range(ROWS):
            writer.add(b"%d" % row, sample_id=f"m/{row}")
    return path


def refusal(path, text, outliers=None):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PenumbraError) as caught:
        found = vetoes.read(path)
        vetoes.check(path, found, {f"m/{row}": row for row in range(ROWS)}, outliers)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path} ").removeprefix(f"{path}: ")


def test_what_is_written_is_read_in_the_order_of_names(tmp_path):
    made = {"m/2": Veto("ab", 'a "b", c', 1), "m/10": Veto("", "", 2)}
    vetoes.write(tmp_path / "deep/v.csv", made)
    assert (tmp_path / "deep/v.csv").read_text() == HEAD + 'm/10,,\nm/2,ab,"a ""b"", c"\n'
    assert vetoes.read(tmp_path / "deep/v.csv") == {"m/10": Veto("", "", 2), "m/2": Veto("ab", 'a "b", c', 3)}


@pytest.mark.parametrize("text", [HEAD, HEAD.replace("\n", "\r\n"), "\ufeff" + HEAD, HEAD + "\n\n", HEAD.strip()])
def test_a_file_may_hold_no_veto_and_come_from_a_spreadsheet(tmp_path, text):
    (tmp_path / "v.csv").write_bytes(text.encode())
    assert vetoes.read(tmp_path / "v.csv") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: must name the columns, `sample_id,image,reason`."),
        ("m/1,,\n", "line 1: must name the columns"),
        (HEAD + "m/1\n", "line 2: has another shape. Write one candidate a line"),
        (HEAD + "m/1,,a,b\n", "line 2: has another shape"),
        (HEAD + ",,\n", "line 2: has another shape"),
        (HEAD + "m/1,,\nm/2,,\nm/1,,again\n", "line 4: m/1 is vetoed in line 2 already. Take one of them out."),
        (HEAD + 'm/1,,"open\n', "line 2: unexpected end of data"),
        (HEAD + 'm/1,,"a"b\n', "line 2: "),
        (HEAD.encode() + b"m/1,,\nm/2,,caf\xe9\n", "line 3: is not UTF-8 text. Save it as UTF-8."),
        (HEAD + "m/1,,\nm/9999,,\n", "line 3: m/9999 is no candidate in "),
        (
            HEAD + f"m/1,{pictures.digest(b'1')},\nm/2,{pictures.digest(b'1')},\n",
            "line 3: m/2 is another picture than the one that was vetoed",
        ),
    ],
)
def test_a_fault_is_one_line_with_the_place_and_the_remedy(tmp_path, outliers, text, said):
    found = refusal(tmp_path / "v.csv", text, outliers)
    assert found.startswith(said), found


def test_a_file_that_is_not_there_or_none_is_said(tmp_path):
    with pytest.raises(PenumbraError, match="v.csv: does not exist. Make it with `penumbra review`"):
        vetoes.read(tmp_path / "v.csv")
    with pytest.raises(PenumbraError, match="is a folder. Name a CSV file"):
        vetoes.read(tmp_path)


def test_single_pictures_are_those_of_their_rows_in_every_row_group(outliers):
    rows = [0, 1, 31, 32, 1023, 1024, 2047, 2048, 2599]
    assert list(pictures.encoded(outliers, reversed(rows))) == [(row, b"%d" % row) for row in rows]
    assert list(pictures.encoded(outliers, [ROWS])) == list(pictures.encoded(outliers, [])) == []


def test_who_reviews_nothing_has_the_dump_from_before_there_were_vetoes():
    section = {"judge": "none", "mid": [0.3, 0.5], "upper": [0.5, 0.7]}
    assert Filter(**section).model_dump() == section == Filter(**section, veto=None).model_dump()
    assert Filter(**section, veto="v.csv").model_dump() == section | {"veto": "v.csv"}
