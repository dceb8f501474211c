"""Speed of the native kernels compared with their peers, measured in the same run and printed as ratios."""
