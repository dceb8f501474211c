"""Text files of numbers: values read, and errors that name the line and reason for damaged files."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.numbers import increasing_times, nearest_in_time, read_matrix, read_rows, read_words


def written(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "numbers.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_matrices_are_read_in_any_layout(tmp_path: Path) -> None:
    for content in ("1 2 3\n4 5 6\n", "1\n2\n3\n4\n5\n6", "1e0 2.0\t3 4   5 6"):
        assert read_matrix(written(tmp_path, content), 2, 3).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("content", "says"),
    [("1 2 3 4 5", "expected 2x3 numbers, got 5"), ("1 2 3 4 5 x", "expected 2x3 numbers .*x"), (b"\xff1 2", "expected 2x3")],
)
def test_damaged_matrices_are_named(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(UserError, match=rf"numbers.txt: {says}"):
        read_matrix(written(tmp_path, content), 2, 3)
    with pytest.raises(UserError, match=r"absent\.txt: the file is missing; it must contain 2x3 numbers"):
        read_matrix(tmp_path / "absent.txt", 2, 3)


def test_rows_have_comments_and_commas(tmp_path: Path) -> None:
    file = written(tmp_path, "# head\n1, 2,3 # tail\n\n   \n4 5 6\n#7 8 9\n")
    assert read_rows(file, 3).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read_words(file) == [(2, ["1", "2", "3"]), (5, ["4", "5", "6"])]
    assert read_rows(written(tmp_path, "# nothing\n"), 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1 2\n3\n", "line 2: expected 2 numbers, got 1"),
        ("1 2\n\n3 four\n", "line 3: expected 2 numbers"),
        ("1 nan\n", "line 1: NaN or infinity"),
        ("1 1e999\n", "line 1: NaN or infinity"),
        ("2 0\n5 0\n4 0\n", r"line 3: the time 4\.000000 comes after 5\.000000; sort the lines"),
    ],
)
def test_damaged_rows_are_named_by_their_line(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(UserError, match=rf"numbers\.txt, {says}"):
        read_rows(written(tmp_path, content), 2, increasing_times())


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"numbers\.txt: not a readable text file"):
        read_words(written(tmp_path, b"\x80\x81"))
    with pytest.raises(UserError, match=r"absent\.txt: the file is missing"):
        read_words(tmp_path / "absent.txt")


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_nearest_time_is_that_of_a_search(count: int) -> None:
    rng = np.random.default_rng(count)
    times, wanted = np.sort(rng.uniform(0, 10, count)), rng.uniform(-2, 12, 100)
    index, apart = nearest_in_time(times, wanted)
    distance = np.abs(times[None] - wanted[:, None])
    np.testing.assert_allclose(apart, distance.min(1))
    np.testing.assert_allclose(np.abs(times[index] - wanted), apart)
