"""The countries of ISO 3166 by code, name and flag; needs `outlines[countries]`."""

from enum import Enum

from iso3166 import countries

__all__ = [
    "ALPHA_2_CODE",
    "ALPHA_3_CODE",
    "FLAG",
    "NAME",
    "NUMERIC_CODE",
    "Alpha2",
    "Alpha3",
    "Flag",
    "Name",
    "Numeric",
    "flag_mapping",
    "get_country_flags",
]

_REGIONAL_INDICATOR_A = 0x1F1E6


def get_country_flags() -> dict[str, str]:
    """Give the flag of each two-letter code: its letters as regional indicators, drawn as a flag."""
    return {
        country.alpha2: "".join(
            chr(_REGIONAL_INDICATOR_A + ord(letter) - ord("A")) for letter in country.alpha2
        )
        for country in countries
    }


# The enums are made from lists at run time, which mypy doesn't follow.
ALPHA_2_CODE = [(country.alpha2, country.alpha2) for country in countries]
Alpha2 = Enum("Alpha_2", ALPHA_2_CODE)  # type: ignore[misc]

ALPHA_3_CODE = [(country.alpha3, country.alpha3) for country in countries]
Alpha3 = Enum("Alpha_3", ALPHA_3_CODE)  # type: ignore[misc]

NUMERIC_CODE = [(country.numeric, country.numeric) for country in countries]
Numeric = Enum("Numeric_code", NUMERIC_CODE)  # type: ignore[misc]

NAME = [(country.name, country.name) for country in countries]
Name = Enum("Name", NAME)  # type: ignore[misc]

flag_mapping = get_country_flags()
FLAG = [(flag, flag) for flag in flag_mapping.values()]
Flag = Enum("Flag", FLAG)  # type: ignore[misc]
