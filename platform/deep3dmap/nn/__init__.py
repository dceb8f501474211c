"""Building blocks shared by methods."""

from deep3dmap.nn.resfcn import ResFCN256
from deep3dmap.nn.resfcn_names import from_legacy_names, from_tensorflow_names, from_tensorflow_variables

__all__ = ["ResFCN256", "from_legacy_names", "from_tensorflow_names", "from_tensorflow_variables"]
