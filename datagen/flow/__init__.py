"""Stage 4: FlowNet and its peers behind one call."""
