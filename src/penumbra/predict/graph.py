"""A whole detector as one graph: pixels in, score, P(OOD) and class probabilities out. The same mathematics in a form that
`torch.export` can follow: for a batch of any size, and without numpy.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.outputs import Outputs
from penumbra.calibrators import Calibrator
from penumbra.errors import PenumbraError
from penumbra.models.clip import Clip
from penumbra.models.clip_detector import ClipDetector
from penumbra.predict.asked import Clips, scaled
from penumbra.predict.detector import TrainedDetector
from penumbra.scores.confidence import log_odds

OUTPUTS = ("score", "p_ood", "probabilities")
FILTERS = {2: "bilinear", 3: "bicubic"}
PRECISION = 22  # bits of torch's integer weights at most


class Graph(nn.Module):
    """All training seeds of a detector, from uint8 images [B, S, S, 3] to {score [B], p_ood [B], probabilities [B, C]}, float64.

    Each is the mean over the seeds, as `TrainedDetector.predict` gives it.

    Args:
        detector: on the CPU.
    """

    def __init__(self, detector: TrainedDetector):
        super().__init__()
        asked = detector.asked
        self.networks = nn.ModuleList(asked.networks.values())
        self.clip = asked.clip if isinstance(asked, Clips) else None
        self.shown = None if self.clip is None else Shown(self.clip, detector.image_size)
        self.scorers = detector.scorers
        self.scores = [scorer.score(detector.score) for scorer in detector.scorers]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs = [scorer.exact(found) for scorer, found in zip(self.scorers, self._outputs(images), strict=True)]
        scores = [score(found) for score, found in zip(self.scores, outputs, strict=True)]
        odds = [probability(scorer.calibrator, log_odds(found)) for scorer, found in zip(self.scorers, outputs, strict=True)]
        found = scores, odds, [of_seed.logits.softmax(1) for of_seed in outputs]
        return {name: torch.stack(values).mean(0) for name, values in zip(OUTPUTS, found, strict=True)}

    def _outputs(self, images: Tensor) -> list[Outputs]:
        if self.clip is None:
            pixels = scaled(images)
            return [Outputs(*map(Tensor.float, network.forward_with_features(pixels))) for network in self.networks]
        features = self.clip.image_features(self.shown(images))
        return [_clip_outputs(network, features) for network in self.networks]


def _clip_outputs(detector: ClipDetector, features: Tensor) -> Outputs:
    """As `ClipDetector.forward`, whose log-odds (`labels.neglabel_log_odds`) go block by block and write in place."""
    images = detector.image_features(features)
    weight, bias = detector.last_layer()
    concepts = images @ F.normalize(detector.mcm_texts, dim=1).T
    negatives = F.normalize(detector.negatives[detector.order.flatten()], dim=1) / detector.temperature
    groups = (images @ negatives.T).unflatten(1, tuple(detector.order.shape)).double()
    labels = (images @ weight.T).double()
    d = torch.logsumexp(groups, dim=2) - torch.logsumexp(labels, dim=1, keepdim=True)
    odds = torch.logsumexp(F.logsigmoid(d), dim=1) - torch.logsumexp(F.logsigmoid(-d), dim=1)
    return Outputs(images @ weight.T + bias, images, concepts, odds)


def probability(calibrator: Calibrator, log_odds: Tensor) -> Tensor:
    """Calibrated P(OOD) [N] of log-odds [N], float64; see the table of `calibrators`."""
    p = calibrator.parameters
    if calibrator.name == "isotonic":
        return _between(log_odds, *(torch.tensor(p[name], dtype=torch.float64) for name in ("log_odds", "probability")))
    if calibrator.name == "beta":
        return torch.sigmoid(p["a"] * F.logsigmoid(log_odds) - p["b"] * F.logsigmoid(-log_odds) + p["c"])
    if calibrator.name == "platt":
        return torch.sigmoid(p["slope"] * log_odds + p["intercept"])
    return torch.sigmoid(p["inverse_temperature"] * log_odds)


def _between(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Linear between knots [K], constant beyond them, at x [N]: each piece adds its share of the way from one value to the next."""
    way = ((x[:, None] - knots[:-1]) / knots.diff()).clamp(0, 1)
    return values[0] + way @ values.diff()


class Shown(nn.Module):
    """What a CLIP network is shown of uint8 images [B, S, S, 3]: as `Clip.pixels`, bit for bit up to the normalisation.

    Args:
        clip: its image processor must resize, crop the centre, rescale and normalise, or leave some of these out.
        size: S.

    Raises:
        PenumbraError: the processor does anything else.
    """

    def __init__(self, clip: Clip, size: int):
        super().__init__()
        processor = clip.processor
        self.resized = Resized(size, _side(processor.size), processor.resample) if processor.do_resize else nn.Identity()
        side = _side(processor.size) if processor.do_resize else size
        cropped = processor.crop_size["height"] if processor.do_center_crop else side
        self.start, self.side = (side - cropped) // 2, cropped
        scale = processor.rescale_factor if processor.do_rescale else 1.0
        mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else ([0.0] * 3, [1.0] * 3)
        for name, values in {"factor": [scale / s for s in std], "shift": [m / s for m, s in zip(mean, std, strict=True)]}.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None])
        self._check(clip, size)

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.resized(images.permute(0, 3, 1, 2))
        end = self.start + self.side
        return pixels[:, :, self.start : end, self.start : end].float() * self.factor - self.shift

    def _check(self, clip: Clip, size: int) -> None:
        images = torch.randint(256, (4, size, size, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        wanted, found = clip.pixels(scaled(images)), self(images)
        if wanted.shape != found.shape or not torch.allclose(wanted, found, atol=1e-5):
            raise PenumbraError(
                f"{clip.name}/preprocessor_config.json: asks for what no graph of ours does. Export without --onnx and --torch."
            )


def _side(size: dict[str, int]) -> int:
    """Of what a square becomes."""
    return size["shortest_edge"] or size["height"]


class Resized(nn.Module):
    """uint8 images [B, 3, S, S] resized to [B, 3, T, T], as torch resizes 8-bit images on a CPU: rows and then columns are sums with
    integer weights, each rounded to 8 bits.

    Args:
        size, target: S and T.
        resample: Pillow's number of the filter, one of FILTERS; `Shown` finds out about others.
    """

    def __init__(self, size: int, target: int, resample: int):
        from torchvision.transforms.v2 import functional

        super().__init__()
        self.bits = 0
        if size == target:
            self.weights = None
            return
        eye, kind = torch.eye(size, dtype=torch.float64)[None], functional.InterpolationMode(FILTERS.get(resample, "bicubic"))
        weights = functional.resize(eye, [target, size], interpolation=kind, antialias=True)[0]
        while self.bits < PRECISION and int(0.5 + weights.max().item() * 2 ** (self.bits + 1)) < 2**15:
            self.bits += 1
        self.register_buffer("weights", (weights * 2**self.bits).abs().add(0.5).floor() * weights.sign())

    def forward(self, images: Tensor) -> Tensor:
        if self.weights is None:
            return images
        return self._rounded(self.weights @ self._rounded(images.double() @ self.weights.T))

    def _rounded(self, sums: Tensor) -> Tensor:
        return ((sums + 2 ** (self.bits - 1)) / 2**self.bits).floor().clamp(0, 255)
