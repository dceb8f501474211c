"""The contract as a pytest class: subclass it, name the method, and every check is a test."""

from pathlib import Path
from typing import ClassVar

import pytest

from deep3dmap.testing.checks import CHECKS
from deep3dmap.testing.method_under_test import Subject


class MethodContract:
    """Every check of the contract on one method.

    class TestMyMethod(MethodContract):
        method = "my_package.my_module:MyMethod/mini"
        dataset = "heads/smoke"
    """

    method: ClassVar[str]
    dataset: ClassVar[str] = ""
    overrides: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        """The method under test, with scratch space of its own."""
        return Subject(self.method, tmp_path, self.dataset, self.overrides)

    @pytest.mark.parametrize("check", [name for name in CHECKS if name != "two workers"])
    def test_contract(self, subject: Subject, check: str) -> None:
        """One check of the contract."""
        subject.dataset  # noqa: B018  prepared before anything is timed
        assert CHECKS[check](subject)

    @pytest.mark.ray
    def test_two_workers(self, subject: Subject) -> None:
        """Two Ray Train workers end where they should."""
        subject.dataset  # noqa: B018
        assert CHECKS["two workers"](subject)
