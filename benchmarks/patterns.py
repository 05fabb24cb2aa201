"""Patterns for the benchmarks: realistic ones and hostile ones, each with a text that it matches."""

from __future__ import annotations

__all__ = ["PATTERNS"]

#: Name -> (pattern, text). No engine has been looked at to choose them.
PATTERNS: dict[str, tuple[str, str]] = {
    "date": (r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", "2026-11-24"),
    "time stamp": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", "2026-11-24T12:34:56.789+01:00"),
    "e-mail": (r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}", "ada.lovelace@analytical-engine.co.uk"),
    "IPv4": (
        r"((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])", "192.168.254.17"
    ),
    "UUID": (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "123e4567-e89b-12d3-a456-426614174000"),
    "URL": (r"https?://[\w.-]+(:\d{1,5})?(/[^\s?#]*)?(\?[^\s#]*)?(#\S*)?", "https://example.org:8080/a/path?q=1&r=two#top"),
    "phone": (r"\+?\(?[0-9]{3}\)?[-. ]?[0-9]{3}[-. ]?[0-9]{4}", "(555) 123-4567"),
    "price": (r"[$€£][0-9]{1,3}(,[0-9]{3})*(\.[0-9]{2})?", "€12,345,678.90"),
    "semantic version": (r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?", "10.20.3-rc.1"),
    "hex colour": (r"#([0-9a-fA-F]{3}){1,2}", "#1a2B3c"),
    "quoted string": (r'"(?:[^"\\\n]|\\["\\nrt])*"', '"A \\"quoted\\" text\\nof two lines, with some words in it"'),
    "CSV row": (r'("([^"]|"")*"|[^",\n]*)(,("([^"]|"")*"|[^",\n]*)){3}', 'a plain field,"one, quoted",,last'),
    "list": (
        r"- [A-Z][a-z ]{3,60}(\n- [A-Z][a-z ]{3,60}){2,9}", "\n".join(["- Wash the dishes and dry them"] * 9)
    ),
    "sentence": (r"[A-Z][^.!?\n]{10,300}[.!?]", "The quick brown fox jumps over the lazy dog, and the dog sleeps on."),
    "three sentences": (
        r"([A-Z][^.!?\n]{1,200}[.!?] ?){3}", "It rains. The streets are empty and dark. Who would go out?"
    ),
    "words": (r"\w+( \w+){0,30}", "these are some words of which there may be thirty and one"),
    "words of Unicode": (r"[^\W\d_]{2,20}( [^\W\d_]{2,20}){0,9}", "Größe naïve façade Ελλάδα Москва"),
    "CJK": (r"[\u4e00-\u9fff]{2,10}(、[\u4e00-\u9fff]{2,10})*", "日本語、中文、漢字"),
    "any line": (r".{1,400}", "Anything at all may stand here, as long as it is one line: 日本 🙂!"),
    "any text": (r"(?s:.)*", "Anything at all,\non several lines.\n\nEven empty ones."),
    "markdown heading": (r"#{1,6} [^\n]{1,80}\n\n(?:[^\n]+\n){1,20}", "## A heading\n\nA line of text.\nAnother.\n"),
    "key and value": (r"(?:[a-z_]{1,20}: [^\n]{1,100}\n){1,50}", "name: Ada Lovelace\nborn_in: London\n"),
    "choice of 100": ("|".join(f"item_{i * 7919 % 10007}" for i in range(100)), "item_7919"),
    "case-insensitive": (r"(?i:yes|no|maybe)( (?i:please|thanks))?", "YES pleAse"),
    "numbers": (r"-?\d{1,9}(\.\d{1,6})?(, -?\d{1,9}(\.\d{1,6})?){0,99}", "1, 22.5, -333, 4.125, 99999, 6"),
    "SQL": (
        r"SELECT [a-z_]+(, [a-z_]+)* FROM [a-z_]+( WHERE [a-z_]+ = ('[^']*'|\d+))?;",
        "SELECT name, age FROM users WHERE city = 'New York';",
    ),
    "XML element": (r"<([a-z]+)( [a-z]+=\"[^\"<]*\")*>[^<]*</[a-z]+>", '<item id="12" class="big">some text</item>'),
    "count far back": (r".*a.{40}", "this is a text in which there is an a some forty letters before its end ok"),
    "count of counts": (
        r"(?:[a-z]{1,20}[a-z ]{1,20}){1,30}", "words and more words in a row that are counted twice over"
    ),
    "words and one blank": (r"(\w{1,50}\s?){1,100}", "Some words, without the comma ".replace(",", "").strip()),
    "comment": (r"/\*([^*]|\*+[^*/])*\*+/", "/* A comment * with stars ** in it */"),
}  # fmt: skip
