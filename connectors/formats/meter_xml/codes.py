"""Codes of IEC 61968-9, which ESPI took over: units, accumulation, direction.

Belongs here: the enumerations both formats share, in our words. Does not belong here: where they are kept.
"""

from __future__ import annotations

from connectors.formats.meter_xml.settle import AS_IS, CUMULATIVE

UNITS: dict[int, tuple[str, int]] = {
    5: ("A", 0), 29: ("V", 0), 31: ("MJ", -6), 38: ("kW", -3), 42: ("m3", 0), 61: ("kVA", -3),
    63: ("kvar", -3), 65: ("pf", 0), 71: ("kVAh", -3), 72: ("kWh", -3), 73: ("kvarh", -3), 119: ("ft3", 0),
    120: ("ft3", 0), 121: ("ft3", 0), 132: ("therm", -5), 134: ("m3", -3), 135: ("m3", -3), 136: ("m3", -3),
    166: ("m3", 0), 167: ("m3", 0), 169: ("therm", 0),
}  # fmt: skip
"""``uom`` to the stored unit and the power of ten between them.

A therm is 100,000 BTU. 120/121 and 135/136 are compensated and uncompensated ft3 and litres, 166/167 m3.
"""

REACTIVE = frozenset((63, 73))
DELIVERED, RECEIVED, NET = "import", "export", "net"
_ACTIVE_FLOWS = {1: DELIVERED, 4: NET, 19: RECEIVED}
_REACTIVE_FLOWS = {1: "reactive_import", 4: "reactive_net", 5: "reactive_import", 13: "reactive_export",
                   15: "reactive_import", 19: "reactive_export"}  # fmt: skip

ACCUMULATIONS = {0: AS_IS, 1: CUMULATIVE, 3: CUMULATIVE, 4: AS_IS, 6: AS_IS, 9: CUMULATIVE, 12: AS_IS}
"""``accumulationBehaviour``: 0 none, 1 bulk, 3 cumulative, 4 delta, 6 indicating, 9 summation, 12 instant."""


def direction_of(flow: int, uom: int, default: str) -> str:
    """The direction of a ``flowDirection``; ``default`` where it is not given (0)."""
    if uom in REACTIVE:
        fallback = f"reactive_{default}" if default in (DELIVERED, RECEIVED, NET) else default
        return fallback if flow == 0 else _REACTIVE_FLOWS.get(flow, "other")
    return default if flow == 0 else _ACTIVE_FLOWS.get(flow, "other")
