"""The errors that outlines raises, each with the place in the user's own input, and those of providers, translated.

    OutlinesError
    ├── ConstraintError (ValueError)        a constraint that can't be built
    │   ├── SchemaError                     .pointer: JSON pointer into the schema
    │   │   └── UnsupportedKeywordError     a keyword that isn't enforced yet
    │   ├── PatternError                    .pattern, .position: character in the pattern, from 0
    │   ├── GrammarError                    .line, .column in the grammar, from 1; None where not known
    │   ├── EmptyLanguageError              no text satisfies the constraint, or no tokens spell one
    │   └── LimitError                      .limit: name of the limit that was hit
    ├── StaleStateError                     a state on a device is of tables that were made anew since
    ├── TableBudgetError                    what is in use on a device needs more than its tables' budget
    └── APIError                            what a provider answered: .provider, .status_code, .request_id, .retryable
        ├── AuthenticationError, PermissionDeniedError, NotFoundError, BadRequestError
        ├── RateLimitError, ServerError, APITimeoutError, APIConnectionError        worth another try
        └── ProviderResponseError, GenerationError
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import ModuleType

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConstraintError",
    "EmptyLanguageError",
    "GenerationError",
    "GrammarError",
    "LimitError",
    "NotFoundError",
    "OutlinesError",
    "PatternError",
    "PermissionDeniedError",
    "ProviderResponseError",
    "RateLimitError",
    "SchemaError",
    "ServerError",
    "StaleStateError",
    "TableBudgetError",
    "UnsupportedKeywordError",
    "is_provider_exception",
    "normalize_provider_errors",
    "normalize_provider_exception",
    "shorten",
]


def shorten(value: object, width: int = 80) -> str:
    """Give `repr(value)`, cut at `width` characters, for use in a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes out; lists nested too deep
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= width else text[: width - 1] + "…"


class OutlinesError(Exception):
    """Base of every error that outlines defines."""


class ConstraintError(OutlinesError, ValueError):
    """A constraint can't be built from what the user gave."""


class SchemaError(ConstraintError):
    """A JSON Schema is wrong at a place.

    Parameters
    ----------
    pointer
        JSON pointer (RFC 6901) to the place in the schema; "" is the whole schema.
    problem
        What is wrong there, and what to do.
    """

    def __init__(self, pointer: str, problem: str):
        super().__init__(f"{pointer or 'the schema'}: {problem}")
        self.pointer = pointer


class UnsupportedKeywordError(SchemaError):
    """A keyword of JSON Schema that the engine doesn't enforce yet, so it refuses it."""


class PatternError(ConstraintError):
    """A regular expression can't be read, or isn't regular, at a position.

    Parameters
    ----------
    pattern
        The pattern as the user wrote it.
    position
        Character in the pattern, from 0, as the standard library's `re` counts.
    problem
        What is wrong there, and what to do.
    """

    def __init__(self, pattern: str, position: int, problem: str):
        super().__init__(f"position {position} of {shorten(pattern)}: {problem}")
        self.pattern = pattern
        self.position = position


class GrammarError(ConstraintError):
    """A grammar is wrong at a place.

    Parameters
    ----------
    problem
        What is wrong there, and what to do.
    line, column
        Place in the grammar, both from 1; None where it isn't known.
    """

    def __init__(self, problem: str, line: int | None = None, column: int | None = None):
        place = "" if line is None else f"line {line}: " if column is None else f"line {line}, column {column}: "
        super().__init__(place + problem)
        self.line = line
        self.column = column


class EmptyLanguageError(ConstraintError):
    """No text satisfies the constraint, or none that the vocabulary can spell."""


class LimitError(ConstraintError):
    """A named limit was hit before the constraint was built.

    Parameters
    ----------
    limit
        Name of the limit, as the parameter or constant that raises it.
    problem
        What was needed, what the limit is, and how to raise it.
    """

    def __init__(self, limit: str, problem: str):
        super().__init__(f"{problem} (limit: {limit})")
        self.limit = limit


class StaleStateError(OutlinesError):
    """A state on a device is of an earlier epoch: the tables were made anew since, to keep within their budget."""


class TableBudgetError(OutlinesError):
    """What batches are in at once needs more memory on a device than the budget of its tables."""


# What providers answer


