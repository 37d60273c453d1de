"""Motion capture: file formats, and retargeting to the body model."""
