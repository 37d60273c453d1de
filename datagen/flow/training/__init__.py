"""Training of flow networks: pairs with exact flow, and the training loop."""
