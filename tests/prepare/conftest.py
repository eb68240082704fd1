"""A miniature of the experiment: rendered sources, or class folders that a test makes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sections import id_spec, spec

from penumbra.prepare.params import Shift
from penumbra.prepare.step import SECTIONS
from penumbra.seeds import derive
from penumbra.stage import Params, Stage


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[..., Stage]:
    """Build a prepare stage that writes to a folder of its own; keywords replace sections of its parameters."""

    def make(out: str = "out", seed: int = 0, **sections) -> Stage:
        prepare = {
            "id": id_spec("digits", classes=["0", "1"]),
            "near": {},
            "far": {"noise": spec("noise", limit=6)},
            "shift": Shift(strengths=2, limit=3, kinds={"rotation": 40.0, "noise": 0.3}, sets={}),
            "calibration": {"glyphs": spec("glyphs", classes=["A"], limit=4)},
            "world": {"glyphs": spec("glyphs", classes=["C", "?"], limit=4)},
            "clip_world": {"printed": spec("printed", classes=["6"], limit=4)},
            "quarantine_limit": 0.05,
        } | sections
        writes = {f"images/{name}": tmp_path / out / f"{name}.parquet" for name in SECTIONS}
        writes["images/quarantine"] = tmp_path / out / "quarantine.csv"
        params = Params({"common": {"seed": seed, "image_size": 16}, "prepare": prepare})
        return Stage("prepare", None, params, writes=writes, scratch_root=tmp_path / "scratch")

    return make


@pytest.fixture
def class_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make class folders of distinct random PNGs."""

    def make(name: str = "pets", classes: tuple[str, ...] = ("cat", "dog"), count: int = 20) -> Path:
        rng = np.random.default_rng(derive(name))
        for class_name in classes:
            (tmp_path / name / class_name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / class_name / f"{index:03d}.png")
        return tmp_path / name

    return make
