"""What a network has learned, and what it sees in an image: filters, feature maps, drawn and as tables."""
