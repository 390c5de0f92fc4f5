"""Numbers of currencies (ISO 4217) and their codes.

Belongs here: the table. Does not belong here: amounts.
"""

from __future__ import annotations

_CODES = {
    32: "ARS", 36: "AUD", 44: "BSD", 52: "BBD", 60: "BMD", 68: "BOB", 124: "CAD", 136: "KYD",
    152: "CLP", 156: "CNY", 170: "COP", 188: "CRC", 203: "CZK", 208: "DKK", 214: "DOP", 320: "GTQ",
    340: "HNL", 344: "HKD", 348: "HUF", 352: "ISK", 356: "INR", 360: "IDR", 376: "ILS", 388: "JMD",
    392: "JPY", 404: "KES", 410: "KRW", 458: "MYR", 484: "MXN", 504: "MAD", 554: "NZD", 558: "NIO",
    566: "NGN", 578: "NOK", 586: "PKR", 590: "PAB", 600: "PYG", 604: "PEN", 608: "PHP", 643: "RUB",
    682: "SAR", 702: "SGD", 704: "VND", 710: "ZAR", 752: "SEK", 756: "CHF", 764: "THB", 780: "TTD",
    784: "AED", 818: "EGP", 826: "GBP", 840: "USD", 858: "UYU", 901: "TWD", 933: "BYN", 936: "GHS",
    941: "RSD", 946: "RON", 949: "TRY", 975: "BGN", 978: "EUR", 980: "UAH", 985: "PLN", 986: "BRL",
}  # fmt: skip


def currency_of(number: int | None) -> str | None:
    """The code of a currency; its three digits where it is not in the table, None for none (0)."""
    if not number:
        return None
    return _CODES.get(number, f"{number:03d}")
