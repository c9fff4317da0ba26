"""Results as DICOM: structured reports, segmentations and the figure, beside the images that they are of."""
