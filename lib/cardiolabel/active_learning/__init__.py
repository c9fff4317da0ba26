"""Which image is worth a correction: how uncertain masks are, what that means for EF, and who comes next."""
