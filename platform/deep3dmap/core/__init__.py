"""The method, dataset and suite contracts and their vocabulary. Imports only NumPy and the standard library."""

from deep3dmap.core.asset import Asset, asset_in_folder, find_asset
from deep3dmap.core.card import DatasetCard, MethodCard, MetricCard, SuiteCard, Task
from deep3dmap.core.dataset import Dataset, LazySequence, Sample, Split, WholeSet
from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.core.keys import Key, describe_key, known_keys, register_key
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.method import Generates, Method, RendersViews, Step, Views
from deep3dmap.core.pinhole_camera import Camera, check_pose
from deep3dmap.core.protocol import Evaluation, Protocol
from deep3dmap.core.reconstruction import Reconstruction, read_mesh
from deep3dmap.core.registry import datasets, methods, suites

__all__ = [
    "Asset",
    "Camera",
    "Dataset",
    "DatasetCard",
    "DivergedError",
    "Evaluation",
    "Generates",
    "Key",
    "LazySequence",
    "Mesh",
    "Method",
    "MethodCard",
    "MetricCard",
    "Protocol",
    "Reconstruction",
    "RendersViews",
    "Sample",
    "Split",
    "Step",
    "SuiteCard",
    "Task",
    "UserError",
    "Views",
    "WholeSet",
    "asset_in_folder",
    "check_pose",
    "datasets",
    "describe_key",
    "find_asset",
    "known_keys",
    "methods",
    "read_mesh",
    "register_key",
    "suites",
]
