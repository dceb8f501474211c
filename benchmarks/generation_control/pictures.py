"""Sheets and an animation that show the effects of a scene generator's controls."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.protocol import Sampler
from deep3dmap.render.visualization import contact_sheet, enlarged, to_pil

ROWS = 3  # scenes on a sheet
SHEETS: dict[str, list[dict[str, Any]]] = {
    "rotate": [{"object": 0, "rotate": turn / 8} for turn in range(8)],
    "translate_right": [{"object": 0, "translate": [0.0, shift / 20, 0.0]} for shift in range(-5, 6, 2)],
    "translate_near": [{"object": 0, "translate": [shift / 20, 0.0, 0.0]} for shift in range(-5, 6, 2)],
    "add_remove": [{"remove": [0]}, {}, {"add": 1}, {"add": 2}, {"add": 3}],
    "shape": [{}, *({"object": 0, "shape_of": number} for number in range(1001, 1006))],
    "appearance": [{}, *({"object": 0, "appearance_of": number} for number in range(1001, 1006))],
    "background": [{}, *({"background_of": number} for number in range(1001, 1006))],
}
FRAMES, FRAME_MS, RADIUS = 24, 80, 0.15
ENLARGED = 128  # minimum side in pixels


def write_control_pictures(sample: Sampler, folder: Path) -> list[Path]:
    """Write control_NAME.png for every sheet, one scene per row, and control.webp, in which an object circles and rotates."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, commands in SHEETS.items():
        columns = [_draw_sample(sample, command) for command in commands]
        tiles = [(_label(command), images[row]) for row in range(ROWS) for images, command in zip(columns, commands)]
        files.append(folder / f"control_{name}.png")
        contact_sheet(tiles, columns=len(commands)).save(files[-1])
    return [*files, _animation(sample, folder / "control.webp")]


def _animation(sample: Sampler, file: Path) -> Path:
    frames = []
    for frame in range(FRAMES):
        angle = 2 * math.pi * frame / FRAMES
        place = [RADIUS * math.cos(angle), RADIUS * math.sin(angle), 0.0]
        images = _draw_sample(sample, {"object": 0, "rotate": frame / FRAMES, "translate": place})
        frames.append(to_pil(torch.cat(list(images), 2)))
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, lossless=True)
    return file


def _draw_sample(sample: Sampler, command: dict[str, Any]) -> Tensor:
    return enlarged(torch.as_tensor(sample(range(ROWS), **command)).detach().float().cpu(), ENLARGED)


def _label(command: dict[str, Any]) -> str:
    parts = [f"{name} {_format_value(value)}" for name, value in command.items() if name != "object"]
    return ", ".join(parts) or "as drawn"


def _format_value(value: Any) -> str:
    return " ".join(f"{one:g}" for one in value) if isinstance(value, list) else f"{value:g}"
