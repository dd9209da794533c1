"""The house keeps its own rules, as far as they can be counted: sizes, names, docstrings, who knows whom."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.running_daemon import ROOT

#: Lines of a file, methods and attributes of a class, lines of a function without its docstring.
LINES: Final = 500
METHODS: Final = 15
ATTRIBUTES: Final = 12
STATEMENTS: Final = 50

#: Classes and functions over a limit. A comment there says why it reads better whole, or it is to be divided.
WHOLE: Final = {
    "ccstore/api/app.py": {"Api"},
    "ccstore/api/reading_routes.py": {"ReadingRoutes"},
    "ccstore/lineprotocol/entry.py": {"Entry"},
    "ccstore/processing/parser.py": {"Parser"},
    "ccstore/storage/blocks/block_format.py": {"Block"},
    "ccstore/storage/postgres/backend.py": {"PostgresBackend"},
    "ccstore/storage/postgres/dialect.py": {"PostgresDialect"},
    "ccstore/storage/reading/dialect.py": {"Dialect"},
    "ccstore/storage/sqlite/backend.py": {"SqliteBackend"},
    "ccstore/storage/sqlite/dialect.py": {"SqliteDialect"},
    "ccstore/storage/sqlite/housekeeping.py": {"Housekeeping"},
    "ccstore/storage/sqlite/remote_writer.py": {"RemoteHousekeeping"},
    "ccstore/web/channel.py": {"Channel"},
}

#: Files that do the same job in both backends; two of these names belong to what they have in common as well.
SAME_JOB: Final = {
    *(
        "asking",
        "backend",
        "copying_in",
        "dialect",
        "driver_errors",
        "expiry",
        "export",
        "housekeeping",
        "reader",
    ),
    *("sizes", "streams", "views", "writer"),
}

#: Who may know whom: each room those below it, and none beside it. A file at the top is a room of its own.
LEVELS: Final = (
    {"__main__"},
    {"shell"},
    {"cli"},
    {"tap", "client", "importing"},
    {"commands"},
    {"daemon"},
    {"api", "loki", "page", "receivers"},
    {"web", "reading"},
    {"network"},
    {"config"},
    {"processing"},
    {"pipeline", "storage"},
    {"lineprotocol"},
    {"interfaces"},
    {"keeping", "patterns"},
    {"insight"},
    {"senders"},
    {"query", "batch", "holdings"},
    {"accounting"},
    {"instants"},
    {"message"},
    {"hostlist", "spellings"},
    {
        *("__init__", "durations", "errors", "installing", "logs", "permissions", "pieces", "regex"),
        *("masking", "times", "timing"),
    },
)
#: Those who must not know what is below them, since an interface stands between.
APART: Final = {
    *((room, "storage") for room in ("api", "loki", "page", "receivers", "web", "network", "config")),
    ("processing", "storage"),
}

#: Private names of Twisted that the channel cannot do without.
OF_TWISTED: Final = {"_tempDataLen", "_path", "_command"}
OF_NAMED_TUPLES: Final = {"_replace", "_make", "_asdict", "_fields"}


@cache
def sources(top: str) -> Mapping[str, ast.Module]:
    """The modules below a folder, by their paths from the root."""
    paths = sorted((ROOT / top).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in paths}


def all_files() -> list[Path]:
    return [ROOT / path for top in ("ccstore", "tests", "benchmarks") for path in sources(top)]


# --- sizes ----------------------------------------------------------------------------------------------


def test_no_file_is_too_long() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in all_files()
        if len(path.read_text("utf-8").splitlines()) > LINES
    }
    assert found == set()


@pytest.mark.parametrize("path", sources("ccstore"))
def test_no_class_and_no_function_is_too_large(path: str) -> None:
    found = set()
    for node in ast.walk(sources("ccstore")[path]):
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if is_function(each)]
            # A class without methods is a value, and has as many attributes as there are things to say.
            if len(methods) > METHODS or (methods and len(attributes_of(node)) > ATTRIBUTES):
                found.add(node.name)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and length_of(node) > STATEMENTS:
            found.add(node.name)
    assert found - WHOLE.get(path, set()) == set()


def is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def attributes_of(node: ast.ClassDef) -> set[str]:
    """The names that a class declares, and those that its methods give to ``self``."""
    found = {
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and is_named(each.value):
            found.add(each.attr)
    return found


def is_named(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in (names or ("self",))


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = len((ast.get_docstring(node) or "").splitlines())
    return (node.end_lineno or 0) - node.lineno + 1 - documented


# --- names ----------------------------------------------------------------------------------------------


def test_files_with_different_jobs_have_different_names() -> None:
    places = defaultdict(set)
    for path in all_files():
        if not path.stem.startswith("__") and path.stem != "conftest":
            places[path.stem].add(path.relative_to(ROOT).parent)
    shared = {name: found for name, found in places.items() if len(found) > 1}
    for name in SAME_JOB & set(shared):
        # Nobody outside of the storage takes a name of both backends.
        assert all(str(place).startswith("ccstore/storage") for place in shared[name]), name
    assert set(shared) - SAME_JOB == set()


@pytest.mark.parametrize("path", sources("ccstore"))
def test_what_is_private_stays_so(path: str) -> None:
    tree = sources("ccstore")[path]
    own = set(names_given(tree)) | OF_TWISTED | OF_NAMED_TUPLES
    taken = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("ccstore")):
            taken |= {alias.name for alias in node.names if is_private(alias.name)}
        elif (
            isinstance(node, ast.Attribute)
            and is_private(node.attr)
            and node.attr not in own
            and not is_named(node.value, "self", "cls")  # what a class has from its base is its own
        ):
            taken.add(node.attr)
    assert taken == set()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def names_given(tree: ast.Module) -> Iterator[str]:
    """Whatever gets its name in this module."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


