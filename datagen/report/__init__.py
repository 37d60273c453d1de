"""Reports on a data set: manifests are read in full, tars are opened only for pictures."""
