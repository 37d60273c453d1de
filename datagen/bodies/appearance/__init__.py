"""People's appearance: skin, clothes, scanned and procedural textures."""
