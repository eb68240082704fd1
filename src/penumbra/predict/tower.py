"""The image tower of a CLIP model alone: of a detector that has its texts as features, nothing else is asked."""

import os
import shutil
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from penumbra.errors import PenumbraError
from penumbra.models import vision  # noqa: F401  transformers imports torchvision, which needs its door opened first
from penumbra.models.clip import Clip
from penumbra.models.pretrained import load_part, quiet

import transformers  # isort: skip
from transformers import AutoImageProcessor, AutoModel, CLIPImageProcessor, PreTrainedModel  # isort: skip

TEXTS = ("text_model", "text_projection")  # parts of a dual encoder in transformers that see no image
SETTINGS = ("config.json", "preprocessor_config.json")


class Tower(Clip):
    """A CLIP model without its texts: `embed_images`, `pixels` and `image_features` are those of `Clip`.

    Args:
        model: a dual encoder as `Clip` takes it; its text tower is let go.
        processor: its image processor.
        name: where they come from, for messages.
    """

    def __init__(self, model: PreTrainedModel, processor: CLIPImageProcessor, name: str):
        nn.Module.__init__(self)  # Clip's own wants a tokenizer
        for part in TEXTS:
            setattr(model, part, None)
        self.model, self.processor, self.name = model, processor, name
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, source: str | os.PathLike, device: torch.device | str = "cpu") -> Self:
        """Load the folder of a CLIP model, or one that `save_tower` wrote. On a GPU the tower computes in bfloat16, as Clip's does.

        Raises:
            PenumbraError: a part is missing or cannot be read.
        """
        options = {"local_files_only": True, "trust_remote_code": False}
        with quiet(transformers.utils.logging):
            more = {"use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
            model, info = load_part(AutoModel, source, str(source), "model of images and texts", **options, **more)
            processor = load_part(AutoImageProcessor, source, f"{source}/preprocessor_config.json", "image processor", **options)
        absent = {str(key) for problem in ("missing_keys", "mismatched_keys") for key in info[problem]}
        if absent := sorted(key for key in absent if not key.startswith(TEXTS)):
            raise PenumbraError(f"{source}: its file lacks the weights {', '.join(absent[:3])} ({len(absent)} in all). Get it again.")
        tower = cls(model, processor, str(source)).to(device)
        if torch.device(device).type == "cuda":
            for part in tower.model.children():
                part.to(torch.bfloat16)
        return tower


def save_tower(source: Path, target: Path) -> None:
    """Write the image tower of the CLIP model in a folder, in transformers' layout: its settings, and all weights but those of texts."""
    target.mkdir()
    for name in SETTINGS:
        shutil.copyfile(source / name, target / name)
    weights = {key: tensor for file in sorted(source.glob("*.safetensors")) for key, tensor in load_file(file).items()}
    save_file({key: tensor for key, tensor in weights.items() if not key.startswith(TEXTS)}, target / "model.safetensors", {"format": "pt"})
