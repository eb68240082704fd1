"""The representation."""

from penumbra.report.content import Block, Results, Section


def section(results: Results) -> Section:
    """What the representation is."""
    models, text = results.params.pretrain, ""
    if "encoder" in models:
        encoder = models.encoder
        text += (
            f"Every ID image becomes a representation of {encoder.projection} numbers: the projection head of a MoCo-v3 ViT "
            f"(width {encoder.width}, depth {encoder.depth}, patches of {encoder.patch_size} pixels), standardised for each image. "
            "The guidance of Bad-OOD and the distances of its candidates live in this space; those of SONA and SynOOD are distances of "
            "the autoencoder's latents. "
        )
    if "classifier" in models:
        text += "GOOD measures in the features of the ID classifier before its last layer, the memory bank of its k-NN distance. "
    if "negatives" in results.params.extract:
        text += "CLIP detectors live in the features that images and texts share; their negative labels are shown below."
    text = text or "No model's features are used in this experiment: distances are those of an autoencoder's latents."
    return Section("extract", "The representation", [Block(text=text)])
