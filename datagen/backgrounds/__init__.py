"""Stage 2: videos become windows with camera motion and supervoxels."""
