"""Run folders compared: tables, charts and drawn skeletons."""
