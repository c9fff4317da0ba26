"""Agreement of annotators on the images that both segmented: masks and EF."""
