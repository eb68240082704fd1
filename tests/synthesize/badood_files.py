"""Small untrained models of Bad-OOD, features of a few ID images, and stages over them."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import torch
from outlier_files import outliers_of

from penumbra.artifacts.features import write_features
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder, standardise
from penumbra.models.rdm import RDM
from penumbra.stage import Params, Stage
from penumbra.synthesize.badood.params import BadOod
from penumbra.synthesize.moved.params import Moved

D = 6
SIZES = {"image_size": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2, "projection_hidden": 16, "projection": D}
TOKENIZER = {"width": 32, "multipliers": [1, 1, 1], "codes": 8, "code_width": 4}
DECODER = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2, "dropout": 0.0}
METHOD = {
    "guidance": "minority", "per_image": 2, "scales": [0.0, 0.05, 0.2], "t": 30, "stride": 10, "loop": "guided", "eta": 0.5,
    "last_alpha": "grid", "s": 12, "distance": "l2", "space": "prev", "norm": "linf", "variance": False, "every": 1, "draws": 1,
    "score_draws": 4, "stop_gradient": True, "restandardize": False, "decode_steps": 3, "decode_temperature": 2.0, "decode_guidance": 0.0,
}  # fmt: skip


def write_models(folder: Path) -> Path:
    """The models, and features of seven ID images of three classes."""
    torch.manual_seed(0)
    MoCoEncoder(**SIZES).eval().save_pretrained(folder / "encoder")
    MAGE(image_size=8, patch_size=4, representation=D, vqgan=TOKENIZER, **DECODER).eval().save_pretrained(folder / "mage")
    rdm = RDM(D, 16, 1, 8, 50, 0.0015, 0.0195)
    for parameter in rdm.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rdm.eval().save_pretrained(folder / "rdm")
    z0 = standardise(torch.randn(7, D))
    write_features(
        folder / "encoder.safetensors", {"representation": z0, "label": torch.arange(7) % 3}, [f"train/{i:06d}" for i in range(7)], {}
    )
    return folder


def make_stage(models: Path, folder: Path, method: str, grey: bool = False, **changes: object) -> Stage:
    """A stage of a variant that differs from METHOD in some parameters; with `toward` among them its candidates are moved."""
    guidance = "gaussian" if method == "badood-gaussian" else "minority"
    section = (Moved if "toward" in changes else BadOod)(**METHOD | {"guidance": guidance} | changes)
    params = {"common": {"seed": 0, "grey": grey, "image_size": 8}, "synthesize": {method: section}}
    reads = {"features/encoder": models / "encoder.safetensors"} | {f"models/{name}": models / name for name in ("encoder", "rdm", "mage")}
    return Stage("synthesize", method, Params(params), {}, reads, outliers_of(folder, method), folder / "scratch")


def rows_of(stage: Stage) -> pd.DataFrame:
    """The candidates that it has made."""
    return pq.read_table(stage.write("outliers")).to_pandas()
