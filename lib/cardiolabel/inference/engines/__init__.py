"""What computes a network: one interface, chosen by what the machine has."""
