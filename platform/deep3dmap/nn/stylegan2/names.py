"""Renames the tensors of rosinality's and NVlabs' StyleGAN2 checkpoints to our names."""

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.nn.stylegan2 import name_tables
from deep3dmap.nn.stylegan2.resample import BINOMIAL

Part = Literal["generator", "discriminator"]


def _check_filter(kernel: Tensor) -> Tensor:
    line = torch.tensor(BINOMIAL)
    ours = line if kernel.dim() == 1 else torch.outer(line, line)
    if kernel.shape != ours.shape or not torch.allclose(kernel.float() / kernel.sum(), ours / ours.sum(), atol=1e-6):
        raise UserError(f"it uses another resampling filter than {BINOMIAL}: {kernel.tolist()}")
    return kernel


_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda value: value,
    "first": lambda value: value[0],
    "add": lambda value: value[None],
    "picture": lambda value: value[None, None],
    "scalar": lambda value: value.reshape(()),
    "flat": lambda value: value.flatten(),
    "filter": _check_filter,
    "linear": lambda value: value.T,
    "one": lambda value: value + 1,
    "kernel": lambda value: value.permute(3, 2, 0, 1),
    "turned": lambda value: value.permute(3, 2, 0, 1).flip((2, 3)),
}


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    ours: str
    change: Callable[[Tensor], Tensor]


class Naming(NamedTuple):
    """A naming scheme: its name, a pattern of a tensor name that identifies it, and its renaming rules."""

    name: str
    sign: str
    rules: list[_Rule]


def _rules(table: str) -> list[_Rule]:
    rules = []
    for line in table.strip().splitlines():
        theirs, ours, *change = line.split()
        pattern = re.escape(theirs).replace(r"NxN", r"(\d+)x\d+").replace("N", r"(\d+)", 1)
        pattern = re.sub(r"\\\[(.*?)\\\]", r"(?:\1)?", pattern)
        rules.append(_Rule(re.compile(pattern), ours, _CHANGES["".join(change)]))
    return rules


_NAMINGS: dict[Part, list[Naming]] = {
    "generator": [
        Naming("rosinality", r"convs\.\d+\.conv\.weight", _rules(name_tables.ROSINALITY_GENERATOR)),
        Naming("NVlabs, PyTorch", r"synthesis\.b\d+\.conv1\.weight", _rules(name_tables.NVLABS_GENERATOR)),
        Naming("NVlabs, TensorFlow", r".*\d+x\d+/Conv0_up/weight", _rules(name_tables.TENSORFLOW_GENERATOR)),
    ],
    "discriminator": [
        Naming("rosinality", r"convs\.\d+\.conv1\.0\.weight", _rules(name_tables.ROSINALITY_DISCRIMINATOR)),
        Naming("NVlabs, PyTorch", r"b\d+\.conv0\.weight", _rules(name_tables.NVLABS_DISCRIMINATOR)),
        Naming("NVlabs, TensorFlow", r"\d+x\d+/Conv0/weight", _rules(name_tables.TENSORFLOW_DISCRIMINATOR)),
    ],
}
_OURS: dict[Part, str] = {"generator": "synthesis.constant", "discriminator": "from_rgb.bias"}


def to_our_names(state: Mapping[str, Tensor], part: Part) -> dict[str, Tensor]:
    """Return a generator's or discriminator's tensors under our names.

    Supports the names and layouts of rosinality and of NVlabs' PyTorch and TensorFlow versions. Kernels of the resampling
    filters are checked against ours and dropped; running means of w are dropped too.
    Raises UserError for an unknown naming scheme, for an unexpected name, and for another resampling filter.
    """
    if _OURS[part] in state:
        return dict(state)
    for naming in _NAMINGS[part]:
        if any(re.fullmatch(naming.sign, name) for name in state):
            top = max((int(side) for name in state for side in re.findall(r"(?:^|\.|/)b?(\d+)(?=[.x])", name)), default=4)
            renamed = (_rename(name, value, naming, top) for name, value in state.items())
            return {name: value.contiguous() for name, value in renamed if name != "-"}
    known = ", ".join(naming.name for naming in _NAMINGS[part])
    raise UserError(
        f"its {len(state)} tensor names do not match a known naming of a {part} ({known}); the first is"
        f" '{next(iter(state), '')}'"
    )


def _rename(name: str, value: Tensor, naming: Naming, top: int) -> tuple[str, Tensor]:
    for rule in naming.rules:
        found = rule.pattern.fullmatch(name)
        if found:
            number = int(found[1]) if found.groups() else 4
            return rule.ours.format(**_count(number, top)), rule.change(value)
    raise UserError(f"'{name}' is not a tensor of StyleGAN2 in the naming of {naming.name}")


def _count(number: int, top: int) -> dict[str, int]:
    octave = number.bit_length() - 3  # 0 at a side of 4
    block = top.bit_length() - 3 - octave
    layers = {"double": 2 * octave - 1, "same": 2 * octave}
    return {"n": number, "before": number - 1, "after": number + 1, "picture": octave, "block": block, **layers}
