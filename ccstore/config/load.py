"""From the central file to the checked configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

from ccstore.logs import LEVELS

from . import kinds
from .api import read_api
from .document import Object, read_object, repeated_keys
from .kinds import Unfit
from .listeners import Ports
from .postgres import read_postgres
from .receivers import READERS, read_receivers
from .rule_section import read_rule_keys
from .section import Place, Report, Section, Surroundings
from .storage import read_spool, read_sqlite, read_storage
from .values import NOTHING, Config, Words

# The names under which the central file may give each part, as an object or as the path of a file.
PARTS = {
    "receivers": ("receivers", "receiver", "receivers-file", "receiver-file"),
    "storage": ("storage", "storage-file"),
    "api": ("api", "api-file"),
}


def load_config(path: Path | None, *, cwd: Path, environ: Mapping[str, str], lenient: bool = False) -> Config:
    """
    Load and check the configuration; None stands for the one that is built in.

    :param path: the central file, JSON or YAML; if relative, from ``cwd``.
    :param cwd: the working directory; relative paths in the files are looked up here, then beside ``path``.
    :param environ: where ``<key>_env`` finds its variable.
    :param lenient: only warn of keys that are not known, whatever they look like; so it is in any case with
        the four files of cc-event-store.
    :raises ConfigError: with everything that is wrong, in the order of the file.
    """
    here = Place(Report(lenient), "built-in configuration" if path is None else str(path))
    cwd = Path(os.path.abspath(cwd))
    folder = cwd if path is None else (cwd / path).parent
    central = _built_in() if path is None else _open_object(here, cwd / path)
    if central is None:
        here.report.raise_problems()
        central = Object()
    if _is_in_four_files(central):
        here = evolve(here, report=evolve(here.report, is_lenient=True))
    return _read_central(here, central, Surroundings(cwd, folder, environ))


def _is_in_four_files(central: Object) -> bool:
    """Whether the parts are all in files of their own, as in cc-event-store."""
    names = {name for aliases in PARTS.values() for name in aliases}
    parts = [value for key, value in central.items() if key.lower() in names and value is not None]
    return bool(parts) and all(isinstance(part, str) for part in parts)


def _read_central(here: Place, central: Object, surroundings: Surroundings) -> Config:
    section = Section(here, central, surroundings)
    section.ignore("main")
    log_level = section.take("log_level", kinds.choice(*LEVELS), None)
    receivers_part = _find_part(section, "receivers", "the receivers, or {} for none")
    storage_part = _find_part(section, "storage", "the storage, with its backend")
    api_part = _find_part(section, "api", None)
    section.finish()

    ports = Ports()
    receivers = read_receivers(*receivers_part, surroundings, ports) if receivers_part else ()
    storage = read_storage(Section(*storage_part, surroundings)) if storage_part else None
    api = read_api(Section(*api_part, surroundings), ports) if api_part else None
    here.report.raise_problems()
    # Without a part there was a problem.
    assert storage is not None
    assert api is not None
    return Config(
        receivers=receivers, storage=storage, api=api, warnings=here.report.warnings(), log_level=log_level
    )


def _find_part(section: Section, part: str, required: str | None) -> tuple[Place, Object] | None:
    """Give the object of a part and its place; None after a problem. A part not required may be empty."""
    given = [alias for alias in PARTS[part] if section.has(alias)]
    if not given:
        place = section.here.inside(part)
        if required is None:
            return place, Object()
        place.problem(NOTHING, required)
        return None
    for alias in given[1:]:
        section.place(alias).problem(section.value(alias), f"only one of {' and '.join(given)}")
    value = section.value(given[0])
    # Whichever name was used, problems in a part are shown under one.
    place = Place(section.here.report, section.here.file, part, section.place(given[0]).position)
    if isinstance(value, Object):
        return place, value
    if isinstance(value, str) and value and "\0" not in value:
        return _open_part(section, given[0], value, place)
    section.place(given[0]).problem(value, "an object, or the path of a file")
    return None


def _open_part(section: Section, alias: str, name: str, inline: Place) -> tuple[Place, Object] | None:
    try:
        path = section.surroundings.find(name)
    except Unfit as error:
        section.fail(alias, name, error)
        return None
    place = Place(inline.report, str(path), inline.key, inline.position)
    data = _open_object(place, path)
    return None if data is None else (place, data)


def _open_object(place: Place, path: Path) -> Object | None:
    try:
        data = read_object(path)
    except Unfit as error:
        place.unfit(NOTHING, error)
        return None
    for way, key, where in repeated_keys(data):
        _twice(place, data, [*way, key]).problem(Words(f"the key a second time{where}"), "each key only once")
    return data


def _twice(place: Place, data: object, way: list[str | int]) -> Place:
    for step in way:
        if isinstance(step, str) and isinstance(data, Object):
            place, data = place.inside(step, list(data).index(step)), data[step]
        elif isinstance(step, int) and isinstance(data, list):
            place, data = place.inside(str(step), step), data[step]
    return place


def _built_in() -> Object:
    """What the daemon does without a configuration file: everything on the loopback, to try it out."""
    return _as_object(
        {
            "receivers": {
                "tcp": {"type": "tcp", "address": "127.0.0.1"},
                "udp": {"type": "udp", "address": "127.0.0.1"},
                "http": {"type": "http", "address": "127.0.0.1"},
            },
            "storage": {"backend": {"type": "sqlite", "database_path": "ccstore.db"}},
            "api": {"address": "127.0.0.1", "enable_swagger_ui": True},
        }
    )


def _as_object(data: Mapping[str, object]) -> Object:
    made = Object()
    for key, value in data.items():
        made[key] = _as_object(value) if isinstance(value, dict) else value
    return made


def known_keys() -> dict[str, frozenset[str]]:
    """
    Give every key there is, for each section: what a commented example has to explain.

    The readers are the only list of keys, so they are run on an empty object and asked what they looked for.
    """
    surroundings = Surroundings(Path("/"), Path("/"), {})
    names = ("storage", "sqlite", "postgres", "spool", "api", "process_messages", *READERS)
    sections = {name: Section(Place(Report(), ""), Object(), surroundings) for name in names}
    read_storage(sections["storage"])
    read_sqlite(sections["sqlite"])
    read_postgres(sections["postgres"])
    read_spool(sections["spool"])
    read_api(sections["api"], Ports())
    read_rule_keys(sections["process_messages"], "")
    for name, reader in READERS.items():
        reader(sections[name], name, Ports())
        sections[name].ignore("type")
    central = {"main", "log_level"}.union(*PARTS.values())
    return {"": frozenset(central), **{name: frozenset(section.known) for name, section in sections.items()}}
