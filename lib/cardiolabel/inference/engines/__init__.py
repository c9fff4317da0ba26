"""What computes a network: PyTorch or OpenVINO."""
