"""SynOOD: ID images in-painted after what stands beside their object, by skip gradient."""
