"""Networks as a directory with config.json and model.safetensors."""

import json
import os
from pathlib import Path
from typing import Any, Self

from safetensors.torch import load_file, save_file
from torch import nn

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError


class Saved:
    """Mix-in for an nn.Module that keeps its JSON-able constructor arguments in `self.config`."""

    config: dict[str, Any]

    def save_pretrained(self: nn.Module, directory: str | os.PathLike, provenance: dict | None = None) -> None:
        """Write config.json ({"architecture", "config", "penumbra"}) and model.safetensors into `directory`."""
        with replace(directory) as temporary:
            temporary.mkdir()
            config = {"architecture": type(self).__name__, "config": self.config, "penumbra": provenance or {}}
            (temporary / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
            state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.state_dict().items()}
            save_file(state, temporary / "model.safetensors", {"format": "pt"})

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike) -> Self:
        """The saved network, in eval mode, its parameters frozen.

        Raises:
            PenumbraError: a file is missing, is of another architecture, or does not fit the config.
        """
        directory = Path(directory)
        try:
            saved = json.loads((directory / "config.json").read_text())
            if saved["architecture"] != cls.__name__:
                raise PenumbraError(f"{directory}/config.json: holds a {saved['architecture']}, not a {cls.__name__}.")
            network = cls(**saved["config"])
            network.load_state_dict(load_file(directory / "model.safetensors"), strict=True)
        except PenumbraError:
            raise
        except Exception as error:
            raise PenumbraError(f"{directory}: not a saved {cls.__name__} ({error}). Run `dvc repro` to make it again.") from error
        return network.eval().requires_grad_(False)
