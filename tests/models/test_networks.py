"""MoCo-v3, VQGAN and MAGE have the published layouts, and MAGE decodes as published."""

import math

import pytest
import torch
import torch.nn.functional as F

from penumbra.models.mage import MAGE, masked_after
from penumbra.models.moco import MoCoEncoder, standardise
from penumbra.models.vit import Attention, sincos_position_embedding
from penumbra.models.vqgan import VQGAN, ResnetBlock
from penumbra.noise import SampleNoise

PUBLISHED = {"width": 128, "multipliers": [1, 1, 2, 2, 4], "codes": 1024, "code_width": 256}
SMALL = {"width": 8, "multipliers": [1, 2], "codes": 20, "code_width": 4}


@pytest.fixture
def mage() -> MAGE:
    torch.manual_seed(0)
    return MAGE(8, 4, 6, 16, 1, 2, 16, 1, 2, 0.1, SMALL).eval()


@pytest.mark.parametrize(("width", "depth", "heads", "keys", "millions"), [(768, 12, 12, 166, 106.787), (1024, 24, 16, 310, 325.338)])
def test_published_encoders_have_their_tensors(width, depth, heads, keys, millions):
    with torch.device("meta"):
        encoder = MoCoEncoder(224, 16, width, depth, heads, 4096, 256)
    assert len(encoder.state_dict()) == keys
    assert round(sum(parameter.numel() for parameter in encoder.parameters()) / 1e6, 3) == millions
    assert [name for name in encoder.state_dict() if name.startswith("head.7")] == [
        "head.7.running_mean",
        "head.7.running_var",
        "head.7.num_batches_tracked",
    ]


@pytest.mark.parametrize(("width", "depth", "heads", "own", "millions"), [(768, 12, 12, 268, 146.67), (1024, 24, 16, 412, 410.16)])
def test_published_mages_have_their_tensors(width, depth, heads, own, millions):
    with torch.device("meta"):
        mage = MAGE(256, 16, 256, width, depth, heads, width, 8, 16, 0.1, PUBLISHED)
        encoder = MoCoEncoder(224, 16, width, depth, heads, 4096, 256)
    assert len([name for name in mage.state_dict() if not name.startswith("vqgan.")]) == own
    assert len(mage.state_dict()) + len(encoder.state_dict()) == {268: 602, 412: 890}[own]
    assert abs(sum(p.numel() for n, p in mage.named_parameters() if not n.startswith("vqgan.")) / 1e6 - millions) < 0.01
    assert mage.mask_id == 2024 and mage.tokens == 256


def test_published_tokenizer_has_its_tensors():
    with torch.device("meta"):
        state = VQGAN(**PUBLISHED).state_dict()
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (168, 54_515_587)
    quirks = [name for name in state if "nin_shortcut" in name]
    changing = ("encoder.down.2", "encoder.down.4", "decoder.up.1", "decoder.up.3")
    assert quirks == [f"{part}.block.0.nin_shortcut.weight" for part in changing]
    assert all(state[name].shape[0] == state[name].shape[1] for name in quirks)


def test_position_embedding_holds_row_then_column():
    embedding = sincos_position_embedding(3, 8)
    row, column = 2, 1
    expected = [f(x * 10000 ** (-j / 2)) for x in (row, column) for f in (math.sin, math.cos) for j in range(2)]
    torch.testing.assert_close(embedding[0, 1 + row * 3 + column], torch.tensor(expected))
    assert not embedding[0, 0].any()


def test_attention_equals_its_definition():
    attention, x = Attention(8, 2), torch.randn(2, 5, 8)
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    mixed = (q @ k.transpose(-1, -2) * 4**-0.5).softmax(-1) @ v
    torch.testing.assert_close(attention(x), attention.proj(mixed.transpose(1, 2).flatten(2)))


def test_representation_is_standardised_per_sample():
    z = standardise(3 + 5 * torch.randn(4, 256))
    torch.testing.assert_close(z.norm(dim=1), torch.full((4,), math.sqrt(255)))
    torch.testing.assert_close(z.mean(1), torch.zeros(4), atol=1e-6, rtol=0)


def test_block_that_changes_channels_has_no_skip_from_its_input():
    block = ResnetBlock(8, 16)
    with torch.no_grad():
        block.conv2.weight.zero_()
    assert not block(torch.randn(1, 8, 4, 4)).any()


def test_schedule_leaves_the_published_numbers_of_tokens_masked():
    unknown, left = torch.tensor([256]), []
    for step in range(20):
        unknown = masked_after(step, 20, 256, unknown)
        left.append(int(unknown))
    assert left == [255, 252, 248, 243, 236, 228, 218, 207, 194, 181, 166, 150, 133, 116, 97, 79, 59, 40, 20, 1]


