"""DVC decides, Snakemake executes: the contract between them and the entry points."""
