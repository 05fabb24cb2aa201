"""Output types of the United States."""

from outlines.types.terms import Regex

__all__ = ["phone_number", "zip_code"]

zip_code = Regex(r"\d{5}(?:-\d{4})?")
phone_number = Regex(r"(\([0-9]{3}\) |[0-9]{3}-)[0-9]{3}-[0-9]{4}")
