"""One training run: objective, optimizer, loop, validation and run folder."""