def test_dropped_tokens_reach_the_decoder_as_masked_ones(mage):
    z, ids = torch.randn(2, 6), torch.randint(0, 20, (2, 16))
    ids[:, ::2] = mage.mask_id
    everything = torch.arange(16).expand(2, -1)
    torch.testing.assert_close(mage(ids, z), mage(ids, z, everything))
    assert not torch.allclose(mage(ids, z), mage(ids, z, everything[:, 1::2]))


def test_an_image_does_not_depend_on_its_batch(mage):
    z = torch.randn(3, 6)
    together = mage.generate(z, SampleNoise(0, "test", ["a", "b", "c"]), 6, 2.0, 1.0)
    alone = mage.generate(z[1:2], SampleNoise(0, "test", ["b"]), 6, 2.0, 1.0)
    torch.testing.assert_close(together[1:2], alone)
    assert together.shape == (3, 3, 8, 8) and together.min() >= 0 and together.max() <= 1


def test_guidance_with_the_null_representation_changes_nothing(mage):
    z = mage.fake_latent.detach().repeat(2, 1)
    images = [mage.generate(z, SampleNoise(0, "test", ["a", "b"]), 4, 2.0, guidance) for guidance in (0.0, 3.0)]
    torch.testing.assert_close(*images)


def published_decoding(mage: MAGE, z: torch.Tensor, noise: SampleNoise, steps: int, temperature: float, guidance: float) -> torch.Tensor:
    """Tokens [1, T] of one sample by the official `gen_image`, line by line: ramped guidance, cut-off of the sorted confidences."""
    tokens = mage.tokens
    ids = torch.full((1, tokens), mage.mask_id)
    for step in range(steps):
        ratio = (step + 1) / steps
        conditional, null = mage(ids, z), mage(ids, mage.fake_latent)
        probability = (conditional + guidance * ratio * (conditional - null)).softmax(-1)[0]
        drawn = (probability.log() + noise.gumbel(tokens, mage.codes)[0]).argmax(-1)
        known = ids[0] != mage.mask_id
        sampled = torch.where(known, ids[0], drawn)
        confidence = probability[range(tokens), sampled].log() + temperature * (1 - ratio) * noise.gumbel(tokens)[0]
        confidence[known] = math.inf
        masked = max(1, min(int((~known).sum()) - 1, math.floor(tokens * math.cos(math.pi / 2 * ratio))))
        cut_off = confidence.sort().values[masked - 1]
        ids = torch.where(confidence <= cut_off, mage.mask_id, sampled)[None]
    return sampled[None]


@pytest.mark.parametrize(("temperature", "guidance"), [(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)])
def test_decoding_is_the_published_one(mage, monkeypatch, temperature, guidance):
    torch.nn.init.normal_(mage.token_emb.word_embeddings.weight)  # fresh embeddings make all codes equally likely
    torch.nn.init.normal_(mage.latent_prior_proj.weight)
    decoded = []
    monkeypatch.setattr(mage.vqgan, "decode", decoded.append)
    z, ids = torch.randn(8, 6), list("abcdefgh")
    mage.generate(z, SampleNoise(0, "test", ids), 6, temperature, guidance)
    with torch.no_grad():
        rows = [
            published_decoding(mage, row[None], SampleNoise(0, "test", [i]), 6, temperature, guidance)
            for row, i in zip(z, ids, strict=True)
        ]
    assert torch.equal(decoded[0], torch.cat(rows))


def test_the_representation_is_slot_0_and_stands_for_unknown_tokens(mage):
    """Its projection replaces slot 0 after embedding and norm; the decoder reads slot 0 wherever a token is unknown."""
    mage.blocks = torch.nn.ModuleList()
    seen = []
    mage.decoder_blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    z, ids = torch.randn(2, 6), torch.randint(0, 20, (2, 16))
    ids[:, 3:9] = mage.mask_id
    mage(ids, z)
    decoded = seen[0] - mage.decoder_pos_embed_learned
    condition = mage.decoder_embed(mage.norm(mage.latent_prior_proj(z)))
    for position in (0, *range(4, 10)):
        torch.testing.assert_close(decoded[:, position], condition)
    words, places = mage.token_emb.word_embeddings.weight, mage.token_emb.position_embeddings.weight
    token = mage.decoder_embed(mage.norm(mage.token_emb.LayerNorm(words[ids[:, 0]] + places[1])))
    torch.testing.assert_close(decoded[:, 1], token)


