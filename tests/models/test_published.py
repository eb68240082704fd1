"""Files in the published layouts load strictly; anything else is one clear error."""

import argparse

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder
from penumbra.models.published import encoder_in_mage, load_checkpoint, load_strict, mage_state, moco_state, vqgan_state

TOKENIZER = {"width": 8, "multipliers": [1, 2], "codes": 20, "code_width": 4}


def _encoder(depth: int = 15) -> MoCoEncoder:
    return MoCoEncoder(8, 4, 8, depth, 2, 8, 4)


def _mage() -> MAGE:
    return MAGE(8, 4, 4, 8, 1, 2, 8, 1, 2, 0.1, TOKENIZER)


def _equal(network: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True))


def test_moco_file_with_the_misspelt_layers_loads(tmp_path):
    encoder, path = _encoder(), tmp_path / "vitl.pth.tar"
    wrong = {"13.norm1.": "13.norm13.", "13.mlp.fc1.": "13.mlp.fc13.", "14.norm2.": "14.norm14.", "14.mlp.fc2.": "14.mlp.fc14."}
    state = {"module.predictor.0.weight": torch.zeros(1), "module.momentum_encoder.cls_token": torch.zeros(1)}
    for name, tensor in encoder.state_dict().items():
        for right, misspelt in wrong.items():
            name = name.replace(f"blocks.{right}", f"blocks.{misspelt}")
        state[f"module.base_encoder.{name}"] = tensor
    torch.save({"epoch": 300, "arch": "vit_large", "state_dict": state}, path)
    loaded = _encoder()
    load_strict(loaded, moco_state(path), path)
    assert _equal(loaded, encoder)


def test_rcg_file_gives_mage_its_tokenizer_and_the_encoder(tmp_path):
    mage, encoder, path = _mage(), _encoder(1), tmp_path / "mage.pth"
    state = mage.state_dict() | {f"pretrained_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    torch.save({"model": state, "model_ema": None, "epoch": 1, "args": argparse.Namespace(lr=0.1)}, path)
    loaded, loaded_encoder = _mage(), _encoder(1)
    load_strict(loaded, mage_state(path), path)
    load_strict(loaded_encoder, encoder_in_mage(path), path)
    assert _equal(loaded, mage) and _equal(loaded_encoder, encoder)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}])
def test_tokenizer_file_loads_flat_or_wrapped(tmp_path, wrap):
    vqgan, path = _mage().vqgan, tmp_path / "vqgan.ckpt"
    torch.save(wrap(vqgan.state_dict()), path)
    loaded = _mage().vqgan
    load_strict(loaded, vqgan_state(path), path)
    assert _equal(loaded, vqgan)


def test_misfit_names_the_tensor_and_both_sizes():
    state = _encoder(1).state_dict()
    state["norm.weight"] = torch.zeros(9)
    state["extra"] = state.pop("cls_token")
    with pytest.raises(PenumbraError, match=r"1 missing: cls_token; 1 unknown: extra; .*norm.weight is \[9\] in the file and \[8\]"):
        load_strict(_encoder(1), state, "file.pth")


class Foreign:
    """A class that no checkpoint may bring along."""


def test_unreadable_files_are_clear_errors(tmp_path):
    path = tmp_path / "file.pth"
    with pytest.raises(PenumbraError, match="cannot be read"):
        load_checkpoint(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(PenumbraError, match="not a checkpoint that can be read safely"):
        load_checkpoint(path)
    torch.save({"model": Foreign()}, path)
    with pytest.raises(PenumbraError, match="not a checkpoint that can be read safely"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(PenumbraError, match="holds a list"):
        load_checkpoint(path)
    torch.save({"epoch": 1}, path)
    with pytest.raises(PenumbraError, match="no weights under 'state_dict'"):
        moco_state(path)
