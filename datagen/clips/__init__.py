"""Stage 3: a person and a scene become a labelled clip."""
