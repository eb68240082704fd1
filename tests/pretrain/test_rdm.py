"""The RDM in its published layout, its averages, its training and its import."""

import argparse
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from killed_training import killed
from penumbra.artifacts.images import ImageWriter, encode
from penumbra.errors import PenumbraError
from penumbra.models.moco import MoCoEncoder
from penumbra.models.published import check_encoder
from penumbra.models.rdm import RDM, MovingAverage, SimpleMLP, load_published, rdm_state, shadow_name, timestep_embedding
from penumbra.pretrain import rdm
from penumbra.pretrain.rdm import build, main
from penumbra.schedules import linear_betas
from penumbra.stage import Params, Stage

SIZES = {"dimension": 6, "width": 16, "depth": 2, "time_width": 8, "timesteps": 50, "beta_start": 0.0015, "beta_end": 0.0195}
ENCODER = {"image_size": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2, "projection_hidden": 16, "projection": 6}
PARAMS = {
    "common": {"seed": 0},
    "pretrain": {
        "rdm": {name: value for name, value in SIZES.items() if name != "dimension"}
        | {"checkpoint": None, "epochs": 3, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01, "ema_decay": 0.9}
    },
}


def randomised(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize(("context", "parameters", "tensors"), [(None, 62_721_280, 130), (512, 72_176_896, 154)])
def test_full_size_networks_have_the_published_parameters(context, parameters, tensors):
    with torch.device("meta"):
        network = SimpleMLP(256, 1536, 12, 256, context)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors


def test_state_dict_is_that_of_the_published_checkpoint():
    names = set(RDM(**SIZES).state_dict())
    assert len(names) == 12 + 4 + 2 + 2 * 10 + 4
    assert {
        "betas",
        "posterior_mean_coef2",
        "model.diffusion_model.res_blocks.1.out_layers.3.bias",
        "model.diffusion_model.out.2.weight",
    } <= names
    conditional = RDM(**SIZES, context_width=4, classes=3)
    assert set(conditional.state_dict()) - names == {
        "cond_stage_model.embedding.weight",
        *(f"model.diffusion_model.res_blocks.{i}.context_layers.1.{kind}" for i in range(2) for kind in ("weight", "bias")),
    }
    assert {norm.eps for name, norm in conditional.named_modules() if isinstance(norm, nn.LayerNorm) and ".out.0" not in name} == {1e-5}
    assert conditional.model["diffusion_model"].out[0].eps == 1e-6


def test_steps_are_embedded_cosine_first():
    embedding = timestep_embedding(torch.tensor([0, 7]), 6)
    assert embedding[0].tolist() == [1, 1, 1, 0, 0, 0]
    expected = [f(7 * 10_000 ** (-j / 3)) for f in (math.cos, math.sin) for j in range(3)]
    assert embedding[1].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_fresh_network_predicts_zero_and_a_trained_one_sees_z_t_and_class():
    z, t = torch.randn(4, 6), torch.arange(4)
    assert not RDM(**SIZES)(z, t).any()
    network = randomised(RDM(**SIZES, context_width=4, classes=3))
    with torch.no_grad():
        outputs = [
            network(z, t, torch.zeros(4, dtype=torch.long)),
            network(z, t + 9, torch.zeros(4, dtype=torch.long)),
            network(z, t, t % 3),
        ]
    assert all(not torch.allclose(outputs[0][1:], other[1:]) for other in outputs[1:])


def test_the_network_is_the_published_one_written_out():
    network = randomised(SimpleMLP(6, 16, 2, 8, 4))
    z, t, context = torch.randn(3, 6), torch.tensor([0, 5, 49]), torch.randn(3, 4)

    def norm(x, layer, eps):
        centred = x - x.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + eps).sqrt() * layer.weight + layer.bias

    def silu(x):
        return x * torch.sigmoid(x)

    embedded = network.time_embed[2](silu(network.time_embed[0](timestep_embedding(t, 16))))
    y = network.input_proj(z)
    for block in network.res_blocks:
        h = block.in_layers[2](silu(norm(y, block.in_layers[0], 1e-5)))
        h = h + block.emb_layers[1](silu(embedded)) + block.context_layers[1](silu(context))
        y = y + block.out_layers[3](silu(norm(h, block.out_layers[0], 1e-5)))
    torch.testing.assert_close(network(z, t, context), network.out[2](silu(norm(y, network.out[0], 1e-6))))


