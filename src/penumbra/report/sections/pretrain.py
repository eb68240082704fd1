"""The frozen models."""

from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, count

LAST = {  # columns of data/models/MODEL/history.csv in words
    "vqgan_loss": "loss",
    "codes_used": "share of codes in use",
    "val_loss": "validation loss",
    "val_error": "mean absolute error of decoded validation images",
    "val_accuracy": "validation accuracy",
    "val_knn_accuracy": "k-NN accuracy on validation images",
    "val_perplexity": "validation perplexity",
}
DECODED = "ID validation images, what it makes of their representations, and of none"
PIPELINES = {  # what is trained where none is imported, and what its samples are
    "diffusion": ("latent diffusion pipeline", "by caption, and without one (unconditional)"),
    "inpainting": (
        "in-painting pipeline",
        "ID validation images, the same with the middle masked, what it paints there, and images with everything masked",
    ),
    "ldm": ("latent diffusion decoder", DECODED),
    "dit": ("DiT decoder", DECODED),
}


def section(results: Results) -> Section:
    """The last epoch of every frozen model."""
    rows = []
    for model, history in results.histories.items():
        networks = history.groupby("model", sort=False) if "model" in history else [(model, history)]  # MAGE and its tokenizer
        for network, epochs in networks:
            last = epochs.iloc[-1].drop(["epoch", "steps", "model"], errors="ignore").dropna()
            reached = ", ".join(f"{LAST.get(name, name)} {value:.4g}" for name, value in last.items())
            rows.append([model, network, count(len(epochs)), count(epochs.steps.max()), reached])
    table = Table(["model", "network", "epochs", "steps", "the last one"], rows)
    blocks = [Block("Trained here, on this experiment's own images, or imported as published.", table=table)] if rows else []
    for model, (trained, shown) in PIPELINES.items():
        if results.samples.get(model):
            pipeline = results.params.pretrain[model].pipeline
            what = f"the pipeline {pipeline}" if pipeline else f"the {trained} trained here"
            blocks.append(Block(f"Samples of {what}: {shown}.", sets=results.samples[model]))
    return Section("pretrain", "The frozen models", blocks)
