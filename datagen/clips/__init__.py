"""Stage 3: composes a person and a scene into a labelled clip."""
