"""extract@negatives: text features of the ID labels and of the negative labels that are mined for them (NegLabel)."""

import re
import sys
from collections.abc import Sequence
from hashlib import blake2b

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penumbra import blocks
from penumbra.artifacts.captions import concepts
from penumbra.artifacts.negatives import Negative, TextFeatures, write_negatives
from penumbra.artifacts.vocabulary import captions, lines
from penumbra.extract.mining import candidates, closeness, mined, wordnet
from penumbra.models.clip import Clip
from penumbra.runtime import setup
from penumbra.stage import Params, Stage

BLOCK = 2048  # texts in a block of work
NUMBER = re.compile(r"n?\d+")  # the label of an image list, the number of a WordNet class


def embedded(stage: Stage, clip: Clip, texts: Sequence[str]) -> dict[str, Tensor]:
    """Text -> raw features [D] on the CPU; each text goes through the encoder once."""
    texts = list(dict.fromkeys(texts))
    parts = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
    found = {f"texts-{_digest(part)}.safetensors": part for part in parts}  # a word file may change between two runs
    paths = blocks.made(stage, found, lambda: lambda path, part: save_file({"features": clip.embed_texts(part).cpu()}, path))
    return dict(zip(texts, torch.cat([load_file(path)["features"] for path in paths]), strict=True))


def _digest(texts: Sequence[str]) -> str:
    return blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


def _candidates(stage: Stage, p: Params, names: list[str]) -> list[tuple[str, str]]:
    key = "extract.negatives.neglabel.path"
    if p.vocabulary == "wordnet":
        return candidates(wordnet(p.path, key), names, p.path)
    if p.vocabulary == "file":
        return candidates(dict.fromkeys(lines(p.path, key), "noun"), names, p.path)
    worlds = stage.read("images/world"), stage.read("images/clip_world")
    return candidates(dict.fromkeys((word for world in worlds for word in captions(world)), "noun"), names, str(worlds[0]))


def _warn_of_numbers(stage: Stage, names: list[str]) -> None:
    """A text encoder makes something of any prompt, so nothing else would tell that names are missing."""
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    if numbers:
        print(
            f"warning: {stage.name}: {len(numbers)} of {len(names)} ID classes have a number for a name ({numbers[0]}), which says "
            "nothing to a text encoder. Name the classes of an image list in prepare.id.classes, by label; rename folders.",
            file=sys.stderr,
        )


def main(stage: Stage) -> None:
    """Write data/features/negatives.safetensors (see `artifacts.negatives.TextFeatures`)."""
    if stage.part is not None:
        return  # the quantiles need all texts
    p, names = stage.params.extract.negatives, concepts(stage.read("images/train"))
    _warn_of_numbers(stage, names)
    words = _candidates(stage, p, names)
    clip = Clip.load(stage.read("models/clip"), setup())
    prompts = {"noun": p.noun_prompt, "adjective": p.adjective_prompt}
    asked = [prompts[kind].replace("{}", word) for word, kind in words]
    labels, mcm = ([prompt.replace("{}", name) for name in names] for prompt in (p.id_prompt, p.mcm_prompt))
    found = embedded(stage, clip, [*labels, *mcm, *asked])

    def features(texts: Sequence[str]) -> Tensor:
        return torch.stack([found[text] for text in texts])

    near = closeness(features(asked), features(labels), p.quantile).tolist()
    rows = mined(words, near, p.share)
    negatives = [Negative(words[row][0], asked[row], words[row][1], near[row]) for row in rows]
    made = TextFeatures(features(labels), features(mcm), features([asked[row] for row in rows]), clip.logit_scale, names, negatives)
    write_negatives(stage.write(), made, stage.provenance)
    stage.finish()
