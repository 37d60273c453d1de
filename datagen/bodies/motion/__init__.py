"""Motion capture: its file formats, and its retargeting onto the body model."""
