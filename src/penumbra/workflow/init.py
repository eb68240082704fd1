"""`penumbra init`: looks at somebody's images, and writes an experiment whose budgets fit them to conf/experiment/NAME.yaml."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError
from penumbra.workflow.composition import compose
from penumbra.workflow.configure import CONF, EXPERIMENTS
from penumbra.workflow.twins import told, twins

if TYPE_CHECKING:
    from PIL import Image

    from penumbra.prepare.params import IdSource

NAME = re.compile(r"[A-Za-z][\w-]*")
OPENED = 200  # images of a folder
FEWEST, FEW = 12, 50  # images of a class: below, a split would be empty; little would be learnt
BASE = "badood"  # the experiment whose sizes and presets are taken
FITTED = {  # section -> the number of images that its epochs are for, those of the embedded experiment
    "pretrain.encoder.moco": 3300,
    "pretrain.rdm.rcg": 3300,
    "pretrain.mage.rcg": 3300,
    "train.recipes.scratch.energy": 1800,
}
SIDE = 32  # pixels that the small networks see
CANDIDATES = 1800  # of the embedded experiment: enough for bands that are not empty
LETTERS = "letters: {source: glyphs, path: null, root: null, classes: [a, d, e, f, h, k, m, n, r, t, w, y, '@', '%'], limit: 400}"
OOD = "ood: {{source: folder, path: {path}, root: null, classes: null, limit: null}}"
TEXT = """\
# @package _global_
# {found}
# Written by `penumbra init`, to be edited. Then: penumbra configure experiment={name} && penumbra repro
defaults:
  - /badood@_global_
  - _self_
common:
  image_size: {side}   # pixels that the networks see of a side
  grey: {grey}
prepare:
  id: {{source: folder, path: {path}, root: null, classes: null, val_share: 0.15, test_share: 0.25}}
  near:   # test images of none of these classes
    {near}
