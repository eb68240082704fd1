"""data/outputs/DETECTOR: what a detector says of every image, for each training seed, and which image each row is of.

images.parquet has a row for each image of every file, in the order of the files; seed-K.safetensors has tensors whose rows are those
of a file. So scores are functions of this folder alone: no network runs, and no image is read.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tensors import read_tensors, write_tensors
from penumbra.errors import PenumbraError

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["network", "clip"]
FILES = ("train", "val", "calibration", "test", "ood", "shifted")  # of data/images that detectors see
KEYS = ("sample_id", "set", "group", "strength", "label")
IMAGES = "images.parquet"
OUTPUTS = ("logits", "features", "concepts", "log_odds")  # that a detector may have, whatever it was trained by


@dataclass(frozen=True)
class Outputs:
    """What a detector says of N images.

    Attributes:
        logits: of the ID classes [N, C].
        features: that the last layer sees [N, D].
        concepts: cosines to the ID labels in MCM's prompt [N, C]; of CLIP detectors.
        log_odds: of NegLabel's grouped score [N], float64; of CLIP detectors.
        beside: what else the same pass gives, by name: of further heads, where a loss keeps one (`models.heads.beside`), and statistics
            of layers, where `infer` in params.yaml asks for them (`models.layers`).
    """

    logits: "Tensor"
    features: "Tensor"
    concepts: "Tensor | None" = None
    log_odds: "Tensor | None" = None
    beside: "dict[str, Tensor]" = field(default_factory=dict)

    @property
    def kept(self) -> frozenset[str]:
        """The names in `beside`, without the layers that they are of."""
        return frozenset(name.partition("/")[0] for name in self.beside)

    def of_layers(self, statistic: str) -> "dict[int, Tensor]":
        """A statistic by layer, the first one first: "means" [N, C_L] or "gram" [N, P, C_L]."""
        names = [name.partition("/") for name in self.beside]
        return {index: self.beside[f"{statistic}/{index}"] for index in sorted(int(layer) for name, _, layer in names if name == statistic)}

    @property
    def powers(self) -> int:
        """P of the Gram matrices."""
        return max((sums.shape[1] for sums in self.of_layers("gram").values()), default=0)


@dataclass(frozen=True)
class Pass:
    """One forward pass of a detector over all images; float32 as the network gives it, if nothing else is said.

    Attributes:
        kind: of the detector.
        outputs: by file of data/images.
        weight, bias: of the last layer [C, D] and [C]: logits = features @ weight.T + bias.
        mcm_temperature: T of MCM; of CLIP detectors.
    """

    kind: Kind
    outputs: dict[str, Outputs]
    weight: "Tensor"
    bias: "Tensor"
    mcm_temperature: float | None = None


def write_pass(path: str | os.PathLike, made: Pass, provenance: dict) -> None:
    """Write FILE/OUTPUT, weight and bias, and the rest beside them."""
    tensors = {"weight": made.weight, "bias": made.bias}
    for file, outputs in made.outputs.items():
        found = {name: getattr(outputs, name) for name in OUTPUTS} | outputs.beside
        tensors |= {f"{file}/{name}": values for name, values in found.items() if values is not None}
    write_tensors(path, tensors, {"kind": made.kind, "mcm_temperature": made.mcm_temperature, "provenance": provenance})


def read_pass(path: str | os.PathLike) -> Pass:
    """The inverse of `write_pass`.

    Raises:
        PenumbraError: the file is missing or not what infer writes.
    """
    tensors, content = read_tensors(path)
    weight, bias = tensors.pop("weight", None), tensors.pop("bias", None)
    outputs: dict[str, dict[str, Tensor]] = {}
    for name, values in tensors.items():
        file, _, output = name.partition("/")
        outputs.setdefault(file, {})[output] = values
    if weight is None or set(outputs) != set(FILES):
        raise PenumbraError(f"{path}: does not hold what a detector says of {', '.join(FILES)}. Run `dvc repro` to make it again.")
    made = {file: _outputs(outputs[file]) for file in FILES}
    return Pass(content["kind"], made, weight, bias, content["mcm_temperature"])


def _outputs(tensors: "dict[str, Tensor]") -> Outputs:
    own = {name: tensors.pop(name) for name in OUTPUTS if name in tensors}
    return Outputs(**own, beside=tensors)


def saved_passes(directory: str | os.PathLike) -> dict[int, Path]:
    """The file of each training seed in data/outputs/DETECTOR, smallest seed first.

    Raises:
        PenumbraError: there is none.
    """
    seeds = {int(path.stem.removeprefix("seed-")): path for path in Path(directory).glob("seed-*.safetensors")}
    if not seeds:
        raise PenumbraError(f"{directory}: holds no seed-*.safetensors. Run `dvc repro` to make it again.")
    return dict(sorted(seeds.items()))


def write_keys(path: str | os.PathLike, images: str | os.PathLike, provenance: dict) -> None:
    """Write images.parquet: columns file and KEYS of every image of FILES in the folder data/images."""
    tables = []
    for file in FILES:
        table = read_table(Path(images) / f"{file}.parquet", KEYS).replace_schema_metadata(None)
        tables.append(table.add_column(0, "file", pa.array([file] * len(table), pa.string())))
    with replace(path) as temporary:
        metadata = {"penumbra": json.dumps(provenance, sort_keys=True)}
        pq.write_table(pa.concat_tables(tables).replace_schema_metadata(metadata), temporary, compression="zstd")


def read_keys(path: str | os.PathLike) -> dict[str, pa.Table]:
    """Columns KEYS of the images of each file.

    Raises:
        PenumbraError: the file is missing or not Parquet.
    """
    table = read_table(path)
    file = table["file"].to_numpy()
    return {name: table.filter(pa.array(file == name)).select(list(KEYS)) for name in FILES}
