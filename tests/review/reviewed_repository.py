"""A small repository whose candidates the project's own filter has judged: params.yaml and data/ of the method `badood`."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from ruamel.yaml import YAML

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.tables import write_json
from penumbra.experiment.load import validate
from penumbra.filter import step
from penumbra.models.resnet import Detector
from penumbra.review.reviewed import Reviewed
from penumbra.review.server import Server
from penumbra.stage import Params, Stage

ROOT = Path(__file__).parents[2]
SIZE, COUNT, CLASSES = 16, 30, ["cat", "dog", "eel"]
SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3, "phi_hidden": 4}
CALIBRATION = {
    "accepts": -1.2,
    "judges": "mean",
    "score": "energy",
    "calibrator": "platt",
    "calibrators": {"platt": {"slope": 20.0, "intercept": 20.3}},
}


def write_candidates(data: Path, seed: int = 0, count: int = COUNT) -> None:
    """data/outliers/badood.parquet: brighter from row to row; each seed makes other pictures. The last has no source and no class."""
    rng = np.random.default_rng(seed)
    columns = dict.fromkeys(("sample_id", "source_id"), pa.string()) | {"label": pa.int64()}
    (data / "outliers").mkdir(parents=True, exist_ok=True)
    with ImageWriter(data / "outliers/badood.parquet", columns, {}) as writer:
        for i in range(count):
            row = {"source_id": f"train/{i // 2:06d}", "label": i % 3} if i < count - 1 else {"source_id": "", "label": -1}
            writer.add(encode(rng.integers(0, 1 + 8 * i, (SIZE, SIZE, 3)).astype(np.uint8)), sample_id=f"badood/{i:06d}", **row)


def run_filter(root: Path, veto: str | None = None) -> None:
    """Run filter@badood as the experiment of `root` says, with this file of vetoes; the working directory is `root`."""
    yaml, path = YAML(), root / "params.yaml"
    content = yaml.load(path)
    if veto:
        content["filter"]["badood"]["veto"] = veto
        yaml.dump(content, path)
    reads = {"outliers/badood": root / "data/outliers/badood.parquet", "detectors/none": root / "data/detectors/none"}
    reads["calibration/none"] = root / "data/calibration/none.json"
    names = ["badood", *(f"badood/{band}" for band in ("low", "mid", "high", "upper", "third", "kept", "random"))]
    writes = {f"selections/{name}": root / f"data/selections/{name}.parquet" for name in names}
    params = Params({"filter": {"badood": validate(path).filter["badood"]}})
    step.main(Stage("filter", "badood", params, {}, reads, writes, root / "scratch"))


def write_repository(root: Path) -> Path:
    """params.yaml and data/: ID images, two judges, candidates and what filter says of them."""
    data = root / "data"
    (data / "images").mkdir(parents=True)
    (root / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    provenance = {"classes": CLASSES, "params": {"common": {"image_size": SIZE}}}
    with ImageWriter(data / "images/train.parquet", {"sample_id": pa.string()}, provenance) as writer:
        for i in range(COUNT):
            writer.add(encode(np.full((SIZE, SIZE, 3), i, np.uint8)), sample_id=f"train/{i:06d}")
    for seed in (0, 1):
        torch.manual_seed(seed)
        Detector(**SIZES).save_pretrained(data / f"detectors/none/seed-{seed}")
    write_json(data / "calibration/none.json", CALIBRATION)
    write_candidates(data)
    run_filter(root)
    return root


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Serves the candidates of the working directory."""
    with Server(Reviewed("badood", Path("data"), Path("vetoes/badood.csv"))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
