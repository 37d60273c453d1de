"""What datagen.flow.train needs: pairs with exact flow, and the network's training on them."""
