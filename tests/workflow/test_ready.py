"""What a run needs is listed, and what would end it later is told before it starts."""

import copy
import hashlib
from pathlib import Path

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, typed
from penumbra.workflow import code, contract, doctor, needs, ready

ROOT = Path(__file__).parents[2]
GIVEN = load(ROOT / "params.yaml")


def dag(**changes) -> contract.Contract:
    """The contract of the digits with other parameters, by dotted keys with __ for the dots."""
    given = copy.deepcopy(GIVEN)
    for key, value in changes.items():
        *parents, leaf = key.replace("__", ".").split(".")
        place = given
        for parent in parents:
            place = place[parent]
        place[leaf] = value
    return contract.Contract(contract.load().stages.values(), given, typed(given, "params.yaml"))


def faults(*stages: str, **changes) -> list[str]:
    """What is wrong with stages (of all, if none is named)."""
    made = dag(**changes)
    names = stages or tuple(made.stages)
    return list(ready.faults(made, names, needs.needs(made, names)))


def folder(path, *classes: str) -> dict:
    """A section of ID images, three files in each class."""
    for name in classes:
        (path / name).mkdir(parents=True)
        for index in range(3):
            (path / name / f"{index}.png").touch()
    return {"source": "folder", "path": str(path), "root": None, "classes": None, "val_share": 0.15, "test_share": 0.25}


def imglist(path, content: bytes | None, **section) -> dict:
    if content is not None:
        path.write_bytes(content)
    return {"source": "imglist", "path": str(path), "root": None, "classes": None, "val_share": 0.2, "test_share": 0.2} | section


def test_the_digits_need_nothing_and_can_start(capsys):
    assert list(needs.needs(dag(), dag().stages)) == [] and faults() == []


def test_a_stage_that_does_not_run_needs_nothing(tmp_path):
    gone = {"pretrain__mage__rcg__checkpoint": str(tmp_path / "mage-l.pth")}
    assert faults("prepare", "pretrain-rdm@rcg", **gone) == []
    (line,) = faults("pretrain-mage@rcg", **gone)
    assert line == f"pretrain.mage.rcg.checkpoint: {tmp_path}/mage-l.pth does not exist. Correct the path or put the file there."


@pytest.mark.parametrize(
    ("names", "pipeline", "said"),
    [
        (["n01440764", "n01443537"], "publisher/pipeline", "n01440764 and 1 more says nothing"),
        (
            ["3", "tench"],
            "publisher/pipeline",
            "prepare.id.classes: 3 says nothing to the published text encoder that synthesize-good@good",
        ),
        (["tench", "goldfish"], "publisher/pipeline", None),
        (["n01440764", "n01443537"], None, None),  # a model that is trained here learns them as words
    ],
)
def test_names_that_are_numbers_do_not_go_into_prompts_of_published_models(tmp_path, names, pipeline, said):
    found = faults("prepare", "synthesize-good@good", prepare__id=folder(tmp_path, *names), pretrain__diffusion__sd__pipeline=pipeline)
    assert [said in line for line in found] == ([True] if said else [])


def test_words_without_a_world_are_told():
    found = faults(prepare__world={})
    assert [line.partition(": takes")[0] for line in found] == [
        "synthesize.sona.sona.word_file = null",
        "extract.contexts.tags.vocabulary = world",
    ]
    assert len(faults(prepare__world={}, prepare__clip_world={})) == 3


def test_a_recipe_that_does_not_fit_the_classifier_it_starts_from_is_told():
    found = faults(pretrain__classifier__resnet__stem_kernel=5, pretrain__classifier__resnet__stem_pool=True)
    assert [line.partition(":")[0] for line in found] == [
        "train.recipes.classifier.good.stem_kernel = 3",
        "train.recipes.classifier.good.stem_pool = False",
    ]
    assert faults("train@none", pretrain__classifier__resnet__stem_kernel=5) == []


@pytest.mark.parametrize(
    ("content", "section", "said"),
    [
        (b"a.png 0\nb.png 1\nc.png \xff\n", {}, "list.txt:3 is not UTF-8 text"),
        (
            b"a.png, 0\nb.png\t1\n",
            {},
            "2 of 2 images are unusable; prepare.quarantine_limit is 0.05. First: 'list.txt:2 b.png\\t1: no label'",
        ),
        (b"gone.png 0\na.png 1\n", {}, "1 of 2 images are unusable; prepare.quarantine_limit is 0.05. First: gone.png: missing file"),
        (b"a.png 0\nb.png 7\n", {"classes": ["x", "y"]}, "First: list.txt:2 b.png: label 7 is out of range: 2 classes"),
        (b"a.png 0\nb.png 0\n", {"classes": ["x", "y"]}, "no images of class y"),
        (b"a.png 0\nb.png 0\n", {}, "1 class in"),
        (b"a.png {'x': 1}\n", {}, "list.txt:1: the label is a dictionary"),
        (b"", {}, "0 class in"),
    ],
)
def test_a_list_that_prepare_would_refuse_is_told_before_any_image_is_read(tmp_path, content, section, said):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    (line,) = faults("prepare", prepare__id=imglist(tmp_path / "list.txt", content, **section))
    assert said in line and "\n" not in line


