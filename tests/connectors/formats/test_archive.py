"""Archives of every kind, in each other, and what must not get out of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.errors import GridCRMError
from connectors.formats import RefusedFile, decode_file
from connectors.formats.archive import ArchiveLimits, open_payloads
from tests.connectors.formats.encode import day
from tests.connectors.formats.encode import nem12 as nem12_text

TEXT = nem12_text([day()]).encode()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return target.getvalue()


def tarred(*members: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


def payloads(
    folder: Path, data: bytes, name: str = "f", limits: ArchiveLimits | None = None
) -> dict[str, bytes]:
    path = folder / name
    path.write_bytes(data)
    before = sorted(folder.iterdir())
    found = {inner: stream.read() for inner, stream in open_payloads(path, limits=limits)}
    assert sorted(folder.iterdir()) == before
    return found


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_compressed_file_is_its_content(tmp_path: Path, suffix: str) -> None:
    pack = PACKERS[suffix]
    assert payloads(tmp_path, pack(TEXT), f"reads.csv.{suffix}") == {"reads.csv": TEXT}
    # Two streams one after the other are one content, as concatenated downloads are.
    assert payloads(tmp_path, pack(TEXT) + pack(b"tail"), f"reads.{suffix}") == {"reads": TEXT + b"tail"}
    large = random.Random(1).randbytes(3_000_000)
    assert payloads(tmp_path, pack(large), "large") == {"large": large}
    assert payloads(tmp_path, pack(b""), "none") == {"none": b""}


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_cut_or_damaged_compressed_file_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = PACKERS[suffix](random.Random(1).randbytes(300_000))
    for cut in (1, 5, len(whole) // 2):
        with pytest.raises(RefusedFile, match=r"f: (damaged archive|the archive cannot be read)"):
            payloads(tmp_path, whole[:-cut])
    if suffix != "zst":  # Arrow's frames carry no checksum
        middle = len(whole) // 2
        broken = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
        with pytest.raises(RefusedFile, match="f: damaged archive"):
            payloads(tmp_path, broken)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_of_a_zip_are_named_by_the_way_to_them(tmp_path: Path, method: int) -> None:
    data = zipped(("june/reads.csv", TEXT), ("july/", b""), ("july/reads.csv", b"2"), method=method)
    assert payloads(tmp_path, data, "b.zip") == {"b.zip!june/reads.csv": TEXT, "b.zip!july/reads.csv": b"2"}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_a_tar(tmp_path: Path, format: int) -> None:
    long = "/".join(["folder" * 3] * 5) + "/reads.csv"
    members = [("a.csv", TEXT), (long, b"x" * 512), ("empty.csv", b"")]
    if format == tarfile.PAX_FORMAT:
        members.append(("Zähler/" + "é" * 120, b"y"))
    data = tarred(*members, format=format)
    assert payloads(tmp_path, data, "t.tar") == {f"t.tar!{name}": text for name, text in members}
    assert payloads(tmp_path, gzip.compress(data), "t.tgz") == {
        f"t.tar!{name}": text for name, text in members
    }


def test_a_tar_of_the_seventies_is_known_by_its_checksum(tmp_path: Path) -> None:
    data = bytearray(tarred(("a.csv", TEXT), format=tarfile.USTAR_FORMAT))
    data[257:512] = bytes(255)
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    assert payloads(tmp_path, bytes(data), "t") == {"t!a.csv": TEXT}


def test_a_file_may_be_called_otherwise_than_it_lies(tmp_path: Path) -> None:
    (tmp_path / "1f2e").write_bytes(zipped(("a.csv", TEXT)))
    assert [name for name, _ in open_payloads(tmp_path / "1f2e", name="june.zip")] == ["june.zip!a.csv"]
    (tmp_path / "1f2e").write_bytes(zipped(("a.csv", TEXT))[:-5])
    with pytest.raises(RefusedFile, match=r"^june\.zip: damaged archive"):
        next(open_payloads(tmp_path / "1f2e", name="june.zip"))


def test_containers_in_each_other(tmp_path: Path) -> None:
    inner = zipped(("reads.csv.gz", gzip.compress(TEXT)), ("more.tar", tarred(("a", b"1"), ("b", b"2"))))
    data = zipped(("day.zip", inner), ("plain.csv", b"3"))
    assert payloads(tmp_path, data, "all.zip") == {
        "all.zip!day.zip!reads.csv": TEXT,
        "all.zip!day.zip!more.tar!a": b"1",
        "all.zip!day.zip!more.tar!b": b"2",
        "all.zip!plain.csv": b"3",
    }
    deep = gzip.compress(data)
    with pytest.raises(RefusedFile, match=r"deep\.gz: more than 3 containers in each other"):
        payloads(tmp_path, deep, "deep.gz")
    assert len(payloads(tmp_path, deep, "deep.gz", ArchiveLimits(max_depth=4))) == 4


def test_what_macos_adds_is_no_delivery(tmp_path: Path) -> None:
    extra = [("__MACOSX/._a.csv", b"\0"), (".DS_Store", b"\0"), ("folder/._a.csv", b"\0")]
    assert payloads(tmp_path, zipped(("a.csv", TEXT), *extra), "z") == {"z!a.csv": TEXT}
    assert payloads(tmp_path, tarred(*extra, ("a.csv", TEXT)), "t") == {"t!a.csv": TEXT}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\a", "a/../../b\n\x1b[31m", "x" * 999]
)
def test_a_name_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for data in (zipped((name, b"1")), tarred((name, b"1"))):
        (inner,) = payloads(folder, data, "z")
        own = inner.removeprefix("z!")
        assert own.isprintable()
        assert not {"..", ""} & set(own.split("/"))
        assert len(own) <= 200
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "z"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_refuse_the_archive(tmp_path: Path, kind: bytes) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("reads.csv")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(RefusedFile, match="a member is a link or a device"):
        payloads(tmp_path, target.getvalue())


def test_a_link_in_a_zip_refuses_it(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo("reads.csv")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(RefusedFile, match="a member is a link or a device"):
        payloads(tmp_path, target.getvalue())


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    locked = bytearray(zipped(("a", b"1")))
    locked[6] |= 1
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    for data, why in (
        (bytes(locked), "a member is encrypted"),
        (zipped(("a", b"1" * 100), method=zipfile.ZIP_LZMA), "another method than deflate or bzip2"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "7z archives are not read"),
        (b"Rar!\x1a\x07\x01\x00", "RAR archives are not read"),
        (b"\x1f\x9d\x90" + bytes(20), r"compress \(\.Z\) archives are not read"),
    ):
        with pytest.raises(RefusedFile, match=f"f: .*{why}"):
            payloads(tmp_path, data)


def test_layers_of_a_bomb_share_one_ratio(tmp_path: Path) -> None:
    sparse = (random.Random(1).randbytes(1_000) + bytes(299_000)) * 100
    single = gzip.compress(sparse)
    double = gzip.compress(single)
    assert len(sparse) / len(single) < 1000 < len(sparse) / len(double)
    assert payloads(tmp_path, single)
    with pytest.raises(RefusedFile, match="unpacks to more than"):
        payloads(tmp_path, double)
    many = zipped(*((f"{number}", sparse) for number in range(3)))
    assert len(payloads(tmp_path, many)) == 3
    with pytest.raises(RefusedFile, match="unpacks to more than 70000000 bytes"):
        payloads(tmp_path, many, limits=ArchiveLimits(max_bytes=70_000_000))
    with pytest.raises(RefusedFile, match="unpacks to more than"):
        payloads(tmp_path, zipped(("a.zip", many)), limits=ArchiveLimits(max_ratio=200))


def test_a_bomb_is_not_unpacked_before_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(zipped(("a.gz", gzip.compress(gzip.compress(bytes(200_000_000))))))
    _, stream = next(open_payloads(tmp_path / "b.zip"))
    assert len(stream.read(100_000)) == 100_000
    with pytest.raises(RefusedFile, match="unpacks to more than"):
        stream.read()


def test_members_are_counted_over_all_archives(tmp_path: Path) -> None:
    inner = zipped(*((str(number), b"") for number in range(6)))
    limits = ArchiveLimits(max_members=10)
    assert len(payloads(tmp_path, inner, limits=limits)) == 6
    for data in (zipped(("a", inner), ("b", inner)), tarred(*((str(number), b"") for number in range(11)))):
        with pytest.raises(RefusedFile, match="more than the 10 members allowed"):
            payloads(tmp_path, data, limits=limits)


def test_a_huge_directory_is_refused_unread(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 4_000_000_000, 0, 0)
    with pytest.raises(RefusedFile, match="more than the 10000 members allowed"):
        payloads(tmp_path, b"PK\x03\x04" + bytes(100) + end)


def test_a_tar_with_an_endless_name_is_refused_unread(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
    with pytest.raises(RefusedFile, match="a name or attributes beyond all measure"):
        payloads(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_a_cut_tar_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = tarred(("a.csv", TEXT), ("b.csv", TEXT), format=tarfile.USTAR_FORMAT)
    members = whole[: 2 * (512 + -(-len(TEXT) // 512) * 512)]
    for cut in (512, len(members) // 2, len(members) // 2 + 100, len(members) - 512, len(members)):
        with pytest.raises(RefusedFile, match="damaged archive"):
            payloads(tmp_path, members[:cut])


def test_what_a_decoder_leaves_is_still_checked(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(os.urandom(5_000_000)))
    packed[-6] ^= 1  # the checksum
    (tmp_path / "f").write_bytes(packed)
    opened = open_payloads(tmp_path / "f")
    _, stream = next(opened)
    assert len(stream.read(10)) == 10
    with pytest.raises(RefusedFile, match="damaged archive"):
        next(opened)


def test_damaged_archives_never_fail_otherwise(tmp_path: Path) -> None:
    chance = random.Random(3)
    seeds = [
        zipped(("a", TEXT), ("b.tar", tarred(("c", TEXT)))),
        tarred(("a", TEXT)),
        *(p(TEXT) for p in PACKERS.values()),
    ]
    refused: list[str] = []
    for _ in range(1500):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            if chance.random() < 0.3:
                del data[at : at + chance.randint(1, 30)]
            else:
                data[at] = chance.randrange(256)
        try:
            payloads(tmp_path, bytes(data))
        except GridCRMError as error:
            refused.append(str(error))
    assert len(refused) > 700
    assert not [text for text in refused if "\n" in text]


def test_a_nested_delivery_decodes_as_one_file(tmp_path: Path) -> None:
    data = zipped(("day1.csv.gz", gzip.compress(TEXT)), ("more.tar", tarred(("day2.csv", TEXT))))
    (tmp_path / "all.zip").write_bytes(data)
    account = decode_file(tmp_path / "all.zip", "nem12", {})
    assert account["records"] == {"read": 8, "loaded": 8, "superseded": 0, "quarantined": 0}
