"""The method contract as an importable test class; third parties subclass `MethodContract` in their own tests."""

from typing import Any

from deep3dmap.testing.checks import CHECKS, ViolationError
from deep3dmap.testing.method_under_test import Subject

__all__ = ["CHECKS", "MethodContract", "Subject", "ViolationError"]


def __getattr__(name: str) -> Any:
    # The class requires pytest, which is not part of a plain installation.
    if name == "MethodContract":
        from deep3dmap.testing.contract import MethodContract

        return MethodContract
    raise AttributeError(name)