class APIError(OutlinesError):
    """A provider's server or client library reported an error.

    Parameters
    ----------
    message
        What `str` gives; None for a text made of the provider and the original error.
    provider
        Name of the provider, such as "openai".
    original_exception
        The error of the provider's own library.
    status_code
        The HTTP status; taken from the original error where it isn't given.
    request_id
        What the provider calls this request; taken from the original error where it isn't given.

    Attributes
    ----------
    retryable : bool
        Whether the same call may succeed later. Of the class.
    hint : str
        What to do; shown below the traceback's message as a note. Of the class.
    """

    retryable = False
    hint = ""

    def __init__(
        self,
        message: str | None = None,
        provider: str | None = None,
        original_exception: BaseException | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
    ):
        if message is None:
            message = "API error" if provider is None else f"API Error [{provider}]"
            if original_exception is not None:
                message = f"{message}: {original_exception}"
        super().__init__(message)
        self.provider = provider
        self.original_exception = original_exception
        self.status_code = status_code or _extract_status_code(original_exception)
        self.request_id = request_id or _extract_request_id(original_exception)
        if self.hint:
            note = f"  \u2192 {self.hint}"
            if hasattr(self, "add_note"):  # from Python 3.11 on
                self.add_note(note)
            else:
                self._hint_note = note


class AuthenticationError(APIError):
    """The API key is missing or wrong (401)."""

    hint = "Check API key."


class PermissionDeniedError(APIError):
    """The API key may not do this (403)."""

    hint = "Check that this API key has the permission for the model and the endpoint."


class NotFoundError(APIError):
    """There is no such model or endpoint (404)."""

    hint = "Check the name of the model and the endpoint's address."


class RateLimitError(APIError):
    """Too many requests, or a quota is used up (429)."""

    retryable = True
    hint = "Send fewer requests at a time, or wait and try again."


class BadRequestError(APIError):
    """The provider refuses the request as it is (400, 409, 413, 422 and other 4xx)."""

    hint = (
        "Check the length of the prompt, the output type (the provider may not support all of its schema) and the "
        "parameters. A local model, as with `from_transformers`, takes every output type."
    )


class ServerError(APIError):
    """The provider's server failed (5xx)."""

    retryable = True
    hint = "The provider has a problem; try again later."


class APITimeoutError(APIError):
    """No answer came in time."""

    retryable = True
    hint = "The provider may be overloaded; try again, or raise the client's timeout."


class APIConnectionError(APIError):
    """The provider can't be reached."""

    retryable = True
    hint = "Check the network connection and the server's address."


class ProviderResponseError(APIError):
    """The provider's answer can't be read."""

    hint = "The provider's answer has an unexpected form: a passing fault, or versions that don't match."


class GenerationError(APIError):
    """The provider stopped the text: a refusal, a content filter, a limit of length."""

    hint = "See in the message why the output stopped."


