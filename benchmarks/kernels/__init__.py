"""Speed of the native kernels beside their peers, measured in one run and printed as ratios."""
