"""A look at a data set: manifests read front to back, tars opened only for pictures."""
