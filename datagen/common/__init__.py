"""What every stage and command shares: errors, options, files, seeds, the record."""
