"""The airports of the world by IATA code; needs `outlines[airports]`."""

from enum import Enum

import airportsdata

__all__ = ["AIRPORT_IATA_LIST", "IATA"]

AIRPORT_IATA_LIST = [(code, code) for code in airportsdata.load("IATA")]
IATA = Enum("Airport", AIRPORT_IATA_LIST)  # type: ignore[misc]  # a list made at run time
