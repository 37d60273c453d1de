"""Comparison of run folders: tables, charts and skeleton drawings."""
