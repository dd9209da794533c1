"""Templates of texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.masking import template_of

#: What texts are made of whose parts look like something that is masked.
PARTS = st.sampled_from(
    [
        *(
            "n0101",
            "a[01-10]",
            "10.1.2.3",
            "fe80::1",
            "0000:3b:00.0",
            "b8:59:9f:aa:bb:cc",
            "/var/log/x",
            "12ms",
        ),
        *(
            "0x7f",
            "deadbeef01",
            "00131db8",
            "ffffffff",
            "jA9J1UvC004306",
            "OST000f",
            "R02-M1-NB-C:J12-U11",
            "[  12.345678]",
            "Fri Jul 01 08:16:53 PDT 2005",
            "1h30m",
            "64KiB",
            "2026-01-31",
            "12:00:00",
            "Jan 3 ",
            "Xid (PCI:0000:3b:00): 79",
        ),
        *(
            "<num>",
            "<host>",
            "-1.5e3",
            "x86_64",
            "word",
            "<num> ",
            "<host>… ",
            " ",
            ",",
            ":",
            "=",
            "-",
            "/",
            "(",
            ")",
            '"',
            "[",
            "]",
            "é",
        ),
    ]
)
TEXTS = st.lists(PARTS, max_size=12).map("".join) | st.text()


@pytest.mark.parametrize(
    ("text", "template"),
    [
        (
            "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.",
            "NVRM: Xid (<pci>): 79, pid=<num>, GPU has fallen off the bus.",
        ),
        (
            "Jan  3 12:01:02 n0101 sshd[1234]: Accepted publickey for root from 10.1.2.3 port 51234 ssh2",
            "<time> <host> sshd[<num>]: Accepted publickey for root from <ip> port <num> ssh<num>",
        ),
        (
            "slurmd: error: node n0102 not responding, retry 3, state DOWN*",
            "slurmd: error: node <host> not responding, retry <num>, state DOWN*",
        ),
        ("Drained nodes a[0101-0110,0200] reason=check 5m", "Drained nodes <hosts> reason=check <duration>"),
        (
            "mlx5_core 0000:af:00.1 ib0: link down after 12.5s, 64KiB left at /var/log/messages",
            "mlx<num>_core <pci> ib<num>: link down after <duration>, <size> left at <path>",
        ),
        # As the kernel has them, with a colon behind.
        ("nvme 0000:3b:00.0: resetting controller", "nvme <pci>: resetting controller"),
        ("pcieport 10000:e1:00.0: AER: corrected", "pcieport <pci>: AER: corrected"),
        ("ib0 b8:59:9f:aa:bb:cc: down since 10:11:12: why", "ib<num> <mac>: down since <time>: why"),
        ("id=550e8400-e29b-41d4-a716-446655440000 mac b8:59:9f:aa:bb:cc", "id=<uuid> mac <mac>"),
        ("2026-01-31 12:00:00,123 hosts n0103,n0104 at 0x7fff12ab", "<time> hosts <host>… at <hex>"),
        ("x86_64 IPv6 eth0 and/or 10/12 I/O uid=0", "x86_64 IPv6 eth<num> and/or <num>/<num> I/O uid=<num>"),
        ("the head of head-2 and behead", "the <host> of <host>-<num> and behead"),
        ("instruction cache parity error corrected", "instruction cache parity error corrected"),
        # As old and new machines have them in their logs.
        (
            "bad header (softheader=0013ad28 81ab0003 00000002 ffffffff) PSR=00001f01 at 0x1fe0",
            "bad header (softheader=<num> <num> <num> <num>) PSR=<num> at <hex>",
        ),
        ("scratch-OST000f restored, MDT0001: OST0123x", "scratch-OST<num> restored, MDT<num>: OST<num>x"),
        ("lr:0010a541 cr:24000044 xer:00000002", "lr:<num> cr:<num> xer:<num>"),
        ("r1=0x1 00000000 bff00000 00000000 2", "r<num>=<hex> <num>…"),
        (
            "Node card(mLctn(R10-M1-NB), mCardSernum(2032315038c1), U01) at R27-M1-N2-C:J14-U01",
            "Node card(mLctn(<host>), mCardSernum(<num>), U<num>) at <host>",
        ),
        ("chip changed: status=M Fri Jul 01 08:16:53 PDT 2005", "chip changed: status=M <time>"),
        ("built Thu Feb  3 12:27:22 2005 (ok), due Feb 3", "built <time> (ok), due Feb <num>"),
        ("[    4.123456] usb 1-2: reset", "<time> usb <num>…: reset"),
        ("[12345.123456] usb 1-2: reset", "<time> usb <num>…: reset"),
        ("[42] done", "[<num>] done"),
        (
            "jA9J1UvC004306: from=root, size=62, msgid=<200511091901.jA9JBVPb007417@adm7>",
            "<id>: from=root, size=<num>, msgid=<<num>.<id>@adm<num>>",
        ),
        (
            "Accepted key RSA SHA256:6S2Jd8rMRiTz8u5bS0tX7dXN2Pkq0h3mZ1xWm8YQ2aA for root",
            "Accepted key RSA SHA256:<id> for root",
        ),
        ("cannot resolve cn998 cn999 cn1000", "cannot resolve <host>…"),
        ("cannot resolve cn1 cn2 cn3 cn4 of rack2", "cannot resolve cn<num>… of rack<num>"),
        ("loads 0.1 0.2 0.3, two 1 2", "loads <num> <num> <num>, two <num> <num>"),
        (
            "cpu127 and cpu3 of job123456, gpu0, v001 on node123",
            "cpu<num> and cpu<num> of job<num>, gpu<num>, v<num> on <host>",
        ),
        ("PowerEdgeR6525 IntelXeonGold6148 ConnectX5", "PowerEdgeR<num> IntelXeonGold<num> ConnectX<num>"),
        ("", ""),
    ],
)
def test_templates(text: str, template: str) -> None:
    assert template_of(text, "head" if "head" in text else "n0101") == template


def test_of_json_the_keys_are_left() -> None:
    one = {
        "jobId": 1,
        "tags": [1, 2],
        "resources": [{"hostname": "n1"}, {"hostname": "n2"}],
        "a": {"b": None},
    }
    other = {"jobId": 23, "tags": [], "resources": [{"hostname": 'n"3'}], "a": {"b": True}}
    template = '{"jobId":<value>,"tags":[<value>],"resources":[{"hostname":<value>}],"a":{"b":<value>}}'
    for each in (one, other):
        assert template_of(json.dumps(each), "n1") == template
        assert template_of(json.dumps(each, separators=(",", ":")), "") == template
    assert template_of(template, "n1") == template


@given(TEXTS, st.sampled_from(["", "n0101", "num", "word", "a", "é"]))
@example("<num><num>", "num")
@example('{"a": "\\"', "")
def test_the_template_of_a_template_is_itself(text: str, host: str) -> None:
    template = template_of(text, host)
    assert template_of(template, host) == template


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists), st.text())
def test_any_json_has_a_template(value: object, key: str) -> None:
    text = json.dumps({key: value}, ensure_ascii=False)
    assert template_of(template_of(text, ""), "") == template_of(text, "")
