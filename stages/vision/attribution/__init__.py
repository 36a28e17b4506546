"""What an image, or a position of a layer, argues for."""
