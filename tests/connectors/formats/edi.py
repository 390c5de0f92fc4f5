"""EDIFACT and X12 made for tests: envelopes that count right around whatever is inside."""

from __future__ import annotations

from collections.abc import Sequence

UNA = "UNA:+.? '"


def message(*segments: str, reference: str = "1", type: str = "MSCONS") -> list[str]:
    """UNH … UNT around segments, with their count."""
    return [f"UNH+{reference}+{type}:D:04B:UN:2.4c", *segments, f"UNT+{len(segments) + 2}+{reference}"]


def interchange(*messages: Sequence[str], una: str = UNA, reference: str = "R1", between: str = "") -> bytes:
    """UNB … UNZ around messages, with the delimiters of ``una`` (the defaults where it is empty)."""
    head = f"UNB+UNOC:3+9900001000001:500+9900002000002:500+261001:0400+{reference}"
    body = [segment for one in messages for segment in one]
    text = between.join(f"{segment}'" for segment in [head, *body, f"UNZ+{len(messages)}+{reference}"])
    return (una + between + text).encode("latin-1")


def point(*segments: str, place: str = "DE0001", product: str = "1-1?:1.29.0:SRW") -> list[str]:
    """A message's segments: one metering point, one line, and what is measured."""
    return [
        "BGM+7+DOC1+9", "DTM+137:202610010400?+00:303", "RFF+Z13:13008", "NAD+MS+9900001000001::293",
        "NAD+MR+9900002000002::293", "UNS+D", "NAD+DP", f"LOC+172+{place}", "RFF+MG:1EMH0012345678",
        "LIN+1", f"PIA+5+{product}", *segments,
    ]  # fmt: skip


def value(number: str, begin: str, end: str, qualifier: str = "220", format: str = "303") -> list[str]:
    """QTY with its begin and end."""
    return [f"QTY+{qualifier}:{number}", f"DTM+163:{begin}:{format}", f"DTM+164:{end}:{format}"]


def x12(
    *groups: Sequence[Sequence[str]], ends: str = "~\n", control: str = "000000905", ta1: str = ""
) -> bytes:
    """ISA … IEA around groups of transactions (each a list of segments from the one behind ST on).

    The first entry of a transaction is its set's number. Elements are parted by ``*``, components by ``>``.
    """
    parties = f"01*{'006929509':15}*01*{'957877905':15}"
    isa = f"ISA*00*{'':10}*00*{'':10}*{parties}*260115*0830*U*00401*{control}*0*P*>"
    segments = [isa] + ([ta1] if ta1 else [])
    for number, group in enumerate(groups, 1):
        segments.append(f"GS*PT*006929509*957877905*20260115*0830*{number}*X*004010")
        for which, (code, *body) in enumerate(group, 1):
            segments += [f"ST*{code}*{which:04d}", *body, f"SE*{len(body) + 2}*{which:04d}"]
        segments.append(f"GE*{len(group)}*{number}")
    segments.append(f"IEA*{len(groups)}*{control}")
    return "".join(segment + ends for segment in segments).encode("latin-1")


def with_other_signs(data: bytes) -> bytes:
    """An EDIFACT interchange of this module under signs that nobody expects."""
    swapped = data.translate(bytes.maketrans(b":+?'.", b"|*\\~,"))
    return swapped.replace(b"\\*0", b"+0")  # a plus is a sign no more, and needs no release
