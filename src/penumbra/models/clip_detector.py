"""A CLIP model's text features as an OOD detector, with what SynOOD trains: works on cached features of images, reads none."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.negatives import TextFeatures
from penumbra.artifacts.networks import Saved
from penumbra.artifacts.outputs import Outputs
from penumbra.errors import PenumbraError
from penumbra.labels import neglabel_log_odds


class ClipOutputs(NamedTuple):
    """What a detector says of B images.

    Attributes:
        features: of length 1 [B, D], behind the layer if there is one.
        logits: cos/tau to the ID labels [B, C].
        concepts: cosines to the ID labels in MCM's prompt [B, C].
        log_odds: of NegLabel's grouped score, float64 [B].
    """

    features: Tensor
    logits: Tensor
    concepts: Tensor
    log_odds: Tensor


class ClipDetector(nn.Module, Saved):
    """ID and negative labels in the space of CLIP's image features, and a layer behind the image encoder (SynOOD 3.4, 3.5).

    All texts are raw, un-normalised features. `texts` [C, D] are those of the ID labels, `mcm_texts` [C, D] the same in MCM's
    prompt, `negatives` [M, D] those of the negative labels in the order of their file, `tuned` [M] which of these were trained,
    `order` [G, M // G] which make a group.

    Args:
        names: of the ID classes [C], by label.
        words: of the negative labels [M], by row.
        width: D.
        groups: G, of negative labels.
        temperature: tau of the logits.
        mcm_temperature: T of MCM.
        project: whether there is a layer delta: linear, layer norm, ReLU.
        residual: features are F(x) + delta(F(x)), as the official code has it; else delta(F(x)) (eq. 11).
    """

    def __init__(
        self,
        *,
        names: list[str],
        words: list[str],
        width: int,
        groups: int,
        temperature: float,
        mcm_temperature: float,
        project: bool,
        residual: bool,
    ):
        super().__init__()
        self.config = {
            "names": names,
            "words": words,
            "width": width,
            "groups": groups,
            "temperature": temperature,
            "mcm_temperature": mcm_temperature,
            "project": project,
            "residual": residual,
        }
        self.words, self.temperature, self.mcm_temperature, self.residual = words, temperature, mcm_temperature, residual
        self.register_buffer("texts", torch.zeros(len(names), width))
        self.register_buffer("mcm_texts", torch.zeros(len(names), width))
        self.register_buffer("negatives", torch.zeros(len(words), width))
        self.register_buffer("tuned", torch.zeros(len(words), dtype=torch.bool))
        self.register_buffer("order", torch.zeros(groups, len(words) // groups, dtype=torch.long))
        self.delta = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()) if project else None

    @classmethod
    def zero_shot(cls, labels: TextFeatures, order: Tensor, *, temperature: float | None, **settings: float | bool) -> "ClipDetector":
        """A detector with these labels, nothing of it trained; the weights of its layer come from torch's global generator.

        Args:
            labels: ID and negative labels.
            order: groups of negative labels [G, M // G].
            temperature: tau; None: the model's own.
            **settings: mcm_temperature, project, residual.
        """
        detector = cls(
            names=labels.id_names,
            words=[negative.word for negative in labels.negatives],
            width=labels.id.shape[1],
            groups=len(order),
            temperature=1 / labels.logit_scale if temperature is None else temperature,
            **settings,
        )
        for name, values in {"texts": labels.id, "mcm_texts": labels.mcm, "negatives": labels.negative, "order": order}.items():
            getattr(detector, name).copy_(values)
        return detector

    @property
    def tuned_words(self) -> list[str]:
        """Negative labels whose features were trained, by row."""
        return [self.words[row] for row in self.tuned.nonzero()[:, 0].tolist()]

    def image_features(self, features: Tensor) -> Tensor:
        """Features of length 1 [B, D] of CLIP's raw ones [B, D], behind the layer if there is one (eq. 11)."""
        if self.delta is not None:
            features = features + self.delta(features) if self.residual else self.delta(features)
        return F.normalize(features, dim=1)

    def forward(self, features: Tensor) -> ClipOutputs:
        """What the detector says of raw image features [B, D]."""
        images = self.image_features(features)
        return ClipOutputs(
            features=images,
            logits=self._cosines(images, self.texts) / self.temperature,
            concepts=self._cosines(images, self.mcm_texts),
            log_odds=neglabel_log_odds(images, self.texts, self.negatives, self.order, self.temperature),
        )

    def logits(self, features: Tensor) -> Tensor:
        """cos/tau to the ID labels and then to all negative labels [B, C + M], of raw image features [B, D]."""
        return self._cosines(self.image_features(features), torch.cat([self.texts, self.negatives])) / self.temperature

    def last_layer(self) -> tuple[Tensor, Tensor]:
        """Weight [C, D] and bias [C] of the logits to the ID labels, of image features of length 1."""
        return F.normalize(self.texts, dim=1) / self.temperature, self.texts.new_zeros(len(self.texts))

    @staticmethod
    def _cosines(images: Tensor, texts: Tensor) -> Tensor:
        """[B, K] of image features of length 1 [B, D] and text features [K, D]."""
        return images @ F.normalize(texts, dim=1).T


@torch.no_grad()
def outputs_of(detector: ClipDetector, features: Tensor, name: str, sample_ids: list[str]) -> Outputs:
    """What a detector says of raw CLIP features [N, D] on its device; on the CPU.

    Raises:
        PenumbraError: an output is not finite; names the detector and the image.
    """
    found = detector(features)
    finite = found.logits.isfinite().all(1) & found.log_odds.isfinite()
    if not finite.all():
        first, count = sample_ids[int(finite.long().argmin())], int((~finite).sum())
        raise PenumbraError(
            f"detector {name}: output for image {first} is NaN or infinite ({count} of {len(finite)} images). Train with a lower "
            "project_learning_rate or tune_learning_rate."
        )
    return Outputs(found.logits.cpu(), found.features.cpu(), found.concepts.cpu(), found.log_odds.cpu())
