"""deep3dmap: train, tune and compare 3D-reconstruction methods."""

__version__ = "0.1.0"
