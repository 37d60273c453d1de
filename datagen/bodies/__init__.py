"""Stage 1: builds the body library from body models, motions, appearances and the renderer."""
