from dataclasses import replace

import pytest

from deep3dmap.results.run_id import RunKey, content_hash

KEY = RunKey("face", 1, "quick", "prnet", "mini", "v1", {"method": {"width": 8, "loss": "l2"}}, "heads", "d1", 0)


def test_id_is_the_same_on_every_machine():
    assert KEY.run_id == "7d38941444023749"


def test_order_of_the_configuration_does_not_matter():
    assert replace(KEY, config={"method": {"loss": "l2", "width": 8}}).run_id == KEY.run_id


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "indoor"},
        {"protocol_version": 2},
        {"tier": "smoke"},
        {"method": "mean_face"},
        {"variant": "paper"},
        {"method_version": "v2"},
        {"config": {"method": {"width": 16, "loss": "l2"}}},
        {"dataset": "aflw2000"},
        {"dataset_version": "d2"},
        {"seed": 1},
    ],
)
def test_whatever_decides_the_numbers_changes_the_id(change):
    assert replace(KEY, **change).run_id != KEY.run_id


def test_only_plain_data_have_a_hash():
    with pytest.raises(TypeError):
        content_hash({"method": object()})
