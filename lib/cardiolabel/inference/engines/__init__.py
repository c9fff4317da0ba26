"""Engines that compute a network: PyTorch or OpenVINO."""
