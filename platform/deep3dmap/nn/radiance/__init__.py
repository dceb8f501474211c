"""Building blocks for radiance fields: rays, encodings, sampling, volume rendering, networks and occupancy grids."""
