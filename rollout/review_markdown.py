"""Markdown that no name, value or message can break, and a comment that keeps to GitHub's limit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.review_values import Difference, Opaque, Special, confidential, path_text

LIMIT: Final = 65_536  # characters of a GitHub comment
_LONGEST_NAME: Final = 120
_LONGEST_VALUE: Final = 60
_HARMLESS = re.compile(r"[^`|\\<>&]+")


def plain(text: str, longest: int) -> str:
    """One line without control characters or halves of them, cut to `longest`."""
    words = " ".join("".join(_visible(character) for character in text).split())
    return words if len(words) <= longest else words[: longest - 1] + "…"


def _visible(character: str) -> str:
    # Line ends are blanks; what turns or hides text (bidirectional marks, lone surrogates) is shown as a mark.
    if character.isspace():
        return " "
    return "\ufffd" if unicodedata.category(character) in {"Cc", "Cf", "Cs"} else character


def code(text: str, longest: int = _LONGEST_NAME) -> str:
    """Text as code, in a paragraph, a list or a table alike.

    What could end the code or a table's cell is written as HTML: character references never are structure.
    """
    words = plain(text, longest)
    if _HARMLESS.fullmatch(words):
        return f"`{words}`"
    return "<code>" + re.sub(r"[^\w ]", lambda match: f"&#{ord(match[0])};", words or " ") + "</code>"


def prose(text: str, longest: int) -> str:
    """A word or two as text: what could mean something to Markdown, or to GitHub after it, is left out."""
    return re.sub(r"[^\w ().',-]|_", " ", plain(text, longest)).strip() or "?"


def block(text: str, longest: int = 2_000) -> list[str]:
    """Text of several lines as a block of code, its lines as they are."""
    lines = [_line(line) for line in text.split("\n")]
    shown = "\n".join(lines)
    if len(shown) > longest:
        lines = [*shown[:longest].split("\n"), "…"]
    runs = [len(run) for line in lines for run in re.findall("`+", line)]
    fence = "`" * max(3, *(run + 1 for run in runs), 3)
    return [f"{fence}text", *lines, fence]


def _line(text: str) -> str:
    return "".join(" " if character == "\t" else _visible(character) for character in text).rstrip()


def value(shown: Any, path: Sequence[str | int] = ()) -> str:  # noqa: ANN401 - a JSON value
    """A property's value: a plain one as code, a secret never, anything larger by what it is."""
    if isinstance(shown, Special):
        return shown.value
    if isinstance(shown, Opaque):
        return "a file"
    if isinstance(shown, dict | list):
        return "a map" if isinstance(shown, dict) else "a list"
    if isinstance(shown, str):
        if confidential(tuple(path)):
            return "not shown"
        return code(shown, _LONGEST_VALUE) if shown.strip() else '`""`'
    words = {True: "true", False: "false"}[shown] if isinstance(shown, bool) else str(shown)
    return code("null" if shown is None else words, _LONGEST_VALUE)


def changed(entry: Difference) -> str:
    """A property and its values: `path`: `1` → `2`."""
    name = code(path_text(entry.path) or "all of it")
    if entry.old == entry.new:  # only the plugin sees a difference, in a secret for instance
        return f"{name}: changes" + (f" ({entry.new.value})" if entry.new is Special.SECRET else "")
    return f"{name}: {value(entry.old, entry.path)} → {value(entry.new, entry.path)}"


@dataclass(frozen=True)
class Section:
    """A part of the comment, of which items can be left out.

    Attributes:
        head: lines before the items.
        items: each of one or more lines.
        tail: lines after them.
        more: the line that stands for items left out, with {} for their number.
    """

    head: Sequence[str]
    items: Sequence[str] = ()
    tail: Sequence[str] = field(default=("",))
    more: str = "- … and {} more"


def comment(sections: Sequence[Section]) -> str:
    """Return the sections as one text within the limit; where it is too long, items go, those of the end first."""
    counts = [len(section.items) for section in sections]
    while (excess := _length(text := _text(sections, counts)) - LIMIT) > 0:
        last = max((index for index, count in enumerate(counts) if count), default=None)
        if last is None:
            return text[: LIMIT // 2]
        items = sections[last].items
        while counts[last] and excess > -40:  # the line that says how many are missing needs room as well
            counts[last] -= 1
            excess -= _length(items[counts[last]]) + 1
    return text


def _text(sections: Sequence[Section], counts: Sequence[int]) -> str:
    lines: list[str] = []
    for section, count in zip(sections, counts, strict=True):
        lines += [*section.head, *section.items[:count]]
        if missing := len(section.items) - count:
            lines.append(section.more.format(missing))
        lines += section.tail
    return "\n".join(lines).strip("\n") + "\n"


def _length(text: str) -> int:
    """Length as GitHub may count it at most: in UTF-16 units."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)
