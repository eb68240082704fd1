"""Where images come from: a registry. One file a source, named as `source:` in params.yaml, with a function `read`."""
