"""Encrypted drops: Sequoia both ways, GnuPG where it is installed, and every reason to refuse."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pysequoia import Tsk, encrypt

from connectors.errors import GridCRMError
from connectors.formats import RefusedFile, decode_file
from connectors.formats.archive import ArchiveLimits, open_payloads
from connectors.formats.openpgp import OpenPgpKeyError, OpenPgpKeys, decrypted, is_encrypted
from tests.connectors.formats.encode import day, packed, text
from tests.connectors.formats.encode import nem12 as nem12_text

TEXT = nem12_text([day()]).encode()
UTILITY, SENDER, STRANGER = (Tsk.generate(f"{name} <{name}@example.org>") for name in "usx")
KEYS = OpenPgpKeys(bytes(UTILITY))
PINNED = OpenPgpKeys(bytes(UTILITY), signed_by=bytes(SENDER.extract_certificate()))


def sealed(data: bytes = TEXT, *, to: Tsk = UTILITY, by: Tsk | None = None, armor: bool = False) -> bytes:
    message: bytes = encrypt(
        data, [to.extract_certificate()], signer=by.signer() if by else None, armor=armor
    )
    return message


def payloads(
    folder: Path, data: bytes, keys: OpenPgpKeys | None, limits: ArchiveLimits | None = None
) -> dict[str, bytes]:
    (folder / "drop.csv.pgp").write_bytes(data)
    opened = open_payloads(folder / "drop.csv.pgp", keys=keys, limits=limits)
    return {name: stream.read() for name, stream in opened}


@pytest.mark.parametrize("armor", [False, True])
def test_a_message_is_its_content(tmp_path: Path, armor: bool) -> None:
    assert payloads(tmp_path, sealed(armor=armor), KEYS) == {"drop.csv": TEXT}
    assert payloads(tmp_path, sealed(by=SENDER, armor=armor), PINNED) == {"drop.csv": TEXT}
    assert payloads(tmp_path, sealed(b"", by=SENDER, armor=armor), PINNED) == {"drop.csv": b""}
    large = os.urandom(20_000_000)
    assert payloads(tmp_path, sealed(large, by=SENDER, armor=armor), PINNED) == {"drop.csv": large}


def test_archives_in_messages_and_messages_in_archives(tmp_path: Path) -> None:
    assert payloads(tmp_path, sealed(gzip.compress(TEXT)), KEYS) == {"drop.csv": TEXT}
    bundle = BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("a.csv.gpg", sealed())
    assert payloads(tmp_path, bundle.getvalue(), KEYS) == {"drop.csv.pgp!a.csv": TEXT}
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("b.csv", b"plain")
    with pytest.raises(RefusedFile, match="is not encrypted, though this feed's files must be"):
        payloads(tmp_path, bundle.getvalue(), KEYS)


@pytest.mark.parametrize(
    ("data", "keys", "why"),
    [
        (sealed(), None, "is encrypted with OpenPGP; configure the private key"),
        (sealed(armor=True), None, "is encrypted with OpenPGP; configure the private key"),
        (TEXT, KEYS, "is not encrypted, though this feed's files must be"),
        (sealed(to=STRANGER), KEYS, "is not encrypted to the configured private key"),
        (sealed(), PINNED, "is not signed by the certificate that this feed demands"),
        (sealed(by=STRANGER), PINNED, "is not signed by the certificate that this feed demands"),
        (sealed(by=UTILITY), PINNED, "is not signed by the certificate that this feed demands"),
        (sealed()[:-5], KEYS, "damaged OpenPGP message"),
        (sealed()[:-60] + bytes(60), KEYS, "damaged OpenPGP message"),
        (sealed(by=SENDER)[:-60] + bytes(60), PINNED, "damaged OpenPGP message"),
    ],
    # Messages differ in each process: their bytes are no name for a test.
    ids=[
        "no-key",
        "no-key-armored",
        "plain",
        "for-a-stranger",
        "unsigned",
        "by-a-stranger",
        "by-ourselves",
        "cut",
        "overwritten",
        "signed-and-overwritten",
    ],
)
def test_a_message_that_is_not_as_demanded_is_refused_whole(
    tmp_path: Path, data: bytes, keys: OpenPgpKeys | None, why: str
) -> None:
    with pytest.raises(RefusedFile, match=rf"^drop\.csv\.pgp: {why}"):
        payloads(tmp_path, data, keys)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (OpenPgpKeys(b"no key"), "the private key is not one that can decrypt"),
        (OpenPgpKeys(bytes(UTILITY.extract_certificate())), "the private key is not one that can decrypt"),
        (OpenPgpKeys(bytes(UTILITY), signed_by=b"no certificate"), "the signer's certificate cannot be read"),
    ],
)
def test_keys_that_cannot_be_used_are_a_mistake_of_ours(tmp_path: Path, keys: OpenPgpKeys, why: str) -> None:
    with pytest.raises(OpenPgpKeyError, match=why):
        payloads(tmp_path, sealed(), keys)
    with pytest.raises(OpenPgpKeyError, match=r"OpenPGP key absent\.asc: cannot be read: No such file"):
        OpenPgpKeys.load(tmp_path / "absent.asc")


def test_keys_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key.asc").write_text(str(UTILITY))
    (tmp_path / "signer.asc").write_text(str(SENDER.extract_certificate()))
    keys = OpenPgpKeys.load(tmp_path / "key.asc", "secret", tmp_path / "signer.asc")
    assert repr(keys) == "OpenPgpKeys()"
    assert payloads(tmp_path, sealed(by=SENDER), keys) == {"drop.csv": TEXT}


def test_a_message_may_not_grow_beyond_its_limit(tmp_path: Path) -> None:
    limits = ArchiveLimits(max_bytes=1_000_000)
    with pytest.raises(RefusedFile, match="unpacks to more than 1000000 bytes"):
        payloads(tmp_path, sealed(bytes(50_000_000)), KEYS, limits)


def test_a_fault_of_the_source_is_told_as_it_is() -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise RefusedFile("outer.zip: damaged archive")

    with (
        pytest.raises(RefusedFile, match=r"outer\.zip: damaged archive"),
        decrypted(Broken(), KEYS, name="f", max_bytes=1000),
    ):
        pass


def test_other_files_are_not_taken_for_messages() -> None:
    assert not is_encrypted(b"")
    assert not is_encrypted(TEXT)
    for first in (b"A", b"C", b"e"):
        record = text(first.decode() + "CCOUNT 0003", 20) + packed(12345, 7) + text("NAME", 40)
        assert not is_encrypted(record)
    assert not is_encrypted(bytes.fromhex("c301050c00") + bytes(500))  # a code and two packed numbers
    assert not is_encrypted(bytes.fromhex("c10a03000000000000000001") + text("NAME", 500))
    assert not is_encrypted(str(UTILITY).encode())


def test_a_decoder_reads_an_encrypted_drop(tmp_path: Path) -> None:
    (tmp_path / "drop.pgp").write_bytes(sealed(by=SENDER))
    assert decode_file(tmp_path / "drop.pgp", "nem12", {}, keys=PINNED)["records"]["loaded"] == 4


@dataclass
class Gpg:
    """GnuPG with a home of its own."""

    home: Path

    def __call__(self, *arguments: str, data: bytes = b"", passphrase: str = "") -> bytes:
        command = [
            "gpg",
            "--batch",
            "--yes",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--trust-model",
            "always",
        ]
        done = subprocess.run(
            [*command, "--passphrase", passphrase, *arguments], input=data, capture_output=True,
            env={**os.environ, "GNUPGHOME": str(self.home)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    if shutil.which("gpg") is None:
        pytest.skip("GnuPG is not installed here")
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    (home / "gpg-agent.conf").write_text("s2k-count 65536\n")  # or each passphrase costs a second
    yield Gpg(home)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


@pytest.mark.parametrize(("kind", "armor"), [("rsa2048", ("--armor",)), ("future-default", ())])
def test_gnupg_writes_what_we_read(gpg: Gpg, tmp_path: Path, kind: str, armor: tuple[str, ...]) -> None:
    usage = ("sign,encrypt",) if kind == "rsa2048" else ()
    gpg("--quick-gen-key", "utility@example.org", kind, *usage, passphrase="correct horse")
    gpg("--quick-gen-key", "sender@example.org", "ed25519", "sign")
    secret = gpg("--armor", "--export-secret-keys", "utility@example.org", passphrase="correct horse")
    signer = gpg("--export", "sender@example.org")
    keys = OpenPgpKeys(secret, "correct horse", signer)
    both = ("-u", "sender@example.org", "-r", "utility@example.org", "--sign", "--encrypt")
    message = gpg(*armor, *both, "--compress-algo", "none", data=TEXT * 500)
    assert is_encrypted(message[:512])
    assert payloads(tmp_path, message, keys) == {"drop.csv": TEXT * 500}
    squeezed = gpg(*armor, *both, data=TEXT)
    with pytest.raises(RefusedFile, match="inside a compressed layer"):
        payloads(tmp_path, squeezed, keys)
    assert payloads(tmp_path, squeezed, OpenPgpKeys(secret, "correct horse")) == {"drop.csv": TEXT}
    unsigned = gpg(*armor, "-r", "utility@example.org", "--encrypt", data=TEXT)
    assert payloads(tmp_path, unsigned, OpenPgpKeys(secret, "correct horse")) == {"drop.csv": TEXT}
    with pytest.raises(RefusedFile, match="is not signed by the certificate"):
        payloads(tmp_path, unsigned, keys)
    for wrong in (None, "wrong battery"):
        with pytest.raises(OpenPgpKeyError, match="passphrase does not open the private key") as told:
            payloads(tmp_path, message, OpenPgpKeys(secret, wrong, signer))
        assert "battery" not in str(told.value)
    symmetric = gpg(*armor, "--symmetric", data=TEXT, passphrase="correct horse")
    with pytest.raises(GridCRMError, match="is not encrypted to the configured private key"):
        payloads(tmp_path, symmetric, keys)
