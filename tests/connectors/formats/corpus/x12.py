"""X12: monthly and interval usage, requests, acknowledgements, an unknown set, several interchanges."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.edi import x12

BLANKS = b"\x00\t\n\r\x1a "


def count(data: bytes) -> int:
    """Segments by splitting at the terminator that each ISA gives, interchange by interchange."""
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(BLANKS)
    found = 0
    while data:
        element = data[3:4]
        last = data.split(element, 16)[16]
        component, end = last[0:1], last[1:2]
        is_over = False
        while data and not is_over:
            segment, _, data = data.partition(end)
            segment = segment.lstrip(BLANKS)
            found += bool(segment)
            is_over = segment.replace(component, element).split(element)[0] == b"IEA"
        data = data.lstrip(BLANKS)
    return found


MONTHLY = [
    "867", "BPT*00*T1*20260115*DD", "DTM*649*20260115", "REF*Q5**10089010238", "N1*8S*TDSP*1*006929509",
    "DTM*150*20251215", "PTD*PL", "DTM*151*20260115", "REF*MG*M123", "REF*MT*KHMON", "REF*JH*A",
    "QTY*QD*1234*KH", "MEA*AA*PRQ*1234*KH*1000*2234*51", "MEA*AE*PRQ*234*KH*10*244*42", "MEA**MU*40",
    "PTD*SU", "DTM*151*20260115", "QTY*KA*1234*KH",
]  # fmt: skip
INTERVAL = [
    "867", "BPT*05*T2*20260115*C1", "REF*12*ACC9", "PTD*PM", "REF*MG*M123", "REF*MT*KH015",
    "QTY*QD*1.25*KH", "DTM*582*20260114*0015*CS", "QTY*KA*.5*KH", "DTM*582****DT*202601140030",
    "QTY*87*-2", "DTM*582*20260114*2400*CT", "QTY*20*0*KH", "DTM*194*20260115*0015*ES",
]  # fmt: skip
REQUEST = [
    "814", "BGN*13*X1*20260115*0830*CT*ORIG1", "N1*8R*A. CUSTOMER", "LIN*1*SH*EL*SH*CE", "ASI*7*021",
    "REF*Q5**10089010238", "REF*12*ACC1", "DTM*150*20260201", "LIN*2*SH*EL*SH*HU", "ASI*U*029",
    "REF*7G*A76*NOT FOUND", "REF*7G*A13",
]  # fmt: skip
ANSWER = [
    "997", "AK1*PT*5", "AK2*867*0001", "AK3*QTY*12**8", "AK4*1*673*7*ZZ", "AK5*R*5*3", "AK9*R*1*1*0*1",
]  # fmt: skip
FILE = x12([MONTHLY, INTERVAL], [REQUEST, ANSWER, ["824", "BGN*11*1"]], ta1="TA1*000000904*260114*0900*A*000")
OTHER_SIGNS = x12([INTERVAL], [ANSWER], ends="\n").translate(bytes.maketrans(b"*>", b"|^"))

CASES = [
    Case(
        "x12", {}, (FILE, OTHER_SIGNS, FILE + b"\r\n" + OTHER_SIGNS + FILE), count,
        tokens=(b"~", b"*", b">", b"\n", b"~QTY*QD*1~", b"~PTD*PM~", b"~LIN*3~", b"IEA", b"ISA*", b"-", b"."),
    ),
]  # fmt: skip