_STATUS_CLASSES: dict[int, type[APIError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}

#: For each provider the errors of its library, by dotted name, the first that matches decides: special ones first.
#: Names that an installed version lacks are passed over.
_Table = tuple[tuple[str, type[APIError]], ...]


def _under(prefix: str, table: _Table) -> _Table:
    return tuple((f"{prefix}.{name}", error) for name, error in table)


_COMMON: _Table = (
    ("AuthenticationError", AuthenticationError),
    ("PermissionDeniedError", PermissionDeniedError),
    ("NotFoundError", NotFoundError),
    ("RateLimitError", RateLimitError),
    ("BadRequestError", BadRequestError),
    ("ConflictError", BadRequestError),
    ("UnprocessableEntityError", BadRequestError),
    ("InternalServerError", ServerError),
    ("APITimeoutError", APITimeoutError),
    ("APIConnectionError", APIConnectionError),
    ("APIResponseValidationError", ProviderResponseError),
)
_OPENAI = _under(
    "openai",
    (
        *_COMMON,
        ("LengthFinishReasonError", GenerationError),
        ("ContentFilterFinishReasonError", GenerationError),
    ),
)
_ANTHROPIC: _Table = (
    ("RequestTooLargeError", BadRequestError),
    ("ServiceUnavailableError", ServerError),
    ("OverloadedError", ServerError),
    ("DeadlineExceededError", APITimeoutError),
)
_HTTPX: _Table = (
    ("httpx.TimeoutException", APITimeoutError),
    ("httpx.ConnectError", APIConnectionError),
    ("httpx2.TimeoutException", APITimeoutError),
    ("httpx2.ConnectError", APIConnectionError),
)
_SDK_TABLES: dict[str, _Table] = {
    "openai": _OPENAI,
    "vllm": _OPENAI,
    "sglang": _OPENAI,
    # Some of its versions don't export all of these at the top.
    "anthropic": (
        *_under("anthropic", _ANTHROPIC),
        *_under("anthropic._exceptions", _ANTHROPIC),
        *_under("anthropic", _COMMON),
    ),
    "mistral": (
        *_HTTPX,
        ("mistralai.client.errors.HTTPValidationError", BadRequestError),
        ("mistralai.client.errors.ResponseValidationError", ProviderResponseError),
        ("mistralai.client.errors.NoResponseError", APIConnectionError),
    ),
    "gemini": (("google.genai.errors.ServerError", ServerError), *_HTTPX),
    "ollama": (
        ("builtins.ConnectionError", APIConnectionError),
        ("httpx.ConnectError", APIConnectionError),
        ("ollama.RequestError", APIConnectionError),
        ("httpx.TimeoutException", APITimeoutError),
    ),
    "tgi": (
        *_under(
            "huggingface_hub.errors",
            (
                ("InferenceTimeoutError", APITimeoutError),
                ("OverloadedError", ServerError),
                ("ValidationError", BadRequestError),
                ("BadRequestError", BadRequestError),
                ("GenerationError", GenerationError),
                ("IncompleteGenerationError", GenerationError),
                ("GatedRepoError", PermissionDeniedError),
                ("RepositoryNotFoundError", NotFoundError),
            ),
        ),
        *_HTTPX,
    ),
    "dottxt": (
        *_under(
            "urllib3.exceptions",
            (
                ("NewConnectionError", APIConnectionError),  # a ConnectTimeoutError in some versions
                ("ConnectTimeoutError", APITimeoutError),
                ("ReadTimeoutError", APITimeoutError),
                ("MaxRetryError", APIConnectionError),
            ),
        ),
        ("dottxt.InvalidOutputError", ProviderResponseError),
        *_OPENAI,  # its newer versions are built on it
    ),
}


#: The library without which a provider has no errors but those of a status; elsewhere the names of the table say it.
_SDKS = {"gemini": "google.genai", "mistral": "mistralai", "ollama": "ollama", "tgi": "huggingface_hub"}


def _imported(module: str) -> ModuleType:
    """Import a module as an import statement does, hooks included."""
    return __import__(module, fromlist=[""])


@cache
def _build_exception_map(provider: str) -> dict[type[BaseException], type[APIError]]:
    """Give what each error of a provider's library becomes; empty where the library isn't installed."""
    found: dict[type[BaseException], type[APIError]] = {}
    try:
        _imported(_SDKS.get(provider, "builtins"))
    except ImportError:
        return found
    for name, error in _SDK_TABLES.get(provider, ()):
        module, _, attribute = name.rpartition(".")
        try:
            sdk_error = getattr(_imported(module), attribute, None)
        except ImportError:
            continue
        if isinstance(sdk_error, type) and issubclass(sdk_error, BaseException):
            found.setdefault(sdk_error, error)
    return found


def _sdk_class(exc: BaseException, provider: str) -> type[APIError] | None:
    for sdk_error, error in _build_exception_map(provider).items():
        if isinstance(exc, sdk_error):
            return error
    return None


def _extract_status_code(exc: BaseException | None) -> int | None:
    """Give the HTTP status that an error of any library carries."""
    response = getattr(exc, "response", None)
    candidates = [getattr(exc, name, None) for name in ("status_code", "code", "status")]
    for value in (*candidates, getattr(response, "status_code", None)):
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return None


def _extract_request_id(exc: BaseException | None) -> str | None:
    """Give the id of the request that an error of any library carries."""
    for name in ("request_id", "requestId", "x_request_id"):
        value = getattr(exc, name, None)
        if isinstance(value, str) and value:
            return value
    headers = getattr(getattr(exc, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    by_name = {str(name).lower().replace("_", "-"): value for name, value in headers.items()}
    for name in ("x-request-id", "request-id"):
        value = by_name.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def is_provider_exception(exc: BaseException, provider: str) -> bool:
    """Say whether an error is the provider's: one of its library's, or one with an HTTP status.

    Errors of a program (TypeError, AttributeError, ...) aren't.
    """
    return _sdk_class(exc, provider) is not None or _extract_status_code(exc) is not None


def normalize_provider_exception(exc: BaseException, provider: str) -> APIError:
    """Translate an error of a provider's library to ours, by its class, else by its HTTP status."""
    error = _sdk_class(exc, provider)
    if error is None:
        status = _extract_status_code(exc) or 0
        if status >= 500:
            error = ServerError
        elif status >= 400:
            error = _STATUS_CLASSES.get(status, BadRequestError)
        else:
            error = APIError
    return error(provider=provider, original_exception=exc)


@contextmanager
def normalize_provider_errors(provider: str) -> Iterator[None]:
    """Translate the errors of a provider within a block, and leave all others as they are.

    Raises
    ------
    APIError
        One of its subclasses, from the original error.
    """
    try:
        yield
    except OutlinesError:
        raise
    except Exception as exc:
        if not is_provider_exception(exc, provider):
            raise
        raise normalize_provider_exception(exc, provider) from exc
