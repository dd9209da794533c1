"""`ccstore pack` and `ccstore check --data` of a PostgreSQL database."""

from __future__ import annotations

import json
import subprocess
import sys

from attrs import evolve
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from tests.support.postgres_packing import SMALL, Packers
from tests.support.postgres_server import PASSWORD
from tests.support.running_daemon import ROOT, environment
from tests.support.scratch import scratch
from tests.support.stores import NOW, message


class PackingCommandTests(Packers, TestCase):
    timeout = 120

    def run_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = scratch(self) / "ccstore.json"
        storage = {"backend": self.server.backend(self.database), "retention_time": "24h"}
        path.write_text(json.dumps({"receivers": {}, "storage": storage}))
        done = subprocess.run(
            [sys.executable, "-m", "ccstore", words[0], "--config", str(path), *words[1:]],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertNotIn(PASSWORD, done.stdout + done.stderr)
        return done

    async def test_all_that_is_old_enough_is_packed_at_once(self) -> None:
        backend = self.open()
        # The command goes by the time of the machine, which is later.
        await backend.write(Batch.of([message(f"text {n}", NOW + n, "log") for n in range(200)]))
        done = self.run_command("pack")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("storage.pack_after is 0", done.stderr)
        done = self.run_command("pack", "--older-than", "1h")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("200 of 200 messages (100 %), ", done.stderr)
        self.assertRegex(
            done.stdout, "^200 messages were packed; the store had [0-9]+ bytes and has [0-9]+\n$"
        )
        self.assertEqual(self.value("SELECT count(*) FROM ccstore_log"), 0)
        self.assertEqual(len(await self.logs(backend)), 200)

    async def test_one_packs_at_a_time(self) -> None:
        await self.open().close()
        with self.packer() as packer:
            self.assertTrue(packer.is_alone())
            done = self.run_command("pack", "--older-than", "1h")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a daemon packs it, or another such command", done.stderr)

    async def test_what_is_damaged_is_found(self) -> None:
        backend = self.open()
        await backend.write(Batch.of([message(f"text {n}", NOW + n, "log") for n in range(4 * 32)]))
        self.packing_sizes = evolve(SMALL, step_pages=100)
        self.pack_all()
        done = self.run_command("check", "--data")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("128 messages were read: all of them are whole", done.stdout)
        self.sql("UPDATE ccstore_packed_columns SET lengths = 'x' WHERE number = 7")
        self.sql("UPDATE ccstore_packed_words SET codes = 'x'")
        self.sql("DELETE FROM ccstore_packed_block WHERE number = 9")
        done = self.run_command("check", "--data")
        self.assertEqual(done.returncode, 1)
        self.assertIn("block 7 of segment 1 is damaged", done.stdout)
        self.assertIn("segment 1 of packed logs has 124 messages and not 128", done.stdout)
        self.assertIn("the index of words of segment 1 is damaged for blocks 0 to 31", done.stdout)

    def test_a_database_that_is_no_store(self) -> None:
        done = self.run_command("pack", "--older-than", "1h")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("it is no ccstore store", done.stderr)
        done = self.run_command("check", "--data")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ccstore_packed", done.stderr)