def test_the_schedule_buffers_belong_together():
    """The posterior mean of a noisy sample, from its clean one, is the least-squares one (Ho et al. 2020, eq. 7)."""
    rdm = RDM(**SIZES).double()
    abar, betas = torch.cumprod(1 - linear_betas(50, 0.0015, 0.0195), 0), linear_betas(50, 0.0015, 0.0195)
    for t in (1, 30, 49):
        forward = 1 - betas[t]  # z_t = sqrt(forward) z_prev + sqrt(beta) n, and z_prev ~ N(sqrt(abar_prev) z0, 1 - abar_prev)
        precision = forward / betas[t] + 1 / (1 - abar[t - 1])
        values = {
            "alphas_cumprod": abar[t],
            "alphas_cumprod_prev": abar[t - 1],
            "posterior_variance": 1 / precision,
            "posterior_log_variance_clipped": -precision.log(),
            "posterior_mean_coef1": abar[t - 1].sqrt() / (1 - abar[t - 1]) / precision,
            "posterior_mean_coef2": forward.sqrt() / betas[t] / precision,
            "sqrt_recip_alphas_cumprod": abar[t] ** -0.5,
            "sqrt_recipm1_alphas_cumprod": ((1 - abar[t]) / abar[t]).sqrt(),
        }
        for name, value in values.items():
            torch.testing.assert_close(getattr(rdm, name)[t], value, rtol=1e-5, atol=1e-7)
    assert rdm.alphas_cumprod_prev[0] == 1


def test_the_average_warms_up_and_follows_the_published_rule():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = MovingAverage(module, 0.9999)
    expected = 0.0
    for update in range(1, 6):
        nn.init.constant_(module.weight, float(update))
        average.update(module)
        decay = min(0.9999, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update
        assert average.weight.item() == pytest.approx(expected, rel=1e-5)


def published_file(path, network, encoder=None, averages=True, **state):
    """A file as RCG's training script saves it; the live weights differ from the averaged ones."""
    live = network.state_dict()
    content = {name: value + (1.0 if name.startswith("model.") else 0.0) for name, value in live.items()}
    if averages:
        content |= {f"model_ema.{shadow_name(n.removeprefix('model.'))}": v for n, v in live.items() if n.startswith("model.")}
        content |= {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(5, dtype=torch.int32)}
    content |= {f"pretrained_encoder.{n}": v for n, v in (encoder or MoCoEncoder(**ENCODER)).state_dict().items()}
    content.setdefault("cond_stage_model.embedding.weight", torch.zeros(1, 512))
    saved = {"model": content | state, "model_ema": None, "optimizer": {}, "epoch": 1, "scaler": {}, "args": argparse.Namespace(lr=1e-4)}
    torch.save(saved, path)


def test_a_published_file_loads_strictly_with_its_averaged_weights(tmp_path):
    network = randomised(RDM(**SIZES))
    published_file(tmp_path / "rdm.pth", network)
    loaded = RDM(**SIZES)
    load_published(loaded, tmp_path / "rdm.pth")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())


def test_average_names_are_the_published_ones(tmp_path):
    published_file(tmp_path / "rdm.pth", RDM(**SIZES))
    names = torch.load(tmp_path / "rdm.pth", weights_only=False)["model"]
    assert "model_ema.diffusion_modelres_blocks0in_layers2weight" in names


def test_a_class_conditional_file_loads_with_its_embedding(tmp_path):
    network = randomised(RDM(**SIZES, context_width=4, classes=3))
    published_file(tmp_path / "rdm.pth", network)
    loaded = RDM(**SIZES, context_width=4, classes=3)
    load_published(loaded, tmp_path / "rdm.pth")
    assert torch.equal(loaded.cond_stage_model["embedding"].weight, network.cond_stage_model["embedding"].weight)
    with pytest.raises(PenumbraError, match="unknown.*context_layers"):
        load_published(RDM(**SIZES), tmp_path / "rdm.pth")


def test_live_weights_serve_where_a_file_has_no_averages(tmp_path):
    network = RDM(**SIZES)
    published_file(tmp_path / "rdm.pth", network, averages=False)
    name = "model.diffusion_model.out.2.bias"
    assert torch.equal(rdm_state(tmp_path / "rdm.pth")[name], network.state_dict()[name] + 1)


def test_a_missing_average_or_another_schedule_is_named(tmp_path):
    published_file(tmp_path / "rdm.pth", RDM(**SIZES))
    content = torch.load(tmp_path / "rdm.pth", weights_only=False)
    del content["model"]["model_ema.diffusion_modelout2bias"]
    torch.save(content, tmp_path / "broken.pth")
    with pytest.raises(PenumbraError, match=r"average of model\.diffusion_model\.out\.2\.bias is missing"):
        load_published(RDM(**SIZES), tmp_path / "broken.pth")
    with pytest.raises(PenumbraError, match="another noise schedule"):
        load_published(RDM(**SIZES | {"beta_end": 0.03}), tmp_path / "rdm.pth")


