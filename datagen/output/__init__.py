"""Stage 5: tar shards, manifests and the data set's own files."""
