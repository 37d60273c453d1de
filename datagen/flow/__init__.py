"""Stage 4: optical flow estimators with a common interface."""
