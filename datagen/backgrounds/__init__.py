"""Stage 2: turns videos into windows with camera motion and supervoxels."""
