"""extract@encoder: the standardised representation of every ID training image."""

from penumbra.extract.images import of_train
from penumbra.models.moco import MoCoEncoder
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/features/encoder.safetensors: `representation` [N, D] and `label` [N], rows as in images/train."""
    device = setup()
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder")).to(device)
    of_train(stage, "representation", encoder.represent, device)
