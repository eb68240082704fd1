"""A checkout on the login node."""

from pathlib import Path

from ruamel.yaml import YAML

from miniature import Miniature

LIMIT = 900  # seconds of a command, for machines at work on other things


def configure(miniature: Miniature, shards: int = 1, **settings: object) -> Path:
    """Change profiles/slurm as a user does for a cluster of one's own; give commands a time limit, whose failure shows what they said."""
    yaml, folder = YAML(), miniature.root / "profiles/slurm"
    profile = yaml.load(folder / "config.yaml")
    profile |= {"slurm-init-seconds-before-status-checks": 3, "latency-wait": 10, **settings}
    profile["config"] = [f"shards={shards}", "gpu_model=fake", "gpu_mem_mb=5000"]
    yaml.dump(profile, folder / "config.yaml")
    miniature.prefix = ("timeout", "--foreground", "--verbose", "--kill-after=60", str(LIMIT))
    return folder
