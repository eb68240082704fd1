"""A LLaVA directory answers questions about images: greedily, briefly, each image for itself."""

import json
import shutil

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models.llava import Llava
from tiny_clip import write_tiny_clip
from tiny_llava import write_tiny_llava

QUESTIONS = ["What is there beside a cat?", "What?", "Is it so?"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_tiny_llava(tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture(scope="module")
def llava(source):
    return Llava.load(source)


@pytest.fixture(scope="module")
def pixels():
    return torch.randint(0, 256, (3, 3, 10, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_an_answer_depends_on_its_image_and_question_and_on_no_other(llava, pixels):
    together = llava.answer(pixels, QUESTIONS, 6)
    assert together == [llava.answer(pixels[[row]], [QUESTIONS[row]], 6)[0] for row in range(3)]
    assert llava.answer(pixels.flip(0), QUESTIONS, 6)[0] != together[0]
    assert llava.answer(pixels, QUESTIONS[::-1], 6)[0] != together[0]


def test_each_token_is_the_most_probable_one(llava, pixels):
    (answer,) = llava.answer(pixels[:1], QUESTIONS[:1], 3)
    inputs = llava.processor(images=[pixels[0]], text=[llava.prompt(QUESTIONS[0])], return_tensors="pt")
    ids, made = inputs["input_ids"], []
    for _ in range(3):
        logits = llava.model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0, -1]
        made.append(int(logits.argmax()))
        ids = torch.cat([ids, torch.tensor([[made[-1]]])], dim=1)
    assert answer == llava.processor.tokenizer.decode(made, skip_special_tokens=True).strip()
    assert 0 < len(answer) <= 3


def test_the_question_is_put_in_the_models_own_form(llava, tmp_path):
    assert llava.prompt("What?") == "Q <image>What? A "
    bare = Llava.load(write_tiny_llava(tmp_path / "bare", template=None))
    assert bare.prompt("What?") == "USER: <image>\nWhat? ASSISTANT:"


def test_a_model_of_another_kind_is_an_error_that_names_it(tmp_path):
    with pytest.raises(PenumbraError, match="clip: is a model of type 'clip', not 'llava'"):
        Llava.load(write_tiny_clip(tmp_path / "clip"))


def test_a_missing_or_unsafe_part_is_an_error_that_names_it(source, tmp_path):
    with pytest.raises(PenumbraError, match=r"nothing/config\.json: cannot be loaded"):
        (tmp_path / "nothing").mkdir()
        Llava.load(tmp_path / "nothing")
    pickled = shutil.copytree(source, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(PenumbraError, match="as a pickle"):
        Llava.load(pickled)
    old = shutil.copytree(source, tmp_path / "old")
    config = json.loads((old / "processor_config.json").read_text())
    (old / "processor_config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "patch_size"}))
    with pytest.raises(PenumbraError, match="has no patch_size"):
        Llava.load(old)
