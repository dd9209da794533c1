"""Messages and questions as Hypothesis draws them for a state machine, and what its list has of them."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from ccstore.message import Message
from ccstore.query import Selection
from tests.support.stores import SECOND

RETENTION = 160  # seconds, at first
CLUSTERS = ("alex", "my-cl")
HOSTS = ("a", "b", "c", None)


class Stored(NamedTuple):
    """What the list has of a message: its place in the order of arrival among its kind, and what it is."""

    id: int
    message: Message

    def matches(self, selection: Selection) -> bool:
        labels = {"name": self.message.name, **self.message.tags}
        return (
            (labels["cluster"],) == selection.clusters
            and selection.begin <= self.message.time < selection.end
            and all(labels.get(matcher.label) in matcher.values for matcher in selection.matchers)
        )


#: Around now, in nanoseconds: some expired on arrival, some from a clock that runs ahead.
offsets = st.one_of(
    st.integers(-4, 4),
    st.integers(-4, 4).map(lambda number: number * SECOND),
    st.integers(-1, 1).map(lambda number: number - RETENTION * SECOND),
    st.integers(-2 * RETENTION * SECOND, 3 * RETENTION * SECOND),
)
drafts = st.tuples(
    st.sampled_from(("event", "event", "log")),
    st.sampled_from(CLUSTERS),
    st.sampled_from(("job", "up")),
    st.sampled_from(HOSTS),
    st.sampled_from((None, "1", "2")),  # a tag without a column
    offsets,
)
batches = st.lists(drafts, min_size=1, max_size=9)
asked = st.lists(
    st.tuples(
        st.sampled_from(("event", "log")),
        st.sampled_from((*CLUSTERS, "nobody")),
        st.sampled_from((None, None, "job", "up")),
        st.sampled_from((None, None, "a", "b", "z")),
        st.none() | offsets,
        st.none() | offsets,
    ),
    min_size=1,
    max_size=3,
)
