"""The table of context labels: any text survives it, an editor's habits too, and a broken table is named."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penumbra.artifacts.contexts import Context, read_contexts, read_rows, write_contexts
from penumbra.errors import PenumbraError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=50)
@example(rows=[("a", "cat", "x\ry", 'quoted "x", \r\n and \n')])
@given(rows=st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), max_size=5, unique_by=lambda row: row[0]))
def test_any_text_comes_back_as_it_was(rows, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "contexts.csv"
    contexts = [Context(*row) for row in rows]
    write_contexts(path, contexts)
    assert read_rows(path) == contexts
    assert read_contexts(path) == {sample_id: labels for sample_id, _, labels, _ in rows}


def test_a_spreadsheet_may_reorder_the_columns_add_one_and_mark_the_byte_order(tmp_path):
    path = tmp_path / "contexts.csv"
    path.write_bytes('\ufefflabels,sample_id,class,checked,answer\r\n"tree, sky",a,cat,yes,raw\r\n,b,cat,no,\r\n'.encode())
    assert read_rows(path) == [Context("a", "cat", "tree, sky", "raw"), Context("b", "cat", "", "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column sample_id, class, labels, answer"),
        (b"sample_id;class;labels;answer\n", "Put commas between them"),
        (b"sample_id,class,labels\na,b,c\n", "has no column answer; its columns are sample_id, class, labels"),
        (b"sample_id,class,labels,answer\na,cat,tree, sky,raw\n", "line 2 has not 4 fields.*quotes"),
        (b"sample_id,class,labels,answer\na,cat,tree\n", "line 2 has not 4 fields"),
        (b"sample_id,class,labels,answer\na,cat,x,y\na,cat,x,y\n", "line 3 has a a second time"),
        (b"sample_id,class,labels,answer\na,cat,caf\xe9,y\n", "UTF-8"),
    ],
)
def test_a_broken_table_is_an_error_that_names_the_file_and_the_fault(content, message, tmp_path):
    path = tmp_path / "contexts.csv"
    path.write_bytes(content)
    with pytest.raises(PenumbraError, match=rf"contexts\.csv: .*{message}"):
        read_contexts(path)


def test_a_missing_table_is_an_error_that_names_it(tmp_path):
    with pytest.raises(PenumbraError, match=r"contexts\.csv: cannot be read"):
        read_contexts(tmp_path / "contexts.csv")
