"""The other side of `signing_process`: signs what comes through the socket, until its parent is gone.

Started as a file of its own, so that it holds nothing of the service but the keys it is given. Each message is a
header (which key, how many messages), the lengths, and the bytes; the answer is 64 bytes for each. A header with no
messages adds the key that follows it.
"""

import signal
import socket
import struct
import sys
from io import BufferedReader

from nacl.bindings import crypto_sign

_HEADER = struct.Struct("!II")
_SECRET_KEY_SIZE_BYTES = 64
_SIGNATURE_SIZE_BYTES = 64


def _answer(asked: BufferedReader, channel: socket.socket) -> None:
    secrets: dict[int, bytes] = {}
    while header := asked.read(_HEADER.size):
        key_number, count = _HEADER.unpack(header)
        if count == 0:
            secrets[key_number] = asked.read(_SECRET_KEY_SIZE_BYTES)
            continue
        lengths = struct.unpack(f"!{count}I", asked.read(4 * count))
        body = asked.read(sum(lengths))
        secret = secrets[key_number]
        signatures = []
        start = 0
        for length in lengths:
            signatures.append(crypto_sign(body[start : start + length], secret)[:_SIGNATURE_SIZE_BYTES])
            start += length
        channel.sendall(b"".join(signatures))


if __name__ == "__main__":
    # Whoever stops the service stops its whole group: what is being settled still wants its signatures. The parent's
    # end closes the socket, and that ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as parent, parent.makefile("rb", 1 << 20) as stream:
        _answer(stream, parent)  # type: ignore[arg-type]
