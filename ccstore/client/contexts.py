"""Which server the client talks to: by its options, the environment, and a file with named contexts."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from ccstore.client.credentials import checked_token, token_in
from ccstore.client.session import ClientError
from ccstore.config.document import Object, read_object, repeated_keys
from ccstore.config.kinds import Unfit, text
from ccstore.config.section import Place, Report, Section, Surroundings
from ccstore.config.values import HIDDEN, ConfigError, Words

DEFAULT_URL: Final = "http://127.0.0.1:8088"
_EXPECTED_URL: Final = f"a URL such as {DEFAULT_URL}"


@frozen
class Context:
    """A server as the file names it.

    :ivar token: or the file that has it, or neither.
    :ivar ca: PEM file with the certificates of who may sign the server's.
    """

    name: str
    url: str
    token: str | None = None
    token_file: str | None = None
    ca: str | None = None


@frozen
class Contexts:
    """What the file has.

    :ivar current: the name of the one that is used if none is named.
    :ivar warnings: about the file.
    """

    path: Path
    known: Mapping[str, Context]
    current: str | None = None
    warnings: tuple[str, ...] = ()

    def named(self, name: str) -> Context:
        """The context of a name. Raises :class:`ClientError`."""
        if name not in self.known:
            has = f"it has {', '.join(self.known)}" if self.known else "it has none"
            raise ClientError(f"--context: there is no context {name!r} in {self.path}: {has}")
        return self.known[name]


def path_of(environ: Mapping[str, str]) -> Path:
    """Where the file is."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if folder.startswith("/") else Path(environ.get("HOME") or "/") / ".config"
    return base / "ccstore" / "client.yaml"


def read_contexts(environ: Mapping[str, str]) -> Contexts:
    """The file of this user; if there is none, it has no contexts. Raises :class:`ClientError`."""
    path = path_of(environ)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Contexts(path, {})
    except OSError as error:
        raise ClientError(f"cannot read {path}: {(error.strerror or '').lower()}") from None
    report = Report()
    here = Place(report, str(path))
    try:
        known, current = _read(here, read_object(path), Surroundings(path.parent, path.parent, environ))
        report.raise_problems()
    except Unfit as error:
        raise ClientError(f"{path}: expected {error.expected}, got {error.value or 'nothing'}") from None
    except ConfigError as error:
        raise ClientError("; ".join(str(error).splitlines())) from None
    warnings = list(report.warnings())
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and any(context.token for context in known.values()):
        warnings.append(f"others may read {path}, and it has a token: chmod 600 {path}")
    return Contexts(path, known, current, tuple(warnings))


def _read(here: Place, data: Object, surroundings: Surroundings) -> tuple[dict[str, Context], str | None]:
    for way, key, where in repeated_keys(data):
        path = ".".join(map(str, [*way, key]))
        here.inside(path).problem(Words(f"the key a second time{where}"), "each key once")
    top = Section(here, data, surroundings)
    current = top.take("current", text, None)
    contexts = top.value("contexts")
    known: dict[str, Context] = {}
    place = top.place("contexts")
    if contexts is not None and not isinstance(contexts, Object):
        place.problem(contexts, "an object, with the name of each context as a key")
    elif contexts is not None:
        for index, (name, value) in enumerate(contexts.items()):
            if isinstance(value, Object):
                known[name] = _context(name, Section(place.inside(name, index), value, surroundings))
            else:
                place.inside(name, index).problem(
                    value, "an object with url and, if needed, token_file and ca"
                )
    if current is not None and current not in known:
        names = f"one of {', '.join(known)}" if known else "the name of a context, of which there is none"
        top.place("current").problem(current, names)
    top.finish(is_guarded=True)
    return known, current


def _context(name: str, section: Section) -> Context:
    url = section.require("url", _url, _EXPECTED_URL)
    token_file = section.take("token_file", text, None)
    token = section.take("token", _secret, None)
    if token is not None and token_file is not None:
        section.place("token").problem(Words("token and token_file"), "one of them")
    ca = section.take("ca", text, None)
    section.finish(is_guarded=True)
    files = [None if each is None else str(_beside(each, section)) for each in (token_file, ca)]
    return Context(name, url or DEFAULT_URL, token, *files)


def _beside(name: str, section: Section) -> Path:
    """A file that is named relative to the one that names it."""
    return section.surroundings.folder / Path(name).expanduser()


def _secret(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit("a string (in quotes)", HIDDEN)
    return value


def _url(value: object) -> str:
    if not isinstance(value, str) or not is_url(value):
        raise Unfit(_EXPECTED_URL)
    return value


def checked_url(url: str, where: str) -> str:
    """The same. Raises :class:`ClientError` with where it comes from."""
    if not is_url(url):
        raise ClientError(f"{where}: expected {_EXPECTED_URL}, got {url!r}")
    return url


def is_url(url: str) -> bool:
    """Whether it can be the URL of a REST interface."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
    return is_good and url.isascii() and not (parts.query or parts.fragment or parts.username)


@frozen
class Target:
    """Whom to talk to.

    :ivar ca: as :attr:`Context.ca`, or what ``--ca`` names.
    """

    url: str
    token: str | None
    ca: str | None
    warnings: tuple[str, ...] = ()


def target(
    environ: Mapping[str, str],
    *,
    url: str | None = None,
    context: str | None = None,
    token_file: str | None = None,
    ca: str | None = None,
) -> Target:
    """Whom the options mean, else the environment, else the file. Raises :class:`ClientError`.

    A token of the file goes to no other server than that of its context, unless the option names that.
    """
    warnings: tuple[str, ...] = ()
    found = None
    by_environ = environ.get("CCSTORE_URL")
    if context is not None or not (url or by_environ):
        contexts = read_contexts(environ)
        warnings = contexts.warnings
        name = context if context is not None else contexts.current
        found = contexts.named(name) if name is not None else None
    if url:
        chosen = checked_url(url, "--url")
    elif context is not None and found is not None:
        chosen = found.url
    elif by_environ:
        chosen = checked_url(by_environ, "$CCSTORE_URL")
    else:
        chosen = found.url if found is not None else DEFAULT_URL
    token = _token(environ, token_file, found, is_named=context is not None)
    return Target(chosen, token, ca or (found.ca if found is not None else None), warnings)


def _token(
    environ: Mapping[str, str], token_file: str | None, found: Context | None, *, is_named: bool
) -> str | None:
    if token_file is not None:
        return token_in(Path(token_file), "--token-file", f"--token-file {token_file}")
    by_environ = environ.get("CCSTORE_TOKEN", "").removeprefix("\ufeff").strip()
    if by_environ and not (is_named and found is not None and (found.token or found.token_file)):
        return checked_token(by_environ, "$CCSTORE_TOKEN")
    if found is None:
        return None
    if found.token is not None:
        return checked_token(found.token, f"the token of the context {found.name!r}")
    if found.token_file is not None:
        where = f"the token_file of the context {found.name!r}"
        return token_in(Path(found.token_file), where, f"{where}, {found.token_file}")
    return None
