"""Motion HMR: backbone, temporal encoder, regressor and body layer."""
