"""Files that steps exchange: atomic writes, Parquet images, safetensors features, saved networks."""
