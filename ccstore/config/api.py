"""The REST interface's keys."""

from __future__ import annotations

from attrs import evolve

from . import kinds
from .kinds import Unfit
from .listeners import Ports, read_limits, read_listening
from .secret import has_secret, take_secret
from .section import Section
from .topology_file import take_topology
from .values import ApiConfig

_MIB, _GIB = 2**20, 2**30
_QUERY_TIMEOUT = kinds.positive_duration('a duration longer than 0, such as "10s"')


def read_api(section: Section, ports: Ports) -> ApiConfig:
    """Read the section of the REST interface."""
    listening = read_listening(section, ports, address="localhost", port=8088)
    api = ApiConfig(
        endpoint=listening.endpoint,
        address=listening.address,
        port=listening.port,
        tls=listening.tls,
        idle_timeout=section.take("idle_timeout", kinds.duration, 120.0),
        keep_alives_enabled=section.take("keep_alives_enabled", kinds.boolean, True),
        jwt_public_key=take_secret(section, "jwt_public_key", kinds.public_key),
        require_roles=_read_roles(section),
        enable_swagger_ui=section.take("enable_swagger_ui", kinds.boolean, False),
        max_body=section.take("max_body", kinds.size(2**10, _GIB), 16 * _MIB),
        max_queries=section.take("max_queries", kinds.integer(1, 10**6), 1000),
        max_rows=section.take("max_rows", kinds.integer(1, 10**8), 100000),
        query_timeout=section.take("query_timeout", _QUERY_TIMEOUT, 10.0),
        max_exports=section.take("max_exports", kinds.integer(1, 10**4), 16),
        max_tails=section.take("max_tails", kinds.integer(0, 10**5), 500),
        access_log=section.take("access_log", kinds.boolean, False),
        topology=take_topology(section),
        limits=evolve(
            read_limits(section), cors_origins=section.take("cors_origins", kinds.origins, frozenset())
        ),
    )
    section.finish(is_guarded=True)
    return api


def _read_roles(section: Section) -> bool:
    require_roles = section.take("require_roles", kinds.boolean, False)
    if require_roles and not has_secret(section, "jwt_public_key"):
        # Taken for nothing, it would leave a door open that somebody meant to close.
        section.fail(
            "require_roles", True, Unfit("jwt_public_key beside it: without a key there are no tokens")
        )
    return require_roles
