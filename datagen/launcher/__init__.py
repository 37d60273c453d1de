"""The launcher: configuration, sources, tasks, the driver and its progress."""
