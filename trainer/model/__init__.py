"""The networks: Motion HMR and its parts, the lifting baseline, the domain discriminator."""
