"""`deep3dmap methods|datasets|suites [NAME]`: list the registered entries, or show the card of one."""

import json
from typing import Any

from rich.console import Console

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.printable import shown
from deep3dmap.cli.tables import print_table, table
from deep3dmap.config.cards import card_page
from deep3dmap.config.plugins import get_load_error, load_all_keys
from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key, known_keys
from deep3dmap.core.nested import flatten
from deep3dmap.core.registry import Registry, suites


def show_registered(registry: Registry, argv: list[str], columns: tuple[str, ...]) -> int:
    """List the entries of a registry, or print the card of one."""
    plural = registry.kind + "s"
    examples = f"  deep3dmap {plural}\n  deep3dmap {plural} {(registry.names() or ['NAME'])[0]}\n  deep3dmap {plural} --json"
    parser = VerbParser(plural, f"List the {plural}, or print the card of one.", examples)
    parser.add_argument("name", nargs="?", help=f"name of a {registry.kind}, or module:Class")
    parser.add_argument("--json", action="store_true", help="print the cards as JSON")
    flags, _ = parser.parse(argv)
    names = [flags.name] if flags.name else registry.names()
    pages = [_load_page(registry, name) for name in names]
    if flags.name and "broken" in pages[0]:
        raise UserError(pages[0]["broken"])
    if flags.json:
        print(json.dumps(pages[0] if flags.name else pages, indent=1, default=str))
    elif flags.name:
        _print_page(pages[0])
    else:
        _print_list(pages, columns)
    return 0


def _load_page(registry: Registry, name: str) -> dict[str, Any]:
    """Return the card page of an entry, or the error of a broken plugin."""
    if name in registry.names() and (error := get_load_error(registry, name)):
        return {"name": name, "broken": error}
    if registry is suites:
        return {"name": name, "card": registry.load(name).card.as_dict(), "options": [], "variants": {}}
    return card_page(registry, name)


def _print_list(pages: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    rows = table("name", *columns)
    for page in pages:
        if "broken" in page:
            rows.add_row(shown(page["name"]), f"[red]broken[/red]: {shown(page['broken'])}")
        else:
            rows.add_row(shown(page["name"]), *(_text(page["card"][column]) for column in columns))
    print_table(rows)


def _print_page(page: dict[str, Any]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{shown(page['name'])}[/bold]  {shown(page['card']['title'])}")
    facts = table("", "")
    facts.show_header = False
    for key, value in page["card"].items():
        if key not in ("title", "metrics", "task") and value not in ((), "", None):
            facts.add_row(key, _text(value))
    print_table(facts)
    _print_suite(console, page["card"])
    if page["options"]:
        rows = table("option", "type", "default", "meaning")
        for option in page["options"]:
            rows.add_row(*(shown(str(option[part])) for part in ("name", "type", "default", "help")))
        console.print("\n[bold]options[/bold]")
        print_table(rows)
    for name, values in page["variants"].items():
        fields = ", ".join(f"{key}={value}" for key, value in flatten(values).items() if value != {})
        console.print(f"variant [bold]{shown(page['name'])}/{shown(name)}[/bold]  {shown(fields) or 'the defaults'}")


def _print_suite(console: Console, card: dict[str, Any]) -> None:
    if "metrics" not in card:
        return
    console.print(f"\n[bold]task[/bold] {shown(card['task']['name'])}: {shown(card['task']['meaning'])}")
    given = card["task"]["given"]
    keys = known_keys() if set(given) <= set(known_keys()) else load_all_keys()
    for key in given:
        described = keys.get(key) or describe_key(key)
        console.print(shown(f"  given  {key}: {described.meaning} ({described.unit})"))
    console.print(f"  wanted {_text(card['task']['wanted'])}")
    rows = table("metric", "unit", "better", "meaning")
    for metric in card["metrics"]:
        rows.add_row(*(shown(str(metric[part])) for part in ("name", "unit", "better", "meaning")))
    print_table(rows)


def _text(value: Any) -> str:
    return shown(", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value))
