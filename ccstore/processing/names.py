"""What conditions can name, and what depends on more than the series of a message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

from ccstore.processing.moments import Moment
from ccstore.processing.operations import NO_TEXT, Failed, kind_of, look_up
from ccstore.processing.subject import Subject
from ccstore.timing import SECOND

Run = Callable[[Subject], Any]


@frozen
class Known:
    """Something with a name.

    :ivar kind: what the value is, in the words of :func:`ccstore.processing.operations.kind_of`; ``anything``
        if that depends on the message.
    :ivar is_of_series: it depends on name, tags, meta and kind alone.
    """

    run: Run
    kind: str = "anything"
    is_of_series: bool = True


def _tag(key: str) -> Known:
    return Known(lambda subject: look_up(subject.tags, key))


def _meta(key: str) -> Known:
    return Known(lambda subject: look_up(subject.meta, key))


def _field(key: str) -> Known:
    return Known(lambda subject: look_up(subject.fields, key), is_of_series=False)


def message_type(subject: Subject) -> str:
    return "unknown" if subject.kind == "other" else subject.kind


_TAGS: Final = Known(lambda subject: subject.tags, "a map")
_FIELDS: Final = Known(lambda subject: subject.fields, "a map", is_of_series=False)
_TYPE: Final = Known(message_type, "a string")
_TIME: Final = Known(lambda subject: subject.time // SECOND, "a number", is_of_series=False)

#: Written without a hyphen here, as conditions are read.
NAMES: Final[Mapping[str, Known]] = {
    "name": Known(lambda subject: subject.name, "a string"),
    "messagetype": _TYPE,
    "msgtype": _TYPE,
    "tag": _TAGS,
    "tags": _TAGS,
    "meta": Known(lambda subject: subject.meta, "a map"),
    "field": _FIELDS,
    "fields": _FIELDS,
    "timestamp": _TIME,
    "time": _TIME,
    **{name: _field(name) for name in ("value", "event", "log", "control")},
    **{name: _tag(name) for name in ("type", "typeid", "stype", "stypeid")},
}

_PREFIXES: Final[Mapping[str, Callable[[str], Known]]] = {
    "tag_": _tag,
    "tags_": _tag,
    "field_": _field,
    "fields_": _field,
    "meta_": _meta,
}

#: The names of the message itself, of which only methods can be called.
MESSAGE: Final = ("msg", "message")


def find(name: str) -> Known | None:
    """What has this name, or None."""
    known = NAMES.get(name)
    if known is None:
        for prefix, make in _PREFIXES.items():
            if name.startswith(prefix) and len(name) > len(prefix):
                return make(name.removeprefix(prefix))
    return known


def _of(place: str) -> Callable[[Subject, Any], Any]:
    def get(subject: Subject, key: Any) -> Any:
        if not isinstance(key, str):
            raise Failed(f"expected a string as the key, got {kind_of(key)}")
        return look_up(getattr(subject, place), key)

    return get


def _text_of(place: str) -> Callable[[Subject, Any], str]:
    get = _of(place)

    def get_text(subject: Subject, key: Any) -> str:
        value: str | None = get(subject, key)
        return NO_TEXT if value is None else value

    return get_text


def _has(place: str) -> Callable[[Subject, Any], bool]:
    get = _of(place)
    return lambda subject, key: get(subject, key) is not None


def _text(field: str) -> Callable[[Subject], str]:
    """A field that is text; if it is not, an empty string, as in Go."""

    def get(subject: Subject) -> str:
        value = subject.fields.get(field)
        return value if isinstance(value, str) else ""

    return get


def _metric_value(subject: Subject) -> Any:
    return subject.fields.get("value") if subject.kind == "metric" else None


def _control_method(subject: Subject) -> str:
    return subject.tags.get("method", "") if subject.kind == "control" else ""


def _job_event(subject: Subject) -> str:
    is_one = subject.kind == "event" and subject.name in ("start_job", "stop_job")
    return subject.name if is_one else ""


def _is(kind: str) -> Callable[[Subject], bool]:
    return lambda subject: subject.kind == kind


@frozen
class Method:
    """A method of the message; ``arguments`` is how many it takes besides the message."""

    run: Callable[..., Any]
    arguments: int
    kind: str
    is_of_series: bool = True


METHODS: Final[Mapping[str, Method]] = {
    "Name": Method(lambda subject: subject.name, 0, "a string"),
    "Time": Method(lambda subject: Moment(subject.time), 0, "a time", is_of_series=False),
    "Tags": Method(lambda subject: subject.tags, 0, "a map"),
    "Meta": Method(lambda subject: subject.meta, 0, "a map"),
    "Fields": Method(lambda subject: subject.fields, 0, "a map", is_of_series=False),
    "HasTag": Method(_has("tags"), 1, "a truth value"),
    "GetTag": Method(_text_of("tags"), 1, "anything"),
    "HasMeta": Method(_has("meta"), 1, "a truth value"),
    "GetMeta": Method(_text_of("meta"), 1, "anything"),
    "HasField": Method(_has("fields"), 1, "a truth value", is_of_series=False),
    "GetField": Method(_of("fields"), 1, "anything", is_of_series=False),
    "IsEvent": Method(_is("event"), 0, "a truth value"),
    "IsLog": Method(_is("log"), 0, "a truth value"),
    "IsMetric": Method(_is("metric"), 0, "a truth value"),
    "IsControl": Method(_is("control"), 0, "a truth value"),
    "IsQuery": Method(_is("query"), 0, "a truth value"),
    "IsJobEvent": Method(_job_event, 0, "a string"),
    "GetMetricValue": Method(_metric_value, 0, "anything", is_of_series=False),
    "GetEventValue": Method(_text("event"), 0, "a string", is_of_series=False),
    "GetLogValue": Method(_text("log"), 0, "a string", is_of_series=False),
    "GetControlValue": Method(_text("control"), 0, "a string", is_of_series=False),
    "GetControlMethod": Method(_control_method, 0, "a string"),
    "GetQueryValue": Method(_text("query"), 0, "a string", is_of_series=False),
}
#: What a message has besides in Go: it would be changed, or written in another form.
METHODS_NOT_YET: Final = (
    *("MessageType", "GetJob", "String", "ToPoint", "ToLineProtocol", "ToJSON", "SetName", "SetTime"),
    *("AddTag", "RemoveTag", "AddMeta", "RemoveMeta", "AddField", "RemoveField"),
)
#: The function that tells the time.
NOW: Final = Known(lambda subject: Moment(int(subject.clock() * SECOND)), "a time", is_of_series=False)
