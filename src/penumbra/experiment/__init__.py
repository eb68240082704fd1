"""params.yaml as a whole: read, expanded, validated."""
