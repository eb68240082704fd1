"""A detector as one graph: what it says on real pictures is what predict says, and it opens where there is no Penumbra."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from asked_repository import CLASSES, SIZE
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

import penumbra
from penumbra.artifacts.outputs import Outputs
from penumbra.calibrators import CALIBRATORS, fit
from penumbra.errors import PenumbraError
from penumbra.models.classifiers.detector import ClassifierDetector
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.classifiers.representation import Perceptron, RepresentationDetector
from penumbra.models.clip import Clip, CLIPImageProcessor
from penumbra.models.moco import MoCoEncoder
from penumbra.predict import export, program
from penumbra.predict.asked import scaled
from penumbra.predict.detector import TrainedDetector, opened
from penumbra.predict.graph import OUTPUTS, Graph, Shown, probability
from penumbra.predict.pictures import prepared

KINDS = ("none", "clip")
HEADLINE = {"none": "vim", "clip": "neglabel"}
EXACT = 1e-5
ALONE = "import sys; sys.modules['penumbra'] = None; sys.modules['transformers'] = None\n"  # as where neither is installed


@pytest.fixture(scope="module")
def exported(root, tmp_path_factory) -> dict[str, Path]:
    """Both detectors with both graphs; read-only by convention."""
    folder = tmp_path_factory.mktemp("graphs")
    for name in KINDS:
        export.export(str(root / "data/detectors" / name), folder / name, onnx=True, torch=True)
    return {name: folder / name for name in KINDS}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Photographs as a camera leaves them, patches of them, and scanned digits."""
    folder = tmp_path_factory.mktemp("pictures")
    photos = load_sample_images().images
    digits = [np.repeat((16 * image).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2) for image in load_digits().images[:6]]
    patches = [photo[at : at + 90, at : at + 120] for photo in photos for at in (0, 130, 260)]
    for index, pixels in enumerate([*photos, *patches, *digits]):
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    sideways = Image.Exif()
    sideways[0x0112] = 6
    Image.fromarray(photos[0]).save(folder / "turned.jpg", exif=sideways)
    return sorted(folder.iterdir())


def pixels_of(files: list[Path], size: int) -> np.ndarray:
    return np.stack([pixels for _, pixels in prepared(files, size)])


def agree(found: dict[str, np.ndarray], answers: pd.DataFrame) -> None:
    np.testing.assert_allclose(found["score"], answers.score, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(found["p_ood"], answers.p_ood, rtol=EXACT, atol=EXACT)
    assert [CLASSES[label] for label in found["probabilities"].argmax(1)] == answers.predicted.tolist()
    np.testing.assert_allclose(found["probabilities"].sum(1), 1)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("count", [1, 2, 15])
def test_onnx_says_what_predict_says(exported, files, name, count):
    session = onnxruntime.InferenceSession(exported[name] / "detector.onnx")
    pixels = pixels_of(files[:count], SIZE)
    found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"images": pixels}), strict=True))
    agree(found, penumbra.load_detector(exported[name]).predict(files[:count]))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("count", [1, 15])
def test_the_program_of_torch_says_what_predict_says(exported, files, name, count):
    found = torch.export.load(exported[name] / "detector.pt2").module()(torch.from_numpy(pixels_of(files[:count], SIZE)))
    agree({key: value.numpy() for key, value in found.items()}, penumbra.load_detector(exported[name]).predict(files[:count]))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("file", ["detector.onnx", "detector.pt2"])