# Epochs for as many steps as the embedded experiment takes. flip: true, in augment and in energy, where a mirrored image is as good
{budgets}"""

NEXT = """\
penumbra configure experiment={name}   writes params.yaml; git brings the old one back
penumbra repro --dry                   what will run
penumbra repro                         run it; `dvc exp run -S experiment={name}` does all three, and keeps it as an experiment"""


@dataclass(frozen=True)
class Folder:
    """What lies in a folder of images.

    Attributes:
        path: absolute.
        classes: how many images each class has.
        sides: shorter sides in pixels of the images that were opened, sorted; not empty.
        grey: whether all of these are grey.
        unusable: the first that could not be opened, and why; "" if all could.
    """

    path: Path
    classes: Counter[str]
    sides: list[int]
    grey: bool
    unusable: str

    def __str__(self) -> str:
        names = sorted(name for name in self.classes if name)
        of = f" of {len(names)} classes" if len(names) > 1 else ""
        sides = " to ".join(map(str, dict.fromkeys([self.sides[0], self.sides[-1]])))
        return f"{self.path}: {self.classes.total():,} images{of}, {'grey' if self.grey else 'colour'}, {sides} pixels"


def init(name: str, images: Path, ood: Path | None) -> str:
    """Write conf/experiment/NAME.yaml; returns what was found, what deserves a word, and what to do next.

    Args:
        name: of the experiment.
        images: a folder with a sub-folder for each ID class.
        ood: a folder with images of none of these classes, the near test set; None: printed letters stand in.

    Raises:
        PenumbraError: the name is none, or is taken; a folder is missing, holds no images, or too few.
    """
    from omegaconf import OmegaConf

    file = CONF / EXPERIMENTS / f"{name}.yaml"
    if not NAME.fullmatch(name):
        raise PenumbraError(f"init: {name!r} is no name of an experiment. Use letters, digits, - and _, a letter first.")
    if file.exists():
        raise PenumbraError(f"{file}: is there already. Choose another name, or remove it.")
    found, outside = look(images), look(ood) if ood else None
    _check(found)
    content = TEXT.format(
        found=found,
        name=name,
        side=SIDE,
        grey=str(found.grey).lower(),
        path=json.dumps(str(found.path)),
        near=OOD.format(path=json.dumps(str(outside.path))) if outside else LETTERS,
        budgets=OmegaConf.to_yaml(OmegaConf.create(budgets(compose(CONF, [f"{EXPERIMENTS}={BASE}"]), found.classes.total()))),
    )
    with replace(file) as temporary:
        temporary.write_text(content, encoding="utf-8")
    near = str(outside) if outside else "printed letters; `--ood DIR` names images of your own, which say more"
    return "\n".join([f"{file}:", f"  ID    {found}", f"  near  {near}", *_words(found), "", NEXT.format(name=name)])


def look(folder: Path) -> Folder:
    """Count the images of a folder, as the source `folder` reads them, and open up to OPENED, spread over it.

    Raises:
        PenumbraError: there is no such folder, or no image in it.
    """
    from penumbra.prepare.record import Unusable
    from penumbra.prepare.sources import folder as source

    path = folder.resolve()
    if not path.is_dir():
        raise PenumbraError(f"{folder}: is no folder. Give one with a sub-folder of images for each class.")
    records = [record for record in source.read(_section(path), "id", 0) if not record.fault]
    sides, grey, unusable = [], True, ""
    for record in records[:: math.ceil(len(records) / OPENED) or 1]:
        try:
            with record.load() as image:
                sides.append(min(image.size))
                grey = grey and _grey(image)
        except (Unusable, OSError) as error:
            unusable = unusable or f"{record.path}: {error}"
    if not sides:
        raise PenumbraError(f"{folder}: holds no image that can be opened{f' ({unusable})' if unusable else ''}.")
    return Folder(path, Counter(record.class_name or "" for record in records), sorted(sides), grey, unusable)


def _section(path: Path) -> "IdSource":
    """A folder as the section prepare.id."""
    from penumbra.prepare.params import IdSource

    return IdSource(source="folder", path=str(path), root=None, classes=None, val_share=0.15, test_share=0.25)


def _grey(image: "Image.Image") -> bool:
    """Whether an image has no colour; a small copy of it tells."""
    from PIL import ImageChops

    red, green, blue = image.convert("RGB").resize((16, 16)).split()
    return not (ImageChops.difference(red, green).getbbox() or ImageChops.difference(green, blue).getbbox())


def _check(found: Folder) -> None:
    if "" in found.classes:
        raise PenumbraError(f"{found.path}: {found.classes['']:,} images lie in no sub-folder. Move each into the folder of its class.")
    if len(found.classes) < 2:
        raise PenumbraError(f"{found.path}: has one class, and a detector needs two. Give each a sub-folder of images.")
    rarest, count = min(found.classes.items(), key=lambda item: item[1])
    if count < FEWEST:
        raise PenumbraError(f"{found.path / rarest}: {count} images are too few; a class needs {FEWEST}. Add some, or move it away.")


def budgets(preset: dict[str, Any], images: int) -> dict[str, Any]:
    """What must differ from the preset, as nested sections: epochs, candidates, neighbours.

    Args:
        preset: the parameters of BASE.
        images: of ID, before they are split.
    """
    from omegaconf import OmegaConf

    given, changed = OmegaConf.create(preset), OmegaConf.create()
    train = round(images * (1 - given.prepare.id.val_share - given.prepare.id.test_share))
    for section, of in FITTED.items():
        for key, value in OmegaConf.select(given, section).items():
            if key.endswith("epochs") or key == "validate_every":
                OmegaConf.update(changed, f"{section}.{key}", math.ceil(value * max(1.0, of / train)))
    OmegaConf.update(changed, "synthesize.badood.badood.per_image", math.ceil(CANDIDATES / train))
    most = train // 2
    OmegaConf.update(changed, "score.knn_k", min(given.score.knn_k, most))
    OmegaConf.update(changed, "score.knn_more", [k for k in given.score.knn_more if k <= most and k != changed.score.knn_k])
    return OmegaConf.to_container(changed)


def _words(found: Folder) -> list[str]:
    """What deserves a word."""
    words = []
    rarest, count = min(found.classes.items(), key=lambda item: item[1])
    if count < FEW:
        words.append(f"{rarest} has {count} images; below {FEW} of a class the numbers say little.")
    if found.sides[0] > 2 * SIDE:
        words.append(f"The small networks see {SIDE} pixels of at least {found.sides[0]}; conf/README.md names the published ones.")
    if found.unusable:
        words.append(f"{found.unusable}: data/images/quarantine.csv will list all such files.")
    if pairs := twins(_section(found.path)):
        words.append(told(pairs))
    return words
