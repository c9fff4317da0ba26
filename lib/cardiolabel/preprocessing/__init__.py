"""From an image to the input of a network, for training and inference alike."""
