"""Output types that are ready to use: numbers and dates as Python writes them, identifiers, addresses, prose.

Each is a `Regex`, and combines with other terms. A pattern says what a text looks like, not whether it is
true: a credit card number needn't pass its checksum, nor an ISBN, and 2023-02-31 is a date.
"""

from __future__ import annotations

from outlines.types.terms import Regex

# Python's basic types. `string` has no escapes and no quote within.
string = Regex(r'"[^"]*"')
integer = Regex(r"[+-]?(0|[1-9][0-9]*)")
boolean = Regex(r"(True|False)")
number = Regex(rf"{integer.pattern}(\.[0-9]+)?([eE][+-]?[0-9]+)?")
date = Regex(r"(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
time = Regex(r"([0-1][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])")
datetime = Regex(rf"({date.pattern})(\s)({time.pattern})")

# Characters.
digit = Regex(r"\d")
char = Regex(r"\w")
newline = Regex(r"(\r\n|\r|\n)")
whitespace = Regex(r"\s")

# Identifiers and addresses of machines.
hex_str = Regex(r"(0x)?[a-fA-F0-9]+")
uuid4 = Regex(r"[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-4[a-fA-F0-9]{3}-[89abAB][a-fA-F0-9]{3}-[a-fA-F0-9]{12}")
_octet = r"25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]"
ipv4 = Regex(rf"(({_octet})\.){{3}}({_octet})")
_group = r"[0-9A-Fa-f]{1,4}"
_embedded_ipv4 = rf"(?:{_octet})(?:\.(?:{_octet})){{3}}"
ipv6 = Regex(
    "|".join(
        [
            rf"(?:{_group}:){{7}}{_group}",
            rf"(?:{_group}:){{1,7}}:",
            rf"(?:{_group}:){{1,6}}:{_group}",
            rf"(?:{_group}:){{1,5}}(?::{_group}){{1,2}}",
            rf"(?:{_group}:){{1,4}}(?::{_group}){{1,3}}",
            rf"(?:{_group}:){{1,3}}(?::{_group}){{1,4}}",
            rf"(?:{_group}:){{1,2}}(?::{_group}){{1,5}}",
            rf"{_group}:(?::{_group}){{1,6}}",
            rf":(?::{_group}){{1,7}}",
            r"::",
            rf"::(?:[Ff]{{4}}(?::0{{1,4}})?:){_embedded_ipv4}",
            rf"(?:{_group}:){{1,4}}:{_embedded_ipv4}",
        ]
    )
)
semver = Regex(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-[0-9A-Za-z.-]+)?"  # pre-release
    r"(?:\+[0-9A-Za-z.-]+)?"  # build
)
mac_address = Regex(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
hex_color = Regex(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
slug = Regex(r"[a-z0-9]+(?:-[a-z0-9]+)*")

# Money, telephones, places.
credit_card = Regex(
    "|".join(
        [
            r"4[0-9]{12}(?:[0-9]{3}(?:[0-9]{3})?)?",  # Visa
            r"5[1-5][0-9]{14}",  # Mastercard, and its newer range:
            r"2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}",
            r"3[47][0-9]{13}",  # American Express
            r"3(?:0[0-5]|[68][0-9])[0-9]{11}",  # Diners Club
            r"6(?:011[0-9]{12}|4[4-9][0-9]{13}|5[0-9]{14})",  # Discover
            r"(?:2131|1800|35[0-9]{3})[0-9]{11}",  # JCB
            r"(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{8,15}",  # Maestro
            r"62[0-9]{14,17}",  # UnionPay
        ]
    )
)
iban = Regex(r"[A-Z]{2}(?:0[2-9]|[1-8][0-9]|9[0-8])[A-Z0-9]{11,30}")
bic = Regex(r"[A-Z]{4}[A-Z]{2}[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?")
e164 = Regex(r"\+[1-9]\d{1,14}")
latitude = Regex(r"[+-]?(?:90(?:\.0+)?|[1-8]?\d(?:\.\d+)?)")
longitude = Regex(r"[+-]?(?:180(?:\.0+)?|(?:1[0-7]\d|[1-9]?\d)(?:\.\d+)?)")

# Prose. A sentence stays on its line except for white space before its end; a paragraph ends in a line break.
sentence = Regex(r"[A-Z].*\s*[.!?]")
paragraph = Regex(rf"{sentence.pattern}(?:\s+{sentence.pattern})*\n+")

# Addresses of people and books: patterns that are in wide use, kept to the letter.
_email_octet = r"2(5[0-5]|[0-4][0-9])|1[0-9][0-9]|[1-9]?[0-9]"
email = Regex(
    r"(?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r'|"(?:[\x01-\x08\x0b\x0c\x0e-\x1f\x21\x23-\x5b\x5d-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*")'
    r"@(?:(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
    rf"|\[(?:(?:({_email_octet}))\.){{3}}(?:({_email_octet})"
    r"|[a-z0-9-]*[a-z0-9]:(?:[\x01-\x08\x0b\x0c\x0e-\x1f\x21-\x5a\x53-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])+)\])"
)
isbn = Regex(  # with look-ahead, which tells 10 digits from 13
    r"(?:ISBN(?:-1[03])?:? )?"
    r"(?=[0-9X]{10}$|(?=(?:[0-9]+[- ]){3})[- 0-9X]{13}$|97[89][0-9]{10}$|(?=(?:[0-9]+[- ]){4})[- 0-9]{17}$)"
    r"(?:97[89][- ]?)?[0-9]{1,5}[- ]?[0-9]+[- ]?[0-9]+[- ]?[0-9X]"
)
