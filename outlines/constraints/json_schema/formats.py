r"""Formats: what the keyword `format` asserts about strings, each a pattern of characters from its standard.

A pattern is read when its format is first used in a process. Leap seconds and the year 0000, which RFC 3339 has, are
left out, since common checkers refuse them; so is the dot at the end of a host name, and labels that begin with
"xn--", since what their punycode says isn't looked into. Which texts are patterns (`regex`) isn't regular: written are
those that both ECMAScript and Python take, with groups nested at most _GROUPS deep.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

from outlines.constraints.expression import Expression, concat, star, union
from outlines.constraints.json_schema.host_names import idn_hostname
from outlines.constraints.json_schema.text import QUOTE, encode
from outlines.constraints.json_schema.value_sets import StringCase
from outlines.constraints.regex import read
from outlines.exceptions import SchemaError, shorten

__all__ = ["ANNOTATIONS", "FORMATS", "check_format", "format_case"]

# RFC 3339, section 5.6, which allows lower-case t and z
_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_DAY = (
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)"
)
_MULTIPLE_OF_4 = r"(?:0[48]|[2468][048]|[13579][26])"  # two digits, 00 apart
_LEAP_YEAR = rf"(?:[0-9]{{2}}{_MULTIPLE_OF_4}|{_MULTIPLE_OF_4}00)"
_DATE = rf"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
_HOUR_AND_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_HOUR_AND_MINUTE}:[0-5][0-9](?:\.[0-9]+)?(?:[Zz]|[+-]{_HOUR_AND_MINUTE})"

# RFC 3339, appendix A: no unit is left out between two others
_DAYS, _HOURS, _MINUTES, _SECONDS = r"[0-9]+D", r"[0-9]+H", r"[0-9]+M", r"[0-9]+S"
_OF_HOUR = rf"{_MINUTES}(?:{_SECONDS})?"
_OF_DAY = rf"T(?:{_HOURS}(?:{_OF_HOUR})?|{_OF_HOUR}|{_SECONDS})"
_OF_YEAR = rf"[0-9]+M(?:{_DAYS})?"
_DURATION = rf"P(?:(?:[0-9]+Y(?:{_OF_YEAR})?|{_OF_YEAR}|{_DAYS})(?:{_OF_DAY})?|{_OF_DAY}|[0-9]+W)"

# RFC 3986, section 3.2.2, for RFC 4291, section 2.2
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_LAST_TWO = rf"(?:{_GROUP}:{_GROUP}|{_IPV4})"
_IPV6 = (
    "(?:"
    + "|".join(
        [rf"(?:{_GROUP}:){{6}}{_LAST_TWO}"]
        + [rf"(?:(?:{_GROUP}:){{0,{n}}}{_GROUP})?::(?:{_GROUP}:){{{4 - n}}}{_LAST_TWO}" for n in range(5)]
        + [
            rf"::(?:{_GROUP}:){{5}}{_LAST_TWO}",
            rf"(?:(?:{_GROUP}:){{0,5}}{_GROUP})?::{_GROUP}",
            rf"(?:(?:{_GROUP}:){{0,6}}{_GROUP})?::",
        ]
    )
    + ")"
)

# RFC 1123, section 2.1: labels of 63 characters, 253 in all; none begins with "xn--"
_LETTER = r"[A-Za-z0-9]"


def _more(count: int) -> str:
    """Give the rest of a label after a letter."""
    return rf"(?:[A-Za-z0-9-]{{0,{count}}}{_LETTER})?"


_LABEL = (
    rf"(?:[A-WYZa-wyz0-9]{_more(61)}"
    rf"|[Xx](?:[A-MO-Za-mo-z0-9]{_more(60)}|-[A-Za-z0-9-]{{0,60}}{_LETTER}"
    rf"|[Nn](?:{_LETTER}{_more(59)}|-{_LETTER}{_more(58)})?)?)"
)
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"
_MAX_HOSTNAME = 253


def _email(more: str) -> str:
    """Give the mailboxes of RFC 5321, section 4.1.2; `more` are the characters that RFC 6531 adds."""
    atom = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{more}-]+"
    quoted = rf'"(?:[ !#-\[\]-~{more}]|\\[ -~])*"'
    label = rf"[A-Za-z0-9{more}]+(?:-+[A-Za-z0-9{more}]+)*"
    domain = rf"(?:{label}(?:\.{label})*|\[(?:{_IPV4}|[Ii][Pp][Vv]6:{_IPV6})\])"
    return rf"(?:{atom}(?:\.{atom})*|{quoted})@{domain}"


def _uri(more: str, private: str) -> tuple[str, str]:
    """Give the absolute and the relative references of RFC 3986; `more` and `private` are what RFC 3987 adds.

    An IPv4 address is a registered name, and empty segments make a path any characters and slashes after its first.
    """
    encoded = r"%[0-9A-Fa-f]{2}"
    plain = rf"A-Za-z0-9._~!$&'()*+,;={more}-"
    name = rf"(?:[{plain}]|{encoded})*"
    user = rf"(?:[:{plain}]|{encoded})*"
    future = r"[Vv][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+"
    authority = rf"(?:{user}@)?(?:\[(?:{_IPV6}|{future})\]|{name})(?::[0-9]*)?"
    begin = rf"(?:[:@{plain}]|{encoded})"
    begin_without_colon = rf"(?:[@{plain}]|{encoded})+"
    path = rf"(?:[:@/{plain}]|{encoded})*"
    network = rf"//{authority}(?:/{path})?"
    end = rf"(?:\?(?:[:@/?{private}{plain}]|{encoded})*)?(?:#(?:[:@/?{plain}]|{encoded})*)?"
    absolute = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{network}|/?(?:{begin}{path})?){end}"
    relative = rf"(?:{network}|/(?:{begin}{path})?|{begin_without_colon}(?:/{path})?|){end}"
    return absolute, relative


_ABSOLUTE_URI, _RELATIVE_URI = _uri("", "")
_UCSCHAR = (
    r"\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF"
    + "".join(rf"\U000{plane:X}0000-\U000{plane:X}FFFD" for plane in range(1, 14))
    + r"\U000E1000-\U000EFFFD"
)
_IPRIVATE = r"\uE000-\uF8FF\U000F0000-\U000FFFFD\U00100000-\U0010FFFD"
_ABSOLUTE_IRI, _RELATIVE_IRI = _uri(_UCSCHAR, _IPRIVATE)

# RFC 6570, section 2, without the operators that it reserves; the apostrophe is of its erratum 6937
_NAME_CHARACTER = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})"
_VARIABLE = rf"{_NAME_CHARACTER}+(?:\.{_NAME_CHARACTER}+)*(?::[1-9][0-9]{{0,3}}|\*)?"
_EXPANSION = rf"\{{[+#./;?&]?{_VARIABLE}(?:,{_VARIABLE})*\}}"
_URI_TEMPLATE = rf"(?:[!#$&-;=?-\[\]_a-z~{_UCSCHAR}{_IPRIVATE}]|%[0-9A-Fa-f]{{2}}|{_EXPANSION})*"

# RFC 6901, section 3
_JSON_POINTER = r"(?:/(?:[^~/]|~[01])*)*"


def _regex() -> Expression:
    """Give the patterns that ECMA-262 (with the flag u) and Python's `re` take alike, without references to groups."""
    escape = r"\\(?:[dDsSwWtnrfv\\/.^$()\[\]{}|*+?]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
    plain = rf"(?:[^\\/.^$()\[\]{{}}|*+?\x00-\x1F\x7F\uD800-\uDFFF]|{escape})"
    members = [chr(code) for code in range(0x20, 0x7F) if chr(code) not in "\\^]-[&~|"]
    ranges = "|".join(f"{re.escape(low)}-[{''.join(map(re.escape, members[i:]))}]" for i, low in enumerate(members))
    member = rf"(?:[^\\\]\[^&~|\x00-\x1F\x7F-]|{ranges}|{escape})"
    count = "|".join(
        [rf"{low}(?:,(?:[{low}-9]|[1-9][0-9])?)?" for low in range(10)]
        + [rf"{ten}{low}(?:,(?:{ten}[{low}-9]{f'|[{ten + 1}-9][0-9]' if ten < 9 else ''})?)?"
           for ten in range(1, 10) for low in range(10)]
    )  # fmt: skip

    def written(pattern: str) -> Expression:
        return read(pattern, encode=encode)

    one = written(rf"\[\^?{member}+\]|\.|{plain}")
    repeated = written(rf"(?:[*+?]\??|\{{(?:{count})\}}\??)?")
    ways = union(concat(one, repeated), written(r"[|^$]|\\[bB]"))
    pattern = star(ways)
    for _ in range(_GROUPS):
        group = concat(written(r"\((?:\?:)?"), pattern, written(r"\)"), repeated)
        lookahead = concat(written(r"\(\?[=!]"), pattern, written(r"\)"))
        pattern = star(union(ways, group, lookahead))
    return pattern


