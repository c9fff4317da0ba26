"""Studies of a PACS that speaks DICOMweb: listed, fetched into a studies folder, and results stored back."""
