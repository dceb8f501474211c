"""Radiance fields: rays, encodings, sampling, volume rendering, networks and occupancy grids, for any method to stand on."""
