"""OpenPGP messages: decrypted with a feed's private key, and the sender's signature verified.

Belongs here: recognising a message and getting its content, or one clear reason why not. Does not belong
here: where keys are configured, what the content holds.

Sequoia does the cryptography. It holds Python's interpreter lock while it works and maps its input, so it
runs in a process of its own: the content comes through a pipe, is counted against its limit, and lies in a
temporary file without a name until the whole message has been decrypted and its signature verified. Nothing
is given out before. Memory is some 170 MB in that process, whatever the size of the message.

One thing pysequoia does not do is verify a signature inside a compressed layer, which is where GnuPG puts it
unless told otherwise; a feed that demands a signer refuses such a message and says what to ask for.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from connectors.errors import GridCRMError
from connectors.formats.base import RefusedFile

_WORKER = Path(__file__).with_name("openpgp_worker.py")
_CHUNK = 256 * 1024
_SPOOL_IN_MEMORY = 8 * 1024 * 1024
_ARMOR = b"-----BEGIN PGP MESSAGE-----"
# First packets of a message: for a key (tag 1) or a passphrase (tag 3), in the old and the new form.
_TO_KEY, _TO_PASSPHRASE = (0xC1, 0x84, 0x85, 0x86), (0xC3, 0x8C, 0x8D)
_KEY_ALGORITHMS = (1, 2, 16, 18, 25, 26)
_MESSAGE_TAGS = (1, 3, 9, 10, 18, 20)  # more keys, or the encrypted data
_CONFIGURATION = {
    10: "the private key is not one that can decrypt",
    11: "the passphrase does not open the private key",
    15: "the signer's certificate cannot be read",
}
_REFUSALS = {
    12: "is not encrypted to the configured private key",
    13: "is not signed by the certificate that this feed demands",
    14: "damaged OpenPGP message; ask for the file again",
    16: "is signed inside a compressed layer, where the signature cannot be verified; "
    "ask the sender to sign without compression (gpg --compress-algo none)",
}


class OpenPgpKeyError(GridCRMError):
    """A configured key, passphrase or certificate cannot be used; nothing of it is told."""


@dataclass(frozen=True)
class OpenPgpKeys:
    """The private key of a feed's messages, and whose signature they must carry, if anyone's.

    Keys are armored or binary. A ``signed_by`` certificate is pinned: another signer, or none, is refused.
    """

    private_key: bytes = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)
    signed_by: bytes | None = field(default=None, repr=False)

    @classmethod
    def load(
        cls, private_key_path: Path, passphrase: str | None = None, signed_by_path: Path | None = None
    ) -> OpenPgpKeys:
        """Keys out of files; raises :class:`OpenPgpKeyError` naming the file that cannot be read."""
        return cls(_read(private_key_path), passphrase, _read(signed_by_path) if signed_by_path else None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OpenPgpKeyError(f"OpenPGP key {path.name}: cannot be read: {error.strerror}") from None


def is_encrypted(head: bytes) -> bool:
    """Whether a file begins as an encrypted OpenPGP message, armored or binary."""
    if head.lstrip()[: len(_ARMOR)] == _ARMOR:
        return True
    if len(head) < 14 or head[0] not in _TO_KEY + _TO_PASSPHRASE:
        return False
    # The first byte is a letter of EBCDIC, too, so version, algorithm and what follows must fit as well.
    body, length = _packet(head)
    behind = body + length
    if length < 4 or (behind < len(head) and _tag(head[behind]) not in _MESSAGE_TAGS):
        return False
    version = head[body]
    if head[0] in _TO_PASSPHRASE:
        return version in (4, 5, 6) and behind < len(head)
    return version == 6 or (version == 3 and head[body + 9] in _KEY_ALGORITHMS)


def _packet(head: bytes) -> tuple[int, int]:
    """Where the first packet's body begins, and its length; a length of 0 where it has none of its own."""
    if head[0] & 0x40:  # new form: one octet of length below 192, two below 8,384
        if head[1] < 192:
            return 2, head[1]
        return 3, ((head[1] - 192) << 8) + head[2] + 192 if head[1] < 224 else 0
    octets = {0: 1, 1: 2, 2: 4}.get(head[0] & 3, 0)
    return 1 + octets, int.from_bytes(head[1 : 1 + octets], "big")


def _tag(octet: int) -> int:
    """The kind of packet that a header octet begins, 0 for none."""
    if not octet & 0x80:
        return 0
    return octet & 0x3F if octet & 0x40 else octet >> 2 & 0x0F


@contextmanager
def decrypted(source: BinaryIO, keys: OpenPgpKeys, *, name: str, max_bytes: int) -> Iterator[BinaryIO]:
    """The content of an encrypted message, whole, verified and seekable.

    ``name`` is the file's, for messages. Raises :class:`RefusedFile` for a message that is damaged, too
    large, for another key or not signed as demanded, and :class:`OpenPgpKeyError` for keys that cannot
    be used.
    """
    with tempfile.SpooledTemporaryFile(_SPOOL_IN_MEMORY) as spool:
        content = cast(BinaryIO, spool)
        _decrypt(source, keys, content, name, max_bytes)
        content.seek(0)
        yield content


def _decrypt(source: BinaryIO, keys: OpenPgpKeys, content: BinaryIO, name: str, max_bytes: int) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-I", str(_WORKER)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    faults: list[BaseException] = []
    feeder = threading.Thread(target=_feed, args=(source, keys, worker, faults), daemon=True)
    try:
        feeder.start()
        count = 0
        while part := cast(BinaryIO, worker.stdout).read(_CHUNK):
            count += len(part)
            if count > max_bytes:
                raise RefusedFile(
                    f"{name}: unpacks to more than {max_bytes} bytes; raise the limit if this is right"
                )
            content.write(part)
        code = worker.wait()
    finally:
        worker.kill()
        worker.wait()
        feeder.join()
        cast(BinaryIO, worker.stdout).close()
    if faults:
        raise faults[0]
    if code in _CONFIGURATION:
        raise OpenPgpKeyError(f"{name}: OpenPGP: {_CONFIGURATION[code]}")
    if code:
        raise RefusedFile(f"{name}: {_REFUSALS.get(code, 'the OpenPGP message cannot be decrypted')}")


def _feed(
    source: BinaryIO, keys: OpenPgpKeys, worker: subprocess.Popen[bytes], faults: list[BaseException]
) -> None:
    """Keys first, behind their length, then the message: neither is seen in a command line or environment."""
    head = json.dumps(
        {
            "private_key": base64.b64encode(keys.private_key).decode(),
            "passphrase": keys.passphrase,
            "signed_by": base64.b64encode(keys.signed_by).decode() if keys.signed_by else None,
        }
    ).encode()
    target = cast(BinaryIO, worker.stdin)
    try:
        with target:
            target.write(len(head).to_bytes(4, "big") + head)
            while part := source.read(_CHUNK):
                target.write(part)
    except BrokenPipeError:
        pass  # the worker has given up, and its exit code says why
    except (OSError, GridCRMError) as error:
        faults.append(error)
