"""Loads a method for inference on the command line, from a checkpoint or by name."""

import sys
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from deep3dmap.cli.method_or_checkpoint import is_checkpoint
from deep3dmap.config.compose import build_section
from deep3dmap.config.plain_data import check_plain
from deep3dmap.config.saved import check_choice
from deep3dmap.config.schema import FitConfig
from deep3dmap.config.variants import overlay
from deep3dmap.core.asset import SHIPPED, find_asset, shipped_card
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.core.registry import methods
from deep3dmap.frameworks import LoopSettings
from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
from deep3dmap.train.checkpoint_places import local_checkpoint
from deep3dmap.train.hosts import choose_device
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.starting_weights import load_weights


def method_for_inference(named: str, values: dict[str, Any]) -> tuple[Method, TrainingJob]:
    """Return a method on its device, in eval mode, and its training job.

    named: a checkpoint (folder or URI), or NAME or NAME/VARIANT of a method that needs none. NAME alone uses the weights
    shipped with the method, if there are any and `method.weights` is not given, and reports this on stderr. values: the
    `key=value` arguments; `device`, `seed`, `method`, `method.KEY` and `fit.KEY` are removed from them. Raises UserError if
    the method must be trained first, or if a setting stored in the checkpoint is given again.
    """
    device = choose_device(str(values.pop("device", "auto")))
    chosen = str(values.pop("method", ""))
    own = {key: values.pop(key) for key in list(values) if key.partition(".")[0] in ("method", "fit", "seed")}
    if is_checkpoint(named):
        if changed := [key for key in own if key.startswith("method.")]:
            raise UserError(f"{changed[0]}: a checkpoint keeps the configuration it was trained with")
        checkpoint = read_checkpoint(local_checkpoint(named))
        about = checkpoint.of_run()
        check_plain(about["config"], where=named)
        check_choice(about["method"], chosen, "method", named)
        config = {**about["config"], **_build_fit_section(about["config"], own)}
        job = TrainingJob(about["method"], about["variant"], about["dataset"], about["dataset_variant"], config, "")
        method = job.build_method()
        load_weights(method, checkpoint.weights(), checkpoint.folder)
    else:
        job = _plan_untrained_job(*_add_shipped_weights(named, own))
        method = job.build_method()
    if isinstance(method, torch.nn.Module):
        torch.nn.Module.train(method.to(device), False)
    return method, job


def _build_fit_section(config: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    given = {key.removeprefix("fit."): value for key, value in own.items() if key.startswith("fit.")}
    return {"fit": asdict(build_section(FitConfig, {**config.get("fit", {}), **given}, "fit."))}


def _add_shipped_weights(name: str, own: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if "/" in name or "method.weights" in own:
        return name, own
    card = shipped_card(partial(methods.file, name))
    if card is None:
        return name, own
    print(
        f"using the weights shipped with {name}: {name}/{card['variant']}, trained for {card['steps']:,} steps on "
        f"{card['trained_on']} with {card['device'] or 'an unnamed device'}",
        file=sys.stderr,
    )
    return f"{name}/{card['variant']}", {"method.weights": SHIPPED, **own}


def _plan_untrained_job(name: str, own: dict[str, Any]) -> TrainingJob:
    plain, variant, layers = overlay(methods, name)
    cls = methods.load(plain)
    given = {key.removeprefix("method."): value for key, value in own.items() if key.startswith("method.")}
    section = {**layers.get("method", {}), **given}
    for asset in cls.card.assets:
        if asset.names_file(section.get(asset.option)):
            section[asset.option] = str(find_asset(asset, str(section[asset.option]), partial(methods.file, plain)))
    # Built only to validate it: the errors then name each key as it was typed.
    build_section(cls.config_type, section, "method.")
    config = asdict(LoopSettings()) | {
        "method": section,
        "seed": int(own.get("seed", 0)),
        **_build_fit_section({"fit": layers.get("fit", {})}, own),
    }
    job = TrainingJob(plain, variant, "", "", config, "")
    if job.trains:
        raise UserError(
            f"method '{name}' must be trained first; give the folder of a checkpoint instead of its name"
            + (", or method.weights=FILE" if hasattr(cls.config_type, "weights") else "")
        )
    return job
