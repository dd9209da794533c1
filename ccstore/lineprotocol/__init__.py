"""InfluxDB line protocol: bytes to messages and back.

The grammar is that of the reference decoder (`influxdata/line-protocol`, version 2): what it accepts is
accepted here with the same values, what it rejects is rejected, with three exceptions. A line that is wrong
does not end the rest, of a tag or a field given twice the last value counts, and a byte order mark at the
beginning of a stream is no part of its first line.

An *entry* is what the format calls a line. It ends at the first newline outside a quoted string, so it may
span several physical lines. Where an entry is wrong, decoding goes on after the newline that ends it, with
one refinement that protects its neighbours: if a quoted string swallowed line ends, and it is not closed or
anything behind it in the line in which it ends is wrong, then its opening quote is taken to be the mistake,
and decoding goes on after the first newline behind that quote.

There are two ways through the decoder. The *fast way* takes whole chunks of lines of the shape that makes
up nearly all traffic: a head without escapes, one string field ``event`` or ``log`` without raw newlines,
perhaps a timestamp. They are not looked at one by one, but turned into columns as a whole; if other lines
stand between them, those that follow one another are. Everything else takes the *general way*, which knows
the whole grammar and reports what is wrong and where: one expression for each part of a line finds what is
right, and only where it does not match, the mistake is searched step by step. Both share the cache of
series, and tests prove that they agree.

``decoder`` keeps what is not complete yet, ``entries`` decides which way is taken, ``plain`` is the fast
way and ``entry`` the general one, on the pieces in ``grammar``; ``series`` has the heads.
"""

from ccstore.lineprotocol.decoder import StreamDecoder, decode
from ccstore.lineprotocol.encoder import encode
from ccstore.lineprotocol.entries import Decoded
from ccstore.lineprotocol.entry import LineError
from ccstore.lineprotocol.grammar import NANOSECONDS, TEXT_LIMIT, Precision
from ccstore.lineprotocol.series import SeriesCache

__all__ = [
    "NANOSECONDS",
    "TEXT_LIMIT",
    "Decoded",
    "LineError",
    "Precision",
    "SeriesCache",
    "StreamDecoder",
    "decode",
    "encode",
]
