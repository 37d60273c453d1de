"""How people look: skin, clothes, scanned and drawn textures."""
