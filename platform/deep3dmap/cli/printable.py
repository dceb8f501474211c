"""Text of foreign origin, made safe to print."""

from rich.markup import escape


def printable(text: str) -> str:
    """Return text without control characters, which a terminal would obey; line breaks and tabs stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def shown(text: str) -> str:
    """Return text that Rich prints as it stands: no markup, no control characters."""
    return escape(printable(text))
