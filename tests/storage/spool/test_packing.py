"""Batches as bytes."""

from __future__ import annotations

import zlib

from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.storage.spool.packing import pack, unpack
from tests.support.store_contract import TEXTS
from tests.support.stores import message, messages


class PackingTests(TestCase):
    def test_there_and_back(self) -> None:
        batch = Batch.of(message(text, hostname=str(place % 2), job="x") for place, text in enumerate(TEXTS))
        found = unpack(pack(batch))
        self.assertEqual((found.texts, found.times), (batch.texts, batch.times))
        self.assertEqual([each.tags for each in found.series], [each.tags for each in batch.series])
        self.assertEqual([each.othertags for each in found.series], [each.othertags for each in batch.series])
        self.assertEqual(len(set(found.series)), 2 if len({*map(id, batch.series)}) == 2 else len(TEXTS))

    def test_what_is_no_batch(self) -> None:

        for data in (
            b"",
            b"\x00",
            pack(messages("ab"))[:-1],
            zlib.compress(b"[1,2]"),
            zlib.compress(b"[[],[0],[1],[]]"),
        ):
            with self.assertRaises(ValueError):
                unpack(data)

    def test_half_a_surrogate_pair(self) -> None:
        batch = messages(["\ud800"])
        self.assertEqual(unpack(pack(batch)).texts, ["\ud800"])
