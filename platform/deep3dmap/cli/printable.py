"""Makes untrusted text safe to print."""

from rich.markup import escape


def printable(text: str) -> str:
    """Return text with control characters replaced, so that a terminal does not interpret them; newlines and tabs stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def shown(text: str) -> str:
    """Return text that Rich prints literally: markup escaped, control characters replaced."""
    return escape(printable(text))