def test_an_rdm_of_another_encoder_is_refused(tmp_path):
    encoder = MoCoEncoder(**ENCODER)
    published_file(tmp_path / "rdm.pth", RDM(**SIZES), encoder)
    check_encoder(encoder, tmp_path / "rdm.pth")
    with pytest.raises(PenumbraError, match="was trained on another encoder"):
        check_encoder(MoCoEncoder(**ENCODER), tmp_path / "rdm.pth")
    statistics = next(buffer for name, buffer in encoder.named_buffers() if name.endswith("running_mean"))
    statistics += 1
    with pytest.raises(PenumbraError, match="was trained on another encoder"):
        check_encoder(encoder, tmp_path / "rdm.pth")
    statistics -= 1
    with pytest.raises(PenumbraError, match="does not fit MoCoEncoder"):
        check_encoder(MoCoEncoder(**ENCODER | {"width": 32}), tmp_path / "rdm.pth")


@pytest.fixture
def stage(tmp_path):
    draws = np.random.default_rng(0)
    reads = {name: tmp_path / f"{name}.parquet" for name in ("images/train", "images/val", "images/world")}
    for path in reads.values():
        path.parent.mkdir(exist_ok=True)
        with ImageWriter(path, {}, {}) as writer:
            for _ in range(20):
                writer.add(encode(draws.integers(0, 256, (8, 8, 3), np.uint8)))
    torch.manual_seed(0)
    MoCoEncoder(**ENCODER).eval().save_pretrained(tmp_path / "encoder")
    return Stage(
        "pretrain",
        "rdm",
        Params(PARAMS),
        {},
        reads | {"models/encoder": tmp_path / "encoder"},
        {"models/rdm": tmp_path / "rdm"},
        tmp_path / "scratch",
    )


def test_training_lowers_the_validation_loss_and_leaves_averaged_weights(stage):
    main(stage)
    rows = (stage.write() / "history.csv").read_text().splitlines()
    assert rows[0] == "epoch,loss,val_loss,steps"
    assert float(rows[-1].split(",")[2]) < float(rows[1].split(",")[2])
    assert json.loads((stage.write() / "config.json").read_text())["penumbra"]["stage"] == "pretrain@rdm"
    assert RDM.from_pretrained(stage.write())(torch.randn(2, 6), torch.tensor([3, 4])).isfinite().all()


def test_the_saved_weights_are_the_averaged_ones(stage, monkeypatch):
    """A decay of one keeps the first weights, whose last layer is zero; a decay of zero follows training."""
    from penumbra.pretrain import rdm

    for decay, trained in ((1.0, False), (0.0, True)):
        monkeypatch.setattr(rdm, "MovingAverage", lambda module, _, decay=decay: Constant(module, decay))
        main(stage)
        saved = RDM.from_pretrained(stage.write())
        assert saved.model["diffusion_model"].out[2].weight.any().item() is trained
        shutil.rmtree(stage.write())


class Constant(MovingAverage):
    """An average without warm-up."""

    def update(self, module):
        for name, parameter in module.named_parameters():
            getattr(self, shadow_name(name)).lerp_(parameter.detach(), 1 - self.decay.item())


def test_a_killed_training_resumes_to_the_same_bytes(stage, tmp_path, monkeypatch):
    main(stage)
    expected = {path.name: path.read_bytes() for path in stage.write().iterdir()}
    killed(monkeypatch, rdm, "train_epoch", 2, lambda: main(stage))
    assert (stage.scratch / "training.pt").exists()
    main(stage)
    assert {path.name: path.read_bytes() for path in stage.write().iterdir()} == expected


def test_import_writes_the_published_weights_and_no_history(stage, tmp_path):
    network = randomised(build(stage.params.pretrain.rdm, 6))
    published_file(tmp_path / "rdm.pth", network, MoCoEncoder.from_pretrained(stage.read("models/encoder")))
    section = PARAMS["pretrain"]["rdm"] | {"checkpoint": str(tmp_path / "rdm.pth")}
    stage = replace(stage, params=Params(PARAMS | {"pretrain": {"rdm": section}}))
    main(stage)
    assert sorted(path.name for path in stage.write().iterdir()) == ["config.json", "model.safetensors"]
    loaded = RDM.from_pretrained(stage.write()).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())
