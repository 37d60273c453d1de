"""Code shared by all stages and commands: errors, options, files, seeds, the record."""
