"""Runs tasks in this process, in local processes or on Ray. No other package imports ray."""
