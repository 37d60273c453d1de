"""Stage 1: body model, motion, looks and renderer make the body library."""
