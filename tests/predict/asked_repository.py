"""A small repository that the project's own steps have filled: two detectors, what they said of its images, and their scores."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from clip_features import label_features
from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.artifacts.outputs import FILES
from penumbra.experiment.load import validate
from penumbra.infer import clip, network
from penumbra.labels import grouped
from penumbra.models.clip import Clip
from penumbra.models.clip_detector import ClipDetector
from penumbra.models.resnet import Detector
from penumbra.score import step
from penumbra.stage import Params, Stage
from tiny_clip import write_tiny_clip

SIZE, CLASSES = 16, ["3", "cat", "dog"]
SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3, "phi_hidden": 4}
COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "set": pa.string(), "group": pa.string(), "strength": pa.int64()}
MORE = (
    "{vim: {score: vim, share: 0.05}, far: {score: mahalanobis, ridge: 0.001}, "
    "cut: {score: react, quantile: 0.9, images: train}, cool: {score: temperature}}"
)
COUNTS = {"train": 12, "val": 60, "calibration": 20, "test": 7, "ood": 5, "shifted": 6}


def write_images(data: Path) -> None:
    rng = np.random.default_rng(0)
    (data / "images").mkdir(parents=True)
    for name, count in COUNTS.items():
        with ImageWriter(data / f"images/{name}.parquet", COLUMNS, {"classes": CLASSES, "params": {"common": {"image_size": SIZE}}}) as out:
            for i in range(count):
                pixels = rng.integers(0, 100 if name == "val" else 255, (SIZE, SIZE, 3)).astype(np.uint8)
                out.add(encode(pixels), sample_id=f"{name}/{i:06d}", label=i % 3, set=name, group=name, strength=0)


def write_detectors(data: Path) -> None:
    of_clip = Clip.load(write_tiny_clip(data / "recipes/zero-shot/models/clip"))
    pixels = {name: torch.from_numpy(read_pixels(data / f"images/{name}.parquet")) for name in FILES}
    features = {name: of_clip.embed_images(images.permute(0, 3, 1, 2).float() / 255) for name, images in pixels.items()}
    write_features(data / "recipes/zero-shot/features/clip.safetensors", features, [], {})
    for seed in (10, 2):
        torch.manual_seed(seed)
        Detector(**SIZES).save_pretrained(data / f"detectors/none/seed-{seed}")
        order = grouped(17, 4, torch.Generator().manual_seed(seed))
        made = ClipDetector.zero_shot(label_features(), order, temperature=None, mcm_temperature=0.7, project=True, residual=True)
        made.save_pretrained(data / f"detectors/clip/seed-{seed}")


def write_repository(root: Path) -> Path:
    """params.yaml and data/ of the detectors `none` and `clip`, of two training seeds each."""
    text = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("knn_k: 50\n", "knn_k: 3\n").replace("knn_more: [10, 100, 200]", "knn_more: [1]")
    text = text.replace("  more: {vim: {score: vim, share: 0.5}} ", f"  more: {MORE} ")  # there are few images
    data = root / "data"
    write_images(data)
    (root / "params.yaml").write_text(text, encoding="utf-8")
    write_detectors(data)
    for name, room in {"none": network, "clip": clip}.items():
        reads = {"images": data / "images", f"detectors/{name}": data / f"detectors/{name}"}
        reads |= {"features/clip": data / "recipes/zero-shot/features/clip.safetensors"}
        outputs, scratch = {f"outputs/{name}": data / f"outputs/{name}"}, root / "scratch"
        room.main(Stage("infer", name, Params({"common": {"kernels": "portable"}}), {}, reads, outputs, scratch))
        params, scores = Params({"score": validate(root / "params.yaml").score}), {f"scores/{name}": data / f"scores/{name}.parquet"}
        step.main(Stage("score", name, params, {}, outputs, scores, scratch))
    return root
