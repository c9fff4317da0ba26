"""De-identification of DICOM files, videos and pictures."""
