"""``ccstore doctor``: what is misconfigured, at which sender, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ccstore.accounting.diagnosis import diagnose
from ccstore.accounting.finding import Finding
from ccstore.client.server import ServerOptions, connect
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError, print_json, run
from ccstore.client.terminal import clean
from ccstore.commands.options import parse


class Options(ServerOptions):
    """The options of ``ccstore doctor``."""

    command = "doctor"
    problem = "there are problems"
    longdesc = (
        "Looks at the counters of a running store and at a sample of what it did not store since it was "
        "started, and says what is misconfigured at which sender."
    )


def show(findings: Sequence[Finding], stats: Mapping[str, Any]) -> str:
    """The findings for people, by receiver."""
    lines = [
        f"{'problem' if finding.is_problem else 'note'}: {finding}"
        for finding in findings
        if finding.receiver is None
    ]
    for name, figures in stats["receivers"].items():
        of_it = [finding for finding in findings if finding.receiver == name]
        if not of_it and not figures["received"]:
            continue
        rejected, dropped = sum(figures["rejected"].values()), sum(figures["dropped"].values())
        books = f"{figures['received']:,} lines, {figures['stored']:,} stored"
        books += f", {rejected:,} rejected, {dropped:,} dropped" + (
            "" if of_it else ": nothing to complain of"
        )
        lines.append(f"receiver {name} ({figures['type']}): {books}")
        lines += [f"  {'problem' if finding.is_problem else 'note'}: {finding}" for finding in of_it]
    problems = sum(finding.is_problem for finding in findings)
    if problems:
        lines.append(f"{problems} problem{'s' if problems > 1 else ''}")
    else:
        lines.append("healthy")
    return "".join(f"{clean(line)}\n" for line in lines)


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED

    async def command(reactor: Any) -> int:
        server = connect(options, reactor)
        stats, samples = await server.get("/api/stats/"), await server.get("/api/samples/")
        try:
            findings = diagnose(stats, samples)
            shown = show(findings, stats)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ClientError(f"{server.url} gives answers that are none of ccstore's") from None
        problems = [finding for finding in findings if finding.is_problem]
        if options["json"]:
            print_json({"healthy": not problems, "findings": [finding.as_json() for finding in findings]})
        else:
            print(shown, end="")
        return NOT_AS_ASKED if problems else DONE

    return run(options, command)
