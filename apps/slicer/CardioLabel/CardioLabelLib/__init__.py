"""What the module CardioLabel does, without Qt; see docs/tutorials/slicer-module.md."""
