"""`deep3dmap methods|datasets|suites [NAME]`: what there is, and a card for one."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.config.cards import card_page
from deep3dmap.config.overrides import flatten
from deep3dmap.core.keys import known_keys
from deep3dmap.core.registry import Registry, suites


def show_registered(registry: Registry, argv: list[str], columns: tuple[str, ...]) -> int:
    """List the names under a registry, or print the card of one."""
    plural = registry.kind + "s"
    examples = f"  deep3dmap {plural}\n  deep3dmap {plural} {(registry.names() or ['NAME'])[0]}\n  deep3dmap {plural} --json"
    parser = VerbParser(plural, f"List the {plural}, or print the card of one.", examples)
    parser.add_argument("name", nargs="?", help=f"name of one {registry.kind}, or module:Class")
    parser.add_argument("--json", action="store_true", help="print plain data")
    flags, _ = parser.parse(argv)
    names = [flags.name] if flags.name else registry.names()
    pages = [_page(registry, name) for name in names]
    if flags.json:
        print(json.dumps(pages[0] if flags.name else pages, indent=1, default=str))
    elif flags.name:
        _print_page(pages[0])
    else:
        _print_list(pages, columns)
    return 0


def _page(registry: Registry, name: str) -> dict[str, Any]:
    if registry is suites:
        return {"name": name, "card": registry.load(name).card.as_dict(), "options": [], "variants": {}}
    return card_page(registry, name)


def _print_list(pages: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True, overflow="fold")
    for column in columns:
        table.add_column(column)
    for page in pages:
        table.add_row(page["name"], *(_text(page["card"][column]) for column in columns))
    Console().print(table)


def _print_page(page: dict[str, Any]) -> None:
    console = Console()
    console.print(f"[bold]{page['name']}[/bold]  {page['card']['title']}", highlight=False)
    facts = Table(show_header=False, box=None, pad_edge=False)
    for key, value in page["card"].items():
        if key not in ("title", "metrics", "task") and value not in ((), "", None):
            facts.add_row(key, _text(value))
    console.print(facts)
    _print_suite(console, page["card"])
    if page["options"]:
        table = Table("option", "type", "default", "meaning", box=None, pad_edge=False)
        for option in page["options"]:
            table.add_row(option["name"], option["type"], str(option["default"]), option["help"])
        console.print("\n[bold]options[/bold]", table, sep="\n")
    for name, values in page["variants"].items():
        fields = ", ".join(f"{key}={value}" for key, value in flatten(values).items() if value != {})
        console.print(f"variant [bold]{page['name']}/{name}[/bold]  {fields or 'the defaults'}", highlight=False)


def _print_suite(console: Console, card: dict[str, Any]) -> None:
    if "metrics" not in card:
        return
    keys = known_keys()
    console.print(f"\n[bold]task[/bold] {card['task']['name']}: {card['task']['meaning']}", highlight=False)
    for key in card["task"]["given"]:
        console.print(f"  given  {key}: {keys[key].meaning} ({keys[key].unit})", highlight=False)
    console.print(f"  wanted {_text(card['task']['wanted'])}", highlight=False)
    table = Table("metric", "unit", "better", "meaning", box=None, pad_edge=False)
    for metric in card["metrics"]:
        table.add_row(metric["name"], metric["unit"], metric["better"], metric["meaning"])
    console.print(table)


def _text(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
