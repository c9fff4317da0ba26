"""What things cost, in one run with the bare network and with MONAI Label's own parts."""