def test_logits_are_tied_to_the_word_embeddings_without_their_gradient(mage):
    seen = []
    mage.decoder_norm.register_forward_hook(lambda norm, inputs, output: seen.append(output))
    logits = mage(torch.full((2, 16), mage.mask_id), torch.randn(2, 6))
    head, words = mage.mlm_layer, mage.token_emb.word_embeddings.weight
    hidden = F.layer_norm(F.gelu(head.fc(seen[0])), (16,), head.ln.weight, head.ln.bias, 1e-5)
    torch.testing.assert_close(logits, (hidden @ words.T + head.bias)[:, 1:, :20])
    (gradient,) = torch.autograd.grad(logits.sum(), words)
    assert not gradient[:20].any()  # the inputs are masks: codes could learn through the tie alone


def test_representation_is_normalised_then_resized_without_antialiasing():
    torch.manual_seed(0)
    encoder, images = MoCoEncoder(8, 4, 16, 1, 2, 16, 6).eval(), torch.rand(2, 3, 20, 20)
    mean, std = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    resized = F.interpolate((images - mean) / std, (8, 8), mode="bicubic", align_corners=False, antialias=False)
    output = encoder.head(encoder.norm(_tokens(encoder, resized))[:, 0])
    expected = (output - output.mean(1, keepdim=True)) / output.var(1, keepdim=True, correction=1).sqrt()
    torch.testing.assert_close(encoder.represent(images), expected)


def _tokens(encoder: MoCoEncoder, images: torch.Tensor) -> torch.Tensor:
    """Tokens of one pre-norm block, written out."""
    block = encoder.blocks[0]
    x = torch.cat([encoder.cls_token.expand(len(images), -1, -1), encoder.patch_embed(images)], 1) + encoder.pos_embed
    x = x + block.attn(F.layer_norm(x, (16,), block.norm1.weight, block.norm1.bias, 1e-6))
    hidden = block.mlp.fc1(F.layer_norm(x, (16,), block.norm2.weight, block.norm2.bias, 1e-6))
    return x + block.mlp.fc2(hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))))


def test_nearest_code_is_the_nearest_and_tokens_run_row_by_row():
    torch.manual_seed(0)
    vqgan = VQGAN(**SMALL)
    torch.nn.init.normal_(vqgan.codebook)
    latents = torch.randn(2, 4, 3, 3)
    distances = (latents[:, None] - vqgan.codebook[None, :, :, None, None]).norm(dim=2)
    assert torch.equal(vqgan.nearest(latents), distances.argmin(1))
    ids = torch.arange(9).reshape(1, 9)
    vqgan.decoder = torch.nn.Identity()
    torch.testing.assert_close(vqgan.decode(ids)[0, :, 1, 2], vqgan.codebook[5].clamp(0, 1))


def _norm_swish(x: torch.Tensor, norm: torch.nn.GroupNorm) -> torch.Tensor:
    x = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, 1e-6)
    return x * torch.sigmoid(x)


def _block(x: torch.Tensor, block: ResnetBlock) -> torch.Tensor:
    h = F.conv2d(_norm_swish(x, block.norm1), block.conv1.weight, padding=1)
    h = F.conv2d(_norm_swish(h, block.norm2), block.conv2.weight, padding=1)
    return x + h if x.shape == h.shape else h + F.conv2d(h, block.nin_shortcut.weight)


def test_tokenizer_is_the_published_one_written_out():
    torch.manual_seed(0)
    vqgan, images = VQGAN(8, [1, 2, 2], 20, 4), torch.rand(2, 3, 8, 8)
    encoder, decoder = vqgan.encoder, vqgan.decoder
    x = F.conv2d(images, encoder.conv_in.weight, padding=1)
    for index, level in enumerate(encoder.down):
        x = x if index == 0 else x.unflatten(3, (-1, 2)).mean(4).unflatten(2, (-1, 2)).mean(3)
        x = _block(_block(x, level.block[0]), level.block[1])
    x = _block(_block(x, encoder.mid.block_1), encoder.mid.block_2)
    latents = encoder.conv_out(_norm_swish(x, encoder.norm_out))
    torch.testing.assert_close(encoder(images), latents)
    x = decoder.conv_in(latents)
    x = _block(_block(x, decoder.mid.block_1), decoder.mid.block_2)
    for index in (2, 1, 0):
        x = _block(_block(x, decoder.up[index].block[0]), decoder.up[index].block[1])
        if index:
            x = decoder.up[index].upsample["conv"](x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(decoder(latents), decoder.conv_out(_norm_swish(x, decoder.norm_out)))
