"""Weights shipped with a method: the rounding, against its definition, and the compressed file."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.train.shipped_weights import MANTISSA_BITS, round_mantissa, write_shipped


@pytest.mark.parametrize("bits", [1, MANTISSA_BITS, 9, 10])
def test_rounding_is_to_the_nearest(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    size = torch.randn(20000, generator=generator) * 10 ** (4 * torch.rand(20000, generator=generator) - 3)
    values = size[size.abs() > 1e-4].half()  # normal numbers
    fraction, exponent = np.frexp(values.double().numpy())
    units = 2.0 ** (bits + 1)
    nearest = np.ldexp(np.sign(fraction) * np.floor(np.abs(fraction) * units + 0.5) / units, exponent)
    assert np.array_equal(round_mantissa(values, bits).double().numpy(), nearest)


def test_zeros_and_subnormal_numbers_stay_small() -> None:
    values = torch.tensor([0.0, -0.0, 2.0**-24, -(2.0**-20), 65504.0 / 2]).half()
    found = round_mantissa(values, MANTISSA_BITS)
    assert ((found - values).abs() <= torch.tensor([0, 0, 2.0**-20, 2.0**-20, 256])).all()


def test_the_file_is_compressed_and_read_by_torch(tmp_path: Path) -> None:
    matrix, vector = torch.randn(64, 128), torch.randn(64)
    state = {"network.matrix": matrix, "network.vector": vector, "network.count": torch.tensor(3), "other": torch.ones(9)}
    file = write_shipped(state, {"method": "some"}, tmp_path)
    found = torch.load(file, weights_only=True)
    assert found["card"] == {"method": "some"}
    assert set(found["state_dict"]) == {"matrix", "vector", "count"}
    assert found["state_dict"]["matrix"].dtype == torch.float16
    torch.testing.assert_close(found["state_dict"]["matrix"].float(), matrix, rtol=2**-7 + 2**-11, atol=1e-6)
    assert torch.equal(found["state_dict"]["vector"], vector)
    assert all(record.compress_type == zipfile.ZIP_DEFLATED for record in zipfile.ZipFile(file).infolist())
    before = file.read_bytes()
    write_shipped(state, {"method": "some"}, tmp_path)
    assert file.read_bytes() == before, "the same weights make the same file"
    assert json.loads((tmp_path / "shipped.json").read_text())["bytes"] == len(before)
