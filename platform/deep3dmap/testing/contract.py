"""The method contract as a pytest class with one test per check; subclass it and specify the method."""

from pathlib import Path
from typing import ClassVar

import pytest

from deep3dmap.testing.checks import CHECKS
from deep3dmap.testing.method_under_test import Subject


class MethodContract:
    """Runs all checks of the contract on one method.

    class TestMyMethod(MethodContract):
        method = "my_package.my_module:MyMethod/mini"
        dataset = "heads/smoke"
    """

    method: ClassVar[str]
    dataset: ClassVar[str] = ""
    overrides: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        """The method under test, with its own scratch folder."""
        return Subject(self.method, tmp_path, self.dataset, self.overrides)

    @pytest.mark.parametrize("check", [name for name in CHECKS if name != "two workers"])
    def test_contract(self, subject: Subject, check: str) -> None:
        """One check of the contract."""
        subject.dataset  # noqa: B018  prepared before anything is timed
        assert CHECKS[check](subject)

    @pytest.mark.ray
    def test_two_workers(self, subject: Subject) -> None:
        """Training with two Ray Train workers gives the expected updates."""
        subject.dataset  # noqa: B018
        assert CHECKS["two workers"](subject)
