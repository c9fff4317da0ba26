"""How well annotators agree on images that they both segmented: masks and EF."""
