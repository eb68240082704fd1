"""The candidates of a method as a person looks through them: what they are made from, their severity and band, and their pictures."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from penumbra.artifacts.images import read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.filter.pictures import encoded
from penumbra.filter.vetoes import VETOED
from penumbra.values import BANDS

FILE = re.compile(r"[a-z]+")  # of data/images, as the sample_ids of its rows begin
KEPT = 256  # encoded images in memory


@dataclass(frozen=True)
class Candidates:
    """Everything about them; their pictures stay in their files.

    Attributes:
        method: its name.
        outliers: the file that they are in.
        frame: a row for each, as in that file: sample_id, class_name ("" for none), band, confidence (calibrated P(OOD)), source_file
            (below data/images, "" for none), source_row (in that file, -1 for none).
        images: the folder that source images are in.
        image_size: pixels of a side.
    """

    method: str
    outliers: Path
    frame: pd.DataFrame
    images: Path
    image_size: int

    @property
    def versions(self) -> list[tuple[int, int]]:
        """Of the files that this was read from."""
        return [version(path) for path in _files(self.method, self.outliers.parents[1])]

    def picture(self, row: int) -> bytes:
        """A candidate, encoded."""
        return _encoded(self.outliers, row, version(self.outliers))

    def source(self, row: int) -> bytes | None:
        """The image that a candidate is made from, encoded; None if there is none."""
        path, place = self.images / f"{self.frame.source_file.iat[row]}.parquet", int(self.frame.source_row.iat[row])
        return _encoded(path, place, version(path)) if place >= 0 else None


def load(method: str, data: Path) -> Candidates:
    """The candidates of a method.

    Args:
        method: one that filter has judged.
        data: the folder data/.

    Raises:
        PenumbraError: a file is not there, or candidates and selection do not belong together; names the command that mends it.
    """
    for path in (files := _files(method, data)):
        if not path.exists():
            raise PenumbraError(f"{path}: is not there yet. Run `penumbra repro filter@{method}` to make it.")
    outliers, selection, train = files
    frame = read_table(outliers, ["sample_id", "source_id", "label"]).to_pandas()
    judged = read_table(selection, ["sample_id", "band", "confidence"]).to_pandas()
    left_out = pd.DataFrame(read_provenance(selection).get(VETOED, []), columns=["sample_id", "band", "confidence"])
    both = pd.concat([judged, left_out.astype(judged.dtypes)]).set_index("sample_id")
    if len(both) != len(frame) or not frame.sample_id.isin(both.index).all():
        raise PenumbraError(f"{selection}: is of other candidates than {outliers}. Run `penumbra repro filter@{method}`.")
    frame = frame.join(both, on="sample_id")
    made = read_provenance(train)
    frame["class_name"] = [made["classes"][label] if label >= 0 else "" for label in frame.label]
    frame["band"] = pd.Categorical(frame.band, BANDS)
    return Candidates(method, outliers, _with_sources(frame, train.parent), train.parent, made["params"]["common"]["image_size"])


def _files(method: str, data: Path) -> tuple[Path, Path, Path]:
    return data / f"outliers/{method}.parquet", data / f"selections/{method}.parquet", data / "images/train.parquet"


def _with_sources(frame: pd.DataFrame, images: Path) -> pd.DataFrame:
    """The frame with source_file and source_row in place of source_id."""
    names = frame.source_id.fillna("").str.partition("/")[0]
    rows = pd.Series(-1, index=frame.index)
    for name in names.unique():
        path = images / f"{name}.parquet"
        if FILE.fullmatch(name) and path.exists():
            known = read_table(path, ["sample_id"])["sample_id"].combine_chunks()
            inside = names == name
            found = pc.index_in(pa.array(frame.source_id[inside], known.type), value_set=known)
            rows[inside] = found.fill_null(-1).to_numpy(zero_copy_only=False)
    return frame.drop(columns=["source_id", "label"]).assign(source_file=names.where(rows >= 0, ""), source_row=rows)


def version(path: Path) -> tuple[int, int]:
    """By which a file is known that was written again."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns


@functools.lru_cache(KEPT)
def _encoded(path: Path, row: int, version: tuple[int, int]) -> bytes:
    return next(image for _, image in encoded(path, [row]))
