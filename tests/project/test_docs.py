"""The documents hold: their links lead somewhere, and what they list is what the program has."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from itertools import chain
from typing import Final

import pytest

from ccstore.config import known_keys
from tests.support import metric_names
from tests.support.doc_pages import PAGES, code_spans, rows, sections
from tests.support.running_daemon import ROOT

# --- links, names ---------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """Where a heading is found, as the sites that show such files make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_internal_link_leads_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", PAGES[page], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        file, _, place = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if place:
            there = str(path.resolve().relative_to(ROOT))
            assert place in [anchor(heading) for heading, _ in sections(there)], target


def test_every_page_is_in_the_contents_and_in_the_readme() -> None:
    for name in (name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")):
        if name != "README.md":
            assert f"]({name})" in PAGES["docs/README.md"], name
            assert f"](docs/{name})" in PAGES["README.md"], name


def test_the_readme_is_two_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) < 125


def test_every_file_that_is_named_exists() -> None:
    ours = re.compile(r"(?:ccstore|tests|conf|docs|benchmarks|twisted|\.ci|\.github)/[\w./-]*")
    for page, span in code_spans():
        if ours.fullmatch(span) and page != "CHANGELOG.md":
            assert (ROOT / span).exists(), f"{page}: {span}"


# --- what the program has -------------------------------------------------------------------------------


#: Where each section of the configuration is described.
SECTIONS: Final = {
    "": "The outermost keys",
    **{kind: f"Type `{kind}`" for kind in ("tcp", "udp", "http", "eecpt", "nats")},
    "storage": "Storage",
    "sqlite": "Backend `sqlite`",
    "postgres": "Backend `postgres`",
    "spool": "Spool",
    "api": "API",
    "process_messages": "Rules of a receiver",
}


@pytest.mark.parametrize("section", known_keys())
def test_every_setting_is_described(section: str) -> None:
    described = dict(sections("docs/configuration.md"))[SECTIONS[section]]
    assert known_keys()[section] - set(re.findall(r"`(\w+(?:-file)?)`", described)) == set()


def test_every_metric_is_listed() -> None:
    """Those of the program are held to the same list by tests/api/test_metrics.py."""
    parts: list[Mapping[str, str]] = [
        *metric_names.RECEIVERS.values(),
        *(metric_names.FIRST, metric_names.BOOKS, metric_names.MANAGER, metric_names.STORAGE),
        *(metric_names.SPOOL, metric_names.BACKEND, metric_names.SQLITE, metric_names.POSTGRES),
        metric_names.SENDERS,
        {
            "ccstore_backend_errors_total": "counter",
            "ccstore_backend_max_bytes": "gauge",
            "ccstore_receiver_certificate_expires": "gauge",
        },
    ]
    known = {name: kind.replace("unknown", "untyped") for part in parts for name, kind in part.items()}
    listed = {cells[0].strip("`"): cells[1] for cells in rows("docs/metrics.md")}
    assert listed == known
    # What they are is said in the program's words.
    said = " ".join(cells[2] for cells in rows("docs/metrics.md"))
    for what in explanations():
        assert what in said


def explanations() -> set[str]:
    """What the figures say of themselves, as it stands in the program."""
    kinds = ("counter", "counters", "gauge")
    found = set()
    for path in (ROOT / "ccstore").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in kinds:
                for what in node.args[1:2]:
                    if isinstance(what, ast.Constant):
                        found.add(str(what.value))
    assert len(found) > 40
    return found


def test_every_message_is_one_of_the_programs() -> None:
    texts = "\n".join(sorted(messages()))
    #: Words of others: of the operating system, of SQLite, of twistd.
    foreign = {"address already in use", "permission denied", "cannot assign requested address"}
    foreign |= {"Unknown command: ccstore"}
    quoted = [re.findall(r"`([^`]+)`", first) for first, *_ in rows("docs/troubleshooting.md")]
    assert all(quoted)
    unknown = [
        words
        for message in chain.from_iterable(quoted)
        for words in (part.strip(" ;,():") for part in message.split("…"))
        if words not in texts and words not in foreign
    ]
    assert unknown == []


def messages() -> set[str]:
    """All texts that are in the program, with what is put into them left out."""
    found = set()
    for path in (ROOT / "ccstore").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                found.add("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"\{\w+\}", "\0", node.value))
    return found


def test_every_dependency_has_its_reason() -> None:
    table = dict(sections("docs/architecture.md"))["Dependencies"].lower()
    setup = (ROOT / "setup.py").read_text()
    listed = re.findall(
        r'^    "([A-Za-z][\w.-]*)', setup.split("INSTALL = [")[1].split("TEST = [")[0], re.MULTILINE
    )
    assert len(listed) > 10
    for name in listed:
        assert f"[{name.lower()}]" in table, name