#: How deep groups may be nested in a `regex`.
_GROUPS = 3

#: Pattern of each format, in the syntax of `re`; a dot in none of them means any character.
FORMATS: dict[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": rf"{_DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "email": _email(""),
    "idn-email": _email(r"\u0080-\U0010FFFF"),
    "hostname": _HOSTNAME,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uri": _ABSOLUTE_URI,
    "uri-reference": rf"{_ABSOLUTE_URI}|{_RELATIVE_URI}",
    "uri-template": _URI_TEMPLATE,
    "iri": _ABSOLUTE_IRI,
    "iri-reference": rf"{_ABSOLUTE_IRI}|{_RELATIVE_IRI}",
    "uuid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "json-pointer": _JSON_POINTER,
    "relative-json-pointer": rf"(?:0|[1-9][0-9]*)(?:#|{_JSON_POINTER})",
    # of Pydantic: a UUID with this version, and the variant that has versions (RFC 9562, section 4)
    **{
        f"uuid{n}": rf"[0-9A-Fa-f]{{8}}-[0-9A-Fa-f]{{4}}-{n}[0-9A-Fa-f]{{3}}-[89ABab][0-9A-Fa-f]{{3}}-[0-9A-Fa-f]{{12}}"
        for n in (1, 3, 4, 5, 6, 7, 8)
    },
}

#: Formats that say what a string is for and nothing about its characters; Pydantic writes them.
ANNOTATIONS = frozenset("binary password path file-path directory-path".split())


def check_format(name: str, pointer: str, refuses_unknown: bool = False) -> None:
    """Check that a format can be enforced; warn of one that isn't known, since it's ignored.

    Raises
    ------
    SchemaError
        If a format isn't known, and such are refused.
    """
    if not is_known(name):
        if refuses_unknown:
            raise SchemaError(pointer, f"the format {shorten(name)} is not known; use `pattern`, or take it out")
        warnings.warn(
            f"{pointer}: the format {shorten(name)} is not known, so it's ignored; use `pattern` to enforce it",
            UserWarning,
            stacklevel=2,
        )


@lru_cache(maxsize=256)
def format_case(name: str) -> StringCase:
    """Give the strings of a format: all of them for one that isn't known, or is only an annotation."""
    if name == "idn-hostname":
        texts = idn_hostname(read(_LABEL, encode=encode))
    elif name == "regex":
        texts = _regex()
    elif name in FORMATS:
        texts = read(FORMATS[name], encode=encode)
    else:
        return StringCase()
    high = _MAX_HOSTNAME if name in ("hostname", "idn-hostname") else None
    return StringCase(high=high, pattern=concat(texts, QUOTE))


def is_known(name: str) -> bool:
    """Tell whether a format says something, or that it says nothing."""
    return name in FORMATS or name in ANNOTATIONS or name in ("idn-hostname", "regex")
