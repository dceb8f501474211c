"""Storing the cards of a benchmark's methods, datasets and suites, so that its tables can be read without the code."""

from collections.abc import Iterable

from deep3dmap.config.cards import card_page
from deep3dmap.core.errors import unknown
from deep3dmap.core.registry import Registry, datasets, methods, suites
from deep3dmap.results.quoted import Quoted, as_page, read_quoted
from deep3dmap.results.schema import SWEEPS
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.suite_file import read_suite_file


def write_cards(store: ResultStore, plans: Iterable[RunPlan]) -> None:
    """Write the card of each method, dataset and suite of `plans`."""
    plan_list = list(plans)
    for name, version in sorted({(plan.method, plan.method_version) for plan in plan_list}):
        store.write_card("method", name, version, {**card_page(methods, name), "readme": readme(methods, name)})
    for name, version in sorted({(plan.dataset, plan.dataset_version) for plan in plan_list}):
        store.write_card("dataset", name, version, card_page(datasets, name))
    for name, number in sorted({(plan.suite, plan.protocol_version) for plan in plan_list if _has_card(plan.suite)}):
        page = {"name": name, "card": suites.load(name).card.as_dict(), "readme": readme(suites, name)}
        store.write_card("suite", name, str(number), {**page, "quoted": as_page(quoted_values(name))})


def quoted_values(suite: str) -> list[Quoted]:
    """Return the published values in a suite.yaml; raises UserError for one that is not a metric of the suite."""
    file, content = read_suite_file(suite)
    found, metrics = read_quoted(content.get("quoted", []), file), {metric.name for metric in suites.load(suite).card.metrics}
    for value in found:
        if value.metric not in metrics:
            raise unknown(f"metric of a quoted value in {file}", value.metric, metrics)
    return found


def _has_card(suite: str) -> bool:
    # A training run does not belong to a suite, and a sweep writes its own card.
    return bool(suite) and not suite.startswith(SWEEPS)


def readme(registry: Registry, name: str) -> str:
    """Return the text of the README next to a registered class, or an empty string."""
    file = registry.file(name, "README.md")
    return file.read_text() if file else ""
