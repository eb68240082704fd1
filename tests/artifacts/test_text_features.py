"""Text features of ID and negative labels keep their rows' meaning, and their bytes depend on the content alone."""

import pytest
import torch
from safetensors.torch import save_file

from penumbra.artifacts.negatives import Negative, TextFeatures, read_negative_labels, read_negatives, write_negatives
from penumbra.errors import PenumbraError

FEATURES = TextFeatures(
    id=torch.arange(6.0).view(2, 3),
    mcm=torch.arange(6.0).view(2, 3) + 6,
    negative=torch.arange(12.0).view(3, 4).T,
    logit_scale=14.25,
    id_names=["zero", "one"],
    negatives=[
        Negative(word, f"the nice {word}", "noun", closeness) for word, closeness in [("ü", 0.1), ("b", 0.2), ("a", 1 / 3), ("c", 1)]
    ],
)


def test_rows_come_back_with_their_words(tmp_path):
    for name in ("one", "two"):
        write_negatives(tmp_path / name, FEATURES, {"stage": "extract@negatives"})
    read = read_negatives(tmp_path / "one")
    for name in ("id", "mcm", "negative"):
        assert torch.equal(getattr(read, name), getattr(FEATURES, name))
    assert (read.logit_scale, read.id_names, read.negatives) == (14.25, FEATURES.id_names, FEATURES.negatives)
    assert read_negative_labels(tmp_path / "one") == FEATURES.negatives
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_file_is_an_error_that_names_it(tmp_path):
    save_file({"id": torch.zeros(1)}, tmp_path / "other")
    (tmp_path / "text").write_text("no tensors")
    for name in ("other", "text", "missing"):
        with pytest.raises(PenumbraError, match=f"{name}: "):
            read_negatives(tmp_path / name)
