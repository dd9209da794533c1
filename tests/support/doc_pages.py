"""The documents, as headings, blocks of code and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.support.running_daemon import ROOT

PAGES: Final = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
}


def sections(page: str) -> Iterator[tuple[str, str]]:
    """The headings of a page, each with what stands below it up to the next one."""
    # A line in a block of code may look like a heading.
    parts = re.split(r"^(#+ .*|```[^`]*^```)$", PAGES[page], flags=re.MULTILINE)
    heading, text = "", ""
    for part in parts:
        if part.startswith("#") and "\n" not in part:
            if heading:
                yield heading, text
            heading, text = part.lstrip("# "), ""
        else:
            text += part
    yield heading, text


def blocks(page: str, heading: str, language: str = "sh") -> list[str]:
    """The blocks of code of a section."""
    (section,) = [text for name, text in sections(page) if name == heading]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def commands(page: str, heading: str) -> list[str]:
    """The shell commands of a section, one for each line of its blocks."""
    return [line for block in blocks(page, heading) for line in block.splitlines()]


def code_spans() -> Iterator[tuple[str, str]]:
    """What stands in backticks, with its page, and each line of the blocks of commands."""
    for page, text in PAGES.items():
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            yield from ((page, line) for line in block.splitlines())
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        yield from ((page, " ".join(span.split())) for span in re.findall(r"`([^`]+)`", text))


def rows(page: str) -> list[list[str]]:
    """The rows of all tables of a page, without their heads."""
    found = [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for line in PAGES[page].splitlines()
        if line.startswith("|")
    ]
    rules = {place for place, cells in enumerate(found) if set("".join(cells)) <= set("- ")}
    return [cells for place, cells in enumerate(found) if not {place, place + 1} & rules]