# --- docstrings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources("ccstore"))
def test_what_is_public_says_what_it_is_for(path: str) -> None:
    tree = sources("ccstore")[path]
    assert ast.get_docstring(tree), "the module"
    assert [*unsaid(tree)] == []


def unsaid(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    """Public classes, functions and methods without a docstring.

    A method of a class that has bases may be without: it does what its base says.
    """
    has_bases = isinstance(tree, ast.ClassDef) and bool(tree.bases)
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_":
            name = prefix + node.name
            is_class = isinstance(node, ast.ClassDef)
            if ast.get_docstring(node) is None and (is_class or not has_bases):
                yield name
            if is_class:
                yield from unsaid(node, f"{name}.")


# --- who knows whom -------------------------------------------------------------------------------------


def test_rooms_know_only_what_is_below_them() -> None:
    rooms = {place.stem for place in (ROOT / "ccstore").iterdir() if is_room(place)}
    levels = {room: number for number, level in enumerate(LEVELS) for room in level}
    assert rooms - set(levels) == set(), "who may know it?"
    wrong = {
        (path, other)
        for path, tree in sources("ccstore").items()
        for other in rooms_known(tree)
        if (room := room_of(path)) != other and (levels[other] <= levels[room] or (room, other) in APART)
    }
    assert wrong == set()


def test_the_backends_do_not_know_each_other() -> None:
    for one, other in (("sqlite", "postgres"), ("postgres", "sqlite")):
        for path, tree in sources(f"ccstore/storage/{one}").items():
            known = [
                module for module in modules_known(tree) if module.startswith(f"ccstore.storage.{other}")
            ]
            assert known == [], path


def is_room(place: Path) -> bool:
    return place.suffix == ".py" or (place / "__init__.py").exists()


def room_of(path: str) -> str:
    return Path(path).parts[1].removesuffix(".py")


def rooms_known(tree: ast.Module) -> set[str]:
    return {module.split(".")[1] for module in modules_known(tree)}


def modules_known(tree: ast.Module) -> Iterator[str]:
    """The modules of ours that are imported anywhere in one, but for those that only types need."""
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and is_for_types(node.test)]
    skipped = {id(node) for block in typing for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            if node.module == "ccstore":
                for alias in node.names:
                    is_module = not alias.name.startswith("__")
                    yield f"ccstore.{alias.name}" if is_module else "ccstore.__init__"
            elif (node.module or "").startswith("ccstore."):
                yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ccstore."))


def is_for_types(test: ast.expr) -> bool:
    return is_named(test, "TYPE_CHECKING")
