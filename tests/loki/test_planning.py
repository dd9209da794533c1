"""What the store finds and what is left to do are together what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from ccstore.loki.label_names import metadata_of, stream_labels
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.pipeline import Line, passes, steps_of
from ccstore.loki.planning import plan_of
from ccstore.loki.syntax import LabelFilter, LogQuery
from ccstore.message import Message
from ccstore.storage.reading.evaluate import evaluate
from tests.support.stores import NOW, message

matchers = st.sampled_from(
    (
        *(
            'cluster="alex"',
            'cluster=~"a.*|f.*"',
            'cluster!="alex"',
            'kind="log"',
            'kind!="log"',
            'kind=~"l.*"',
        ),
        *(
            'hostname="a"',
            'hostname!~"a|b"',
            'hostname=""',
            'name="job"',
            'service_name=~"j.b"',
            'type_id="3"',
        ),
        *('jobid="7"', 'jobid!="7"', 'job_id="8"', 'job_id=""', 'level="error"', 'detected_level!="error"'),
        *('tag_name="x"', 'nothing=~".*"', 'nothing!=""'),
    )
)
stages = st.sampled_from(
    (
        *(
            '|= "a"',
            '|= "a" or "n="',
            '!= "b"',
            '|~ "(?i)A"',
            '!~ "^a" or "b$"',
            '|> "<_>=<_>"',
            '!> "a<_>"',
            '|= ""',
        ),
        *(
            '| hostname="a"',
            '| hostname="a" or jobid="7"',
            '| jobid="7", name!="x"',
            '| detected_level="error"',
        ),
        *("| json", "| logfmt", "| logfmt | n>5", '| n="7"', '| hostname="z"', '| cluster_extracted="q"'),
        *(
            "| drop hostname",
            "| drop __error__",
            "| keep jobid",
            "| label_format hostname=name",
            '|= ip("10.0.0.1")',
        ),
        *('| line_format "b{{.n}}"', "| unpack", "| decolorize", '| __error__=""', '| __error__!=""'),
    )
)
drafts = st.tuples(
    st.sampled_from(
        ("a b", "n=7 b", "n=3", '{"n": "7", "_entry": "a"}', "A 10.0.0.1", "", "cluster=q hostname=z")
    ),
    st.sampled_from(("log", "event")),
    st.fixed_dictionaries(
        {},
        optional={
            "hostname": st.sampled_from("ab"),
            "jobid": st.just("7"),
            "job_id": st.just("8"),
            "job__id": st.just("9"),
            "type_id": st.just("3"),
            "loglevel": st.sampled_from(("err", "info")),
            "name": st.just("x"),
        },
    ),
    st.sampled_from(("alex", "fritz")),
)


def made(text: str, kind: str, tags: dict[str, str], cluster: str) -> Message:
    """A message; ``__`` in the name of a tag is a hyphen, and ``_`` stays, but for that of a column."""
    named = {key.replace("__", "-"): value for key, value in tags.items() if key != "type_id"}
    if "type_id" in tags:
        named["type-id"] = tags["type_id"]
    plain = message(text, NOW, kind, cluster=cluster)
    series = type(plain.series)("job", {**named, "cluster": cluster}, plain.kind)
    return plain._replace(series=series)


def line_of(each: Message) -> Line:
    series = each.series
    return Line(each.time, each.text, stream_labels(series.stream), metadata_of(series.othertags))


@given(st.lists(matchers, max_size=3), st.lists(stages, max_size=4), st.lists(drafts, min_size=1, max_size=8))
def test_the_store_and_the_stages_find_what_was_asked_for(
    selected: Sequence[str], staged: Sequence[str], drafted: Sequence[tuple[str, str, dict[str, str], str]]
) -> None:
    # Behind the labels of these, "!=" would belong to the last one.
    assume(not any(one[:6] in ("| drop", "| keep") and other[0] == "!" for one, other in pairwise(staged)))
    query = parse_selector(f"{{{', '.join(selected)}}} {' '.join(staged)}")
    plan = plan_of(query, may_be_empty=True)
    finds, steps = evaluate(plan.selection), steps_of(plan.stages)
    # The same with nothing left to the store.
    every = steps_of((*map(LabelFilter, query.matchers), *LogQuery((), query.stages).stages))
    for draft in drafted:
        each = made(*draft)
        expected, found = line_of(each), line_of(each)
        is_expected = passes(expected, every)
        series = each.series
        is_found = finds(series.stream, series.othertags, each.time, each.text) and passes(found, steps)
        assert is_found is is_expected
        if is_found:
            assert (found.text, found.labels()) == (expected.text, expected.labels())
