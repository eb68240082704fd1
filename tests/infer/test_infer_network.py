"""infer of a network on real files: one pass for each image, the same bytes whole and in parts, failures named."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from image_files import noise, write_image_files
from penumbra.artifacts.images import read_pixels, read_provenance
from penumbra.artifacts.outputs import FILES, KEYS, read_keys, read_pass, saved_passes
from penumbra.artifacts.tensors import read_content
from penumbra.errors import PenumbraError
from penumbra.infer import network
from penumbra.models.resnet import Detector
from penumbra.stage import Params, Stage

SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3, "phi_hidden": 4}
COUNTS = {"train": 12, "val": 8, "calibration": 9, "test": 7, "ood": 5, "shifted": 6}


@pytest.fixture
def stage(tmp_path):
    write_image_files(tmp_path / "images", COUNTS, noise(16))
    for seed in (10, 2):
        torch.manual_seed(seed)
        Detector(**SIZES).save_pretrained(tmp_path / f"detectors/none/seed-{seed}")
    reads = {"images": tmp_path / "images", "detectors/none": tmp_path / "detectors/none"}
    params = Params({"common": {"kernels": "native"}})
    return Stage("infer", "none", params, {"torch": "2"}, reads, {"outputs/none": tmp_path / "outputs/none"}, tmp_path / "scratch")


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_file_for_each_seed_from_one_pass_of_each_image(stage, monkeypatch):
    passed, forward = [], Detector.forward_with_features

    def count(self, images):
        passed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Detector, "forward_with_features", count)
    network.main(stage)
    assert sum(passed) == 2 * sum(COUNTS.values())
    assert list(files(stage.write())) == ["images.parquet", "seed-10.safetensors", "seed-2.safetensors"]
    assert list(saved_passes(stage.write())) == [2, 10]
    assert not stage.scratch_root.joinpath(stage.name).exists()


def test_outputs_are_those_of_the_network_and_its_last_layer_joins_them(stage):
    network.main(stage)
    found = read_pass(saved_passes(stage.write())[10])
    detector = Detector.from_pretrained(stage.read("detectors") / "seed-10")
    assert found.kind == "network" and found.mcm_temperature is None and list(found.outputs) == list(FILES)
    for name, count in COUNTS.items():
        pixels = torch.from_numpy(read_pixels(stage.read("images") / f"{name}.parquet")).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            logits, features = detector.forward_with_features(pixels)
        outputs = found.outputs[name]
        assert outputs.logits.shape == (count, 3) and outputs.logits.dtype == outputs.features.dtype == torch.float32
        assert outputs.concepts is None and outputs.log_odds is None
        torch.testing.assert_close(outputs.logits, logits)
        torch.testing.assert_close(outputs.features, features)
        torch.testing.assert_close(outputs.features @ found.weight.T + found.bias, outputs.logits)


def test_statistics_of_layers_are_kept_where_they_are_asked_for_from_the_same_passes(stage, tmp_path, monkeypatch):
    network.main(stage)
    asked = replace(stage, params=stage.params.beside(infer={"layers": [1, 3], "powers": 2}), writes={"outputs/none": tmp_path / "asked"})
    passed, forward = [], Detector.forward_with_features
    monkeypatch.setattr(Detector, "forward_with_features", lambda self, images: passed.append(len(images)) or forward(self, images))
    network.main(asked)
    assert sum(passed) == 2 * sum(COUNTS.values())
    plain, found = (read_pass(saved_passes(each.write())[2]) for each in (stage, asked))
    for name, count in COUNTS.items():
        one, other = plain.outputs[name], found.outputs[name]
        assert torch.equal(one.logits, other.logits) and torch.equal(one.features, other.features)
        assert one.beside == {} and one.kept == set() and other.kept == {"means", "gram"} and (one.powers, other.powers) == (0, 2)
        assert {layer: tuple(means.shape) for layer, means in other.of_layers("means").items()} == {1: (count, 16), 3: (count, 64)}
        assert {layer: tuple(gram.shape) for layer, gram in other.of_layers("gram").items()} == {1: (count, 2, 16), 3: (count, 2, 64)}
        torch.testing.assert_close(other.of_layers("means")[3], other.features.double())  # of the last layer they are the features
    assert read_content(saved_passes(asked.write())[2])["provenance"]["params"]["infer"] == {"layers": [1, 3], "powers": 2}


def test_rows_say_which_image_they_are_of_and_files_how_they_were_made(stage):
    network.main(stage)
    keys = read_keys(stage.write() / "images.parquet")
    assert list(keys) == list(FILES)
    for name in FILES:
        assert keys[name].to_pylist() == pq.read_table(stage.read("images") / f"{name}.parquet", columns=list(KEYS)).to_pylist()
    assert read_content(stage.write() / "seed-2.safetensors")["provenance"] == stage.provenance
    assert read_provenance(stage.write() / "images.parquet") == stage.provenance


def test_whole_and_in_parts_it_gives_the_same_bytes(stage, tmp_path):
    network.main(stage)
    parts = replace(stage, writes={"outputs/none": tmp_path / "parts"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        network.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    network.main(parts)
    assert files(parts.write()) == files(stage.write())


def test_a_killed_run_goes_on_with_the_seed_that_it_lacks(stage, monkeypatch):
    network.main(replace(stage, part=(0, 2)))
    opened, load = [], Detector.from_pretrained.__func__
    monkeypatch.setattr(Detector, "from_pretrained", classmethod(lambda cls, path: opened.append(path.name) or load(cls, path)))
    network.main(stage)
    assert opened == ["seed-10"] and len(saved_passes(stage.write())) == 2


def test_an_output_that_is_not_a_number_names_detector_seed_and_image(stage):
    weights = stage.read("detectors") / "seed-2/model.safetensors"
    state = load_file(weights)
    state["fc.bias"][1] = float("nan")
    save_file(state, weights)
    with pytest.raises(PenumbraError, match=r"detector none/seed-2: output for image train/000000 is NaN or infinite \(12 of 12 images\)"):
        network.main(stage)


def test_a_folder_without_outputs_and_a_file_that_is_none_are_named(stage, tmp_path):
    with pytest.raises(PenumbraError, match="empty: holds no seed-"):
        saved_passes(tmp_path / "empty")
    network.main(stage)
    path = saved_passes(stage.write())[2]
    tensors = load_file(path)
    save_file({name: values for name, values in tensors.items() if not name.startswith("ood/")}, path, {"penumbra": "{}"})
    with pytest.raises(PenumbraError, match=r"seed-2.safetensors: does not hold what a detector says of train, .*, ood"):
        read_pass(path)
