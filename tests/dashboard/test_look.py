import pytest

from deep3dmap.dashboard.look import compact, duration, integer, number


@pytest.mark.parametrize(
    ("value", "text"), [(3.90824, "3.908"), (91.0, "91.00"), (0.0, "0"), (12345.6, "12346"), (None, "–"), (float("nan"), "–")]
)
def test_numbers_have_four_significant_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0051, "5.10 ms"),
        (3.5, "3.50 s"),
        (119, "119 s"),
        (1902, "31.7 min"),
        (7200, "2.00 h"),
        (172_800, "2.00 d"),
    ],
)
def test_durations_have_the_unit_one_would_say(seconds, text):
    assert duration(seconds) == text


def test_what_is_missing_is_a_dash():
    assert [duration(None), duration(float("nan")), integer(None), compact(None)] == ["–"] * 4


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (950, "950"), (1250, "1.25 k"), (13_400_000, "13.4 M"), (7e9, "7.00 G")])
def test_large_counts_are_short(count, text):
    assert compact(count) == text