def test_a_folder_in_place_of_a_list_is_told(tmp_path):
    (tmp_path / "x.png").touch()
    (line,) = faults("prepare", prepare__id=imglist(tmp_path, None))
    assert line == f"prepare.id.path: {tmp_path} cannot be read: Is a directory. Correct the path, its owner or its mode."


def test_a_list_without_a_fault_is_none(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    assert faults("prepare", prepare__id=imglist(tmp_path / "list.txt", b"a.png 0\nb.png 1\n")) == []


def test_a_list_of_other_content_than_the_published_one_is_refused_everywhere(tmp_path):
    """Before a run, when code.json is written, and by each job that checks it."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    content, file = b"a.png 0\nb.png 1\n", tmp_path / "list.txt"
    known = hashlib.sha256(content).hexdigest()
    section = imglist(file, content, sha256=known)
    made = dag(prepare__id=section)
    assert faults("prepare", prepare__id=section) == [] == faults("prepare", prepare__id=section | {"sha256": None})
    (need,) = needs.needs(made, ["prepare"])
    assert need.found.endswith(f"SHA-256 of the list {known}")
    assert made.params(made.entry("prepare")).prepare.id.sha256 == known

    file.write_bytes(b"b.png 0\na.png 1\n")
    other = hashlib.sha256(file.read_bytes()).hexdigest()
    line = f"prepare.id.sha256: {file} has the SHA-256 {other}, and not {known}: it is another list."
    (said,) = faults("prepare", prepare__id=section)
    assert said.startswith(line) and "\n" not in said
    with pytest.raises(PenumbraError) as error:
        code.entries(contract.Contract([made.entry("prepare")], made.given, made.experiment))
    assert str(error.value).startswith(line)
    assert faults("prepare", prepare__id=section | {"sha256": None}) == []


def test_a_checkpoint_of_another_size_is_told_and_one_that_fits_is_not(tmp_path):
    from penumbra.pretrain.encoder import build

    file = tmp_path / "vitl.pth.tar"
    encoder = build(dag().experiment.pretrain.encoder["moco"])
    torch.save({"state_dict": {f"module.base_encoder.{name}": value for name, value in encoder.state_dict().items()}}, file)
    assert faults("pretrain-encoder@moco", pretrain__encoder__moco__checkpoint=str(file)) == []
    (line,) = faults("pretrain-encoder@moco", pretrain__encoder__moco__checkpoint=str(file), pretrain__encoder__moco__width=64)
    assert line.startswith(f"pretrain.encoder.moco: {file}: does not fit MoCoEncoder; tensors") and "of another size" in line
    file.write_bytes(file.read_bytes()[:-100])
    (line,) = faults("pretrain-encoder@moco", pretrain__encoder__moco__checkpoint=str(file))
    assert "not a checkpoint that can be read safely" in line


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "is no plain tensor (str)"),
        (torch.eye(2).to_sparse(), "is no plain tensor (Tensor)"),
        (torch.full((64, 128), float("nan")), "holds values that are NaN or infinite"),
        (torch.zeros(64, 128, dtype=torch.int8), "holds torch.int8, and the network torch.float32"),
        (torch.zeros(64, 128, dtype=torch.bool), "holds torch.bool"),
        (torch.zeros(64, 128, dtype=torch.complex64), "holds torch.complex64"),
    ],
)
def test_a_checkpoint_of_what_are_no_weights_is_told(tmp_path, value, said):
    from penumbra.pretrain.encoder import build

    file = tmp_path / "vitl.pth.tar"
    state = build(dag().experiment.pretrain.encoder["moco"]).state_dict()
    name = next(name for name in state if name.endswith("weight"))
    torch.save({"state_dict": {f"module.base_encoder.{each}": value if each == name else tensor for each, tensor in state.items()}}, file)
    (line,) = faults("pretrain-encoder@moco", pretrain__encoder__moco__checkpoint=str(file))
    assert f"{file}: {name} " in line and said in line and "Get the file again" in line


class Foreign:
    """A class that no checkpoint may bring along."""


def test_the_danger_of_a_pickle_is_named_and_not_how_to_run_it(tmp_path):
    file = tmp_path / "vitl.pth.tar"
    torch.save({"state_dict": {"a": Foreign()}}, file)
    (line,) = faults("pretrain-encoder@moco", pretrain__encoder__moco__checkpoint=str(file))
    assert f"{file}: holds more than tensors" in line and "could run code" in line and "weights_only" not in line


def test_a_link_to_a_folder_inside_a_class_is_told(tmp_path):
    section = folder(tmp_path / "images", "elk", "owl")
    (tmp_path / "more").mkdir()
    (tmp_path / "images/newt").symlink_to(tmp_path / "images/owl")  # a whole class may be a link
    assert faults("prepare", prepare__id=section) == []
    (tmp_path / "images/elk/more").symlink_to(tmp_path / "more")
    (line,) = faults("prepare", prepare__id=section)
    assert "images/elk/more is a link to a folder, and is passed over" in line


def test_a_cut_file_of_a_pipeline_is_told(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "unet").mkdir()
    file = tmp_path / "unet/model.safetensors"
    change = {"pretrain__diffusion__sd__pipeline": str(tmp_path)}
    (tmp_path / "unet/model.bin").touch()
    assert "holds no weights as .safetensors" in faults("pretrain-diffusion@sd", **change)[0]
    save_file({"a": torch.zeros(100)}, file)
    assert faults("pretrain-diffusion@sd", **change) == []
    file.write_bytes(file.read_bytes()[:-1])
    (line,) = faults("pretrain-diffusion@sd", **change)
    assert line.startswith(f"pretrain.diffusion.sd: {file}: is cut or damaged")


def test_a_hub_id_is_no_missing_file_and_a_file_is_no_pipeline(tmp_path):
    (tmp_path / "x").touch()
    (need,) = needs.needs(dag(pretrain__clip__vit__model="openai/clip-vit-base-patch16"), ["pretrain-clip@vit"])
    assert need.there and need.what == "CLIP ViT-B/16" and need.licence == "none stated"
    (need,) = needs.needs(dag(pretrain__clip__vit__model=str(tmp_path / "x")), ["pretrain-clip@vit"])
    assert not need.there and need.found.startswith("is a file")


def test_every_origin_and_licence_is_as_the_page_of_published_files_says():
    import csv

    page = (ROOT / "docs/published.md").read_text()
    with needs.PUBLISHED.open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) > 20
    for row in rows:
        assert row["origin"] in page and row["licence"] in page, row


def test_doctor_lists_files_with_licences_and_refuses_what_cannot_start(tmp_path, monkeypatch, capsys):
    made = dag(prepare__id=folder(tmp_path / "ILSVRC", "tench", "goldfish"), pretrain__mage__rcg__checkpoint="/gone/mage-l.pth")
    monkeypatch.setattr(doctor.contract, "load", lambda: made)
    assert doctor.experiment() == ["pretrain.mage.rcg.checkpoint: /gone/mage-l.pth does not exist. Correct the path or put the file there."]
    shown = capsys.readouterr().out
    assert f"prepare.id.path: {tmp_path}/ILSVRC\n  6 files, 0 B\n  ImageNet: non-commercial research (https://image-net.org" in shown
    with pytest.raises(PenumbraError, match="mage-l.pth does not exist"):
        ready.check(made, made.stages)


@pytest.mark.parametrize("source", ["folder", "imglist"])
def test_doctor_tells_of_one_picture_under_two_classes_and_lets_it_start(tmp_path, monkeypatch, capsys, source):
    section = folder(tmp_path / "images", "tench", "goldfish")
    for index, name in enumerate(("tench/0.png", "tench/1.png", "goldfish/0.png", "goldfish/2.png")):
        (tmp_path / "images" / name).write_bytes(b"one picture" if index != 1 else b"another one")
    if source == "imglist":
        lines = "".join(f"{name}/{index}.png {label}\n" for label, name in enumerate(("goldfish", "tench")) for index in range(3))
        section = imglist(tmp_path / "list.txt", lines.encode(), root=str(tmp_path / "images"), classes=["goldfish", "tench"])
    made = dag(prepare__id=section)
    monkeypatch.setattr(doctor.contract, "load", lambda: made)
    assert doctor.experiment() == []
    pair = "goldfish/0.png and tench/0.png are one picture under two classes"
    assert f"warning: prepare.id: {pair}. Leave out" in capsys.readouterr().out
