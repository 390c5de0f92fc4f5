"""The process that decrypts one OpenPGP message: keys and message in, content out, an exit code as verdict.

Belongs here: calling Sequoia. Does not belong here: anything else of this project, which it does not import:
it is run as a file, isolated, by ``openpgp``.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

from pysequoia import Cert, Tsk, decrypt_file

BAD_KEY, BAD_PASSPHRASE, OTHER_KEY, BAD_SIGNATURE, DAMAGED, BAD_SIGNER, COMPRESSED = range(10, 17)
_SEQUOIA = (RuntimeError, OSError, ValueError, TypeError)


def main() -> int:
    """Read keys and message from standard input; nothing is written but the content."""
    keys = json.loads(_exactly(int.from_bytes(_exactly(4), "big")))
    try:
        secret = Tsk.from_bytes(base64.b64decode(keys["private_key"]))
    except _SEQUOIA:
        return BAD_KEY
    signer = None
    if keys["signed_by"]:
        try:
            signer = Cert.from_bytes(base64.b64decode(keys["signed_by"]))
        except _SEQUOIA:
            return BAD_SIGNER
    decryptor, verdict = _decryptor(secret, keys["passphrase"])
    if decryptor is None:
        return verdict
    signers: list[str] = []

    def certificates(fingerprints: list[str]) -> list[Any]:
        signers.extend(fingerprints)
        return [signer]

    try:
        found = decrypt_file("/dev/fd/0", "/dev/fd/1", decryptor, certificates if signer else None)
    except _SEQUOIA as error:
        text = str(error)
        if "No key to decrypt" in text:
            return OTHER_KEY
        if signer and "Unexpected message structure" in text:
            # Signatures are looked for at the top of what was encrypted, and a compressed layer is there.
            return COMPRESSED if signers else BAD_SIGNATURE
        return BAD_SIGNATURE if signer and "Signature verification" in text else DAMAGED
    if signer and signer.fingerprint not in [one.certificate for one in found.valid_sigs]:
        return BAD_SIGNATURE
    return 0


def _decryptor(secret: Any, passphrase: str | None) -> tuple[Any, int]:
    """The key, opened: one that is not locked needs no passphrase, whether one is configured or not."""
    try:
        return secret.decryptor(None), 0
    except _SEQUOIA as error:
        if "No suitable decryption subkey" in str(error):
            return None, BAD_KEY
    try:
        return secret.decryptor(passphrase or ""), 0
    except _SEQUOIA:
        return None, BAD_PASSPHRASE


def _exactly(size: int) -> bytes:
    """Unbuffered, so that what follows is left to Sequoia."""
    parts = []
    while size and (part := os.read(0, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())
