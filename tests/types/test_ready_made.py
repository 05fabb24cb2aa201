"""Ready-made types: what each accepts and rejects, as `re` judges its pattern."""

import builtins
import importlib
import re
import sys

import pytest

from outlines import types
from outlines.types import locale
from outlines.types.dsl import Regex, to_regex

# name: (accepted, rejected)
TEXTS = {
    "string": (['""', '"a b"', '"\n"'], ["a", '"', '"a"b"', "'a'"]),
    "integer": (["0", "-0", "+7", "-19"], ["019", "", "-", "1.0", "1e3", "٣"]),
    "boolean": (["True", "False"], ["true", "0", ""]),
    "number": (["0", "-1.50", "+2e10", "2E-10", "1.5e+3"], ["01", ".5", "5.", "1e", "1e1.5", "inf"]),
    "date": (
        ["2024-02-29", "0001-12-31"],
        ["2024-13-01", "2024-00-10", "2024-1-01", "2024-01-32", "24-01-01"],
    ),
    "time": (["00:00:00", "23:59:59"], ["24:00:00", "12:60:00", "12:00:60", "1:00:00", "12:00"]),
    "datetime": (["2024-02-29 23:59:59", "2024-02-29\t00:00:00"], ["2024-02-29T23:59:59", "2024-02-29"]),
    "digit": (["0", "9"], ["", "10", "a"]),
    "char": (["a", "_", "é", "7"], ["", "ab", "-", " "]),
    "newline": (["\n", "\r", "\r\n"], ["", "\n\n", "\n\r", " "]),
    "whitespace": ([" ", "\t", "\n"], ["", "  ", "a"]),
    "hex_str": (["0x1aF", "dead", "0"], ["", "0x", "0xg", "x1"]),
    "uuid4": (
        ["123e4567-e89b-42d3-a456-426614174000", "123E4567-E89B-42D3-B456-426614174000"],
        [
            "123e4567-e89b-12d3-a456-426614174000",
            "123e4567-e89b-42d3-c456-426614174000",
            "123e4567e89b42d3a456",
        ],
    ),
    "ipv4": (["0.0.0.0", "255.255.255.255", "192.168.1.10"], ["256.0.0.1", "01.2.3.4", "1.2.3", "1.2.3.4."]),
    "ipv6": (
        [
            "::",
            "::1",
            "2001:db8::1",
            "1:2:3:4:5:6:7:8",
            "1::",
            "fe80::a:b",
            "::ffff:192.0.2.1",
            "64:ff9b::1.2.3.4",
        ],
        ["1:2:3:4:5:6:7:8:9", "12345::", "1:2", ":", ":::", "g::", "::ffff:192.0.02.1", "::ffff:256.0.0.1"],
    ),
    "semver": (
        ["0.1.0", "1.2.3-rc.1", "1.2.3+b5", "1.2.3-a+b"],
        ["1.2", "01.2.3", "v1.2.3", "1.2.3-", "1.2.3.4"],
    ),
    "mac_address": (["00:1a:2B:3c:4D:5e"], ["00:1a:2b:3c:4d", "00-1a-2b-3c-4d-5e", "00:1a:2b:3c:4d:5g"]),
    "hex_color": (["#fff", "#A1b2C3"], ["fff", "#ffff", "#ffffffff", "#ggg", "#"]),
    "slug": (["a", "a-b-1", "2024"], ["A", "a--b", "-a", "a-", "a_b", ""]),
    "credit_card": (
        [
            "4111111111111111",
            "4222222222222",
            "5555555555554444",
            "2221000000000009",
            "378282246310005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6240008631401148",
        ],
        ["411111111111111", "41111111111111112", "1234567890123456", "4111-1111-1111-1111", "37828224631000"],
    ),
    "iban": (
        ["DE89370400440532013000", "GB82WEST12345698765432"],
        ["DE8937040044", "DE00370400440532013000", "de89"],
    ),
    "bic": (["DEUTDEFF", "DEUTDEFF500"], ["DEUTDEF", "DEUTDEFF5", "DEUTDE1F", "deutdeff", "DEUTDEFO"]),
    "e164": (["+14155552671", "+442071838750", "+12"], ["14155552671", "+0123", "+1", "+1234567890123456"]),
    "latitude": (["0", "-90", "90.0", "+45.123", "89.999"], ["90.1", "91", "-100", "1.", "045"]),
    "longitude": (["0", "-180", "180.00", "179.9", "+99.5"], ["180.1", "181", "200", "1.", "045"]),
    "sentence": (["Hi.", "What is it ?", "A, b; c!"], ["hi.", "Hi", "Hi. Ho", "One\ntwo."]),
    "paragraph": (["Hi.\n", "Hi. Ho!\n\n", "Hi.\nHo.\n"], ["Hi.", "hi.\n", "Hi\n", "Hi. ho\n"]),
    "email": (
        [
            "a@b.co",
            "first.last+tag@sub.example.com",
            '"a b"@example.org'.replace(" ", "_"),
            "a@[192.168.0.1]",
        ],
        ["a@b", "a@b.", "@b.co", "a..b@c.de", "a b@c.de", "A@b.co", "a@[256.0.0.1]"],
    ),
    "isbn": (
        ["0-306-40615-2", "0306406152", "ISBN-13: 978-0-306-40615-7", "9780306406157", "ISBN 080442957X"],
        ["030640615", "979-0-306-40615", "978030640615X7", "ISBN-12: 0306406152", "abc"],
    ),
}
US_TEXTS = {
    "zip_code": (["12345", "12345-6789"], ["1234", "12345-", "123456", "12345 6789"]),
    "phone_number": (["(555) 123-4567", "555-123-4567"], ["5551234567", "(555)123-4567", "555 123-4567"]),
}


