"""How well annotators agree on the images that they both read: masks, EF, and the plot of both."""