def test_the_code_of_the_card_works_without_penumbra(exported, files, name, file, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (exported[name] / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    opening, asking = (next(block for block in blocks if word in block) for word in ("def square", file))
    listed = json.dumps([str(path) for path in files])
    code = opening.replace('["a.png", "b.jpg"]', listed) + asking.replace(file, str(exported[name] / file))
    (tmp_path / "card.py").write_text(f"{ALONE}{code}\nnp.savez('answers.npz', score=score, p_ood=p_ood, probabilities=probabilities)")
    subprocess.run([sys.executable, "card.py"], cwd=tmp_path, check=True, capture_output=True)
    with np.load(tmp_path / "answers.npz") as found:
        agree(dict(found), penumbra.load_detector(exported[name]).predict(files))


@pytest.mark.parametrize("name", KINDS)
def test_a_graph_says_what_it_is(exported, name):
    model = onnx.load(exported[name] / "detector.onnx")
    onnx.checker.check_model(model)
    said = {entry.key: entry.value for entry in model.metadata_props}
    extra = {"penumbra.json": ""}
    torch.export.load(exported[name] / "detector.pt2", extra_files=extra)
    config = json.loads((exported[name] / "config.json").read_text())
    for told in (said, json.loads(extra["penumbra.json"])):
        assert told["name"] == name and told["score"] == HEADLINE[name]
        thresholds, classes = (told[key] if isinstance(told[key], str) else json.dumps(told[key]) for key in ("thresholds", "classes"))
        assert json.loads(thresholds) == config["thresholds"] and json.loads(classes) == CLASSES
    source = str(Path(penumbra.__file__).parent).encode()
    for file in ("detector.onnx", "detector.pt2"):
        assert source not in (exported[name] / file).read_bytes() and file in config["files"]
    assert [value.name for value in model.graph.input] == ["images"] and [value.name for value in model.graph.output] == list(OUTPUTS)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param  # any number of images


@pytest.mark.parametrize("name", CALIBRATORS)
def test_every_calibrator_is_the_same_in_torch(name):
    draws = np.random.default_rng(0)
    odds = np.concatenate([draws.normal(-3, 2, 60), draws.normal(2, 4, 60)])
    calibrator = fit(name, odds, np.repeat([False, True], 60))
    asked = np.concatenate([np.linspace(-60, 60, 301), odds])
    found = probability(calibrator, torch.from_numpy(asked)).numpy()
    np.testing.assert_allclose(found, calibrator.probability(asked), rtol=1e-9, atol=1e-12)


class Seen:
    """As much of a CLIP model as says how images enter."""

    name, pixels = "seen", Clip.pixels

    def __init__(self, **settings):
        self.processor = CLIPImageProcessor(**settings)


@pytest.mark.parametrize(("size", "target", "cropped"), [(32, 224, 224), (64, 48, 41), (224, 32, 32), (100, 97, 96), (24, 24, 20)])
@pytest.mark.parametrize("resample", [2, 3])
def test_the_graph_resizes_8_bit_images_as_clip_does(size, target, cropped, resample):
    clip = Seen(size={"shortest_edge": target}, crop_size={"height": cropped, "width": cropped}, resample=resample)
    images = torch.randint(256, (6, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images[0], images[1] = 0, 255
    assert torch.allclose(Shown(clip, size)(images), clip.pixels(scaled(images)), atol=2e-6)  # an 8-bit step is 1e-2


def test_preprocessing_that_no_graph_does_is_refused():
    with pytest.raises(PenumbraError, match="seen/preprocessor_config.json: asks for what no graph of ours does"):
        Shown(Seen(size={"shortest_edge": 48}, resample=1), 32)


def of_a_library() -> ClassifierDetector:
    """One of torchvision's, which resizes its images itself."""
    return ClassifierDetector.of(LibraryClassifier.create("torchvision/resnet18", len(CLASSES), 40), phi_hidden=None)


def of_an_encoder() -> RepresentationDetector:
    """It resizes its images in another way."""
    encoder = MoCoEncoder(image_size=8, patch_size=4, width=16, depth=1, heads=2, projection_hidden=16, projection=6)
    return RepresentationDetector.of(encoder, Perceptron(6, 10, 2, len(CLASSES), phi_hidden=4, phi_monotone=True))


@pytest.mark.parametrize("network", [of_a_library, of_an_encoder])
def test_another_network_becomes_a_graph_too(root, tmp_path, network):
    made_of = opened(root / "data/detectors/none")
    for seed in made_of.networks:
        torch.manual_seed(seed)
        network().save_pretrained(tmp_path / f"seed-{seed}")
        made_of.networks[seed] = tmp_path / f"seed-{seed}"
    detector = TrainedDetector(made_of, torch.device("cpu"))
    detector.score = "energy"  # the bank is of the network that was there before
    assert program.write_onnx(tmp_path / "a.onnx", detector, program.program(detector)) < EXACT


def test_a_score_that_learns_from_the_bank_becomes_a_graph_too(root, files):
    detector = TrainedDetector(opened(root / "data/detectors/none"), torch.device("cpu"))
    detector.score = "knn"
    made = program.program(detector).module()(torch.from_numpy(pixels_of(files, SIZE)))
    agree({key: value.numpy() for key, value in made.items()}, detector.predict(files))


def test_what_cannot_be_followed_is_said(root, monkeypatch):
    detector = TrainedDetector(opened(root / "data/detectors/none"), torch.device("cpu"))
    monkeypatch.setattr(type(detector.scorers[0].score("vim")), "__call__", lambda self, outputs: outputs.logits.sum().item())
    with pytest.raises(PenumbraError, match=r"detector none: torch.export cannot follow its network, or its score vim \("):
        program.program(detector)


def test_a_graph_that_says_something_else_is_not_kept(root, monkeypatch, tmp_path):
    def louder(self: Graph, images: torch.Tensor) -> list[Outputs]:
        return [Outputs(1.01 * found.logits + 0.1, found.features) for found in honest(self, images)]

    honest = Graph._outputs
    monkeypatch.setattr(Graph, "_outputs", louder)
    detector = TrainedDetector(opened(root / "data/detectors/none"), torch.device("cpu"))
    with pytest.raises(PenumbraError, match=r"the graph of --torch says something else than Penumbra \(difference "):
        program.write_torch(tmp_path / "a.pt2", detector, program.program(detector))