def accepted(pattern, texts):
    return [text for text in texts if re.fullmatch(pattern, text)]


@pytest.mark.parametrize(
    ("term", "good", "bad"),
    [(getattr(types, name), *texts) for name, texts in TEXTS.items()]
    + [(getattr(locale.us, name), *texts) for name, texts in US_TEXTS.items()],
    ids=[*TEXTS, *US_TEXTS],
)
def test_texts_of_ready_made_type(term, good, bad):
    for pattern in (term.pattern, to_regex(term)):
        assert accepted(pattern, good) == good
        assert accepted(pattern, bad) == []


def test_every_ready_made_type_is_in_the_table():
    ready_made = {name for name in types.__all__ if isinstance(getattr(types, name), Regex)}
    assert ready_made == set(TEXTS)


def test_all_lists_what_is_there():
    assert [name for name in types.__all__ if not hasattr(types, name)] == []
    assert sorted(types.__all__) == sorted(set(types.__all__))
    with pytest.raises(AttributeError, match="no attribute 'airport'"):
        types.airport  # noqa: B018


@pytest.mark.parametrize(("name", "library"), [("airports", "airportsdata"), ("countries", "iso3166")])
def test_missing_library_is_named_with_its_extra(name, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"outlines.types.{name}", raising=False)
    monkeypatch.delitem(vars(types), name, raising=False)
    stand_in = getattr(types, name)
    with pytest.raises(ImportError, match=rf"needs the library `{library}`.*outlines\[{name}\]"):
        stand_in.anything  # noqa: B018


def test_any_other_failure_of_an_extra_is_not_hidden(monkeypatch):
    real_import = builtins.__import__

    def broken_import(name, *args):
        if name == "airportsdata":
            raise ModuleNotFoundError("No module named 'csv_of_airports'", name="csv_of_airports")
        return real_import(name, *args)

    monkeypatch.delitem(sys.modules, "outlines.types.airports", raising=False)
    monkeypatch.delitem(vars(types), "airports", raising=False)
    monkeypatch.setattr(builtins, "__import__", broken_import)
    with pytest.raises(ModuleNotFoundError, match="csv_of_airports"):
        types.airports  # noqa: B018


def test_airports_are_keyed_by_code():
    pytest.importorskip("airportsdata", reason="install outlines[airports] to test it")
    airports = importlib.import_module("outlines.types.airports")
    assert types.airports is airports
    assert airports.IATA.__name__ == "Airport"
    assert airports.IATA["CDG"].value == "CDG"
    assert ("LAX", "LAX") in airports.AIRPORT_IATA_LIST
    assert len(airports.IATA) == len(airports.AIRPORT_IATA_LIST) > 5000
    assert "" not in airports.IATA.__members__


def test_countries_have_codes_names_and_flags():
    pytest.importorskip("iso3166", reason="install outlines[countries] to test it")
    countries = importlib.import_module("outlines.types.countries")
    assert types.countries is countries
    expected = {
        "Alpha_2": (countries.Alpha2, countries.ALPHA_2_CODE, "FR"),
        "Alpha_3": (countries.Alpha3, countries.ALPHA_3_CODE, "FRA"),
        "Numeric_code": (countries.Numeric, countries.NUMERIC_CODE, "004"),
        "Name": (countries.Name, countries.NAME, "France"),
        "Flag": (countries.Flag, countries.FLAG, "\U0001f1eb\U0001f1f7"),
    }
    for name, (enum_class, pairs, member) in expected.items():
        assert enum_class.__name__ == name
        assert enum_class[member].value == member
        assert [(m.name, m.value) for m in enum_class] == pairs
    assert countries.get_country_flags()["FR"] == countries.flag_mapping["FR"] == "\U0001f1eb\U0001f1f7"


def test_a_library_that_has_gone_is_missed_when_types_are_loaded_again(monkeypatch):
    pytest.importorskip("airportsdata", reason="install outlines[airports] to test it")
    types.airports.IATA  # noqa: B018  # found once
    monkeypatch.setitem(sys.modules, "airportsdata", None)
    monkeypatch.delitem(sys.modules, "outlines.types.airports", raising=False)
    with pytest.raises(ImportError, match=r"pip install outlines\[airports\]"):
        importlib.reload(types).airports.IATA  # noqa: B018
