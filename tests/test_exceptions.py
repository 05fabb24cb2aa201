"""The errors of providers: their texts, what is read from the original, and what each is translated to."""

from __future__ import annotations

import builtins
import pickle
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import Mock

import pytest

from outlines import exceptions
from outlines.exceptions import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    GenerationError,
    NotFoundError,
    OutlinesError,
    PermissionDeniedError,
    ProviderResponseError,
    RateLimitError,
    ServerError,
    is_provider_exception,
    normalize_provider_errors,
    normalize_provider_exception,
)

RETRYABLE = {
    APIError: False,
    AuthenticationError: False,
    PermissionDeniedError: False,
    NotFoundError: False,
    RateLimitError: True,
    BadRequestError: False,
    ServerError: True,
    APITimeoutError: True,
    APIConnectionError: True,
    ProviderResponseError: False,
    GenerationError: False,
}


@pytest.fixture(autouse=True)
def fresh_maps():
    exceptions._build_exception_map.cache_clear()
    yield
    exceptions._build_exception_map.cache_clear()


def error_with(**attributes):
    error = Exception("original")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(("kind", "is_retryable"), RETRYABLE.items())
def test_hierarchy(kind, is_retryable):
    assert issubclass(kind, APIError)
    assert issubclass(kind, OutlinesError)
    assert kind is APIError or kind.__bases__ == (APIError,)
    assert kind.retryable is is_retryable
    assert bool(kind.hint) is (kind is not APIError)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "API error"),
        ({"message": "told"}, "told"),
        ({"message": "", "provider": "p"}, ""),
        ({"provider": "p"}, "API Error [p]"),
        ({"original_exception": ValueError("why")}, "API error: why"),
        ({"provider": "p", "original_exception": ValueError("why")}, "API Error [p]: why"),
    ],
)
def test_text_of_an_error(arguments, text):
    assert str(APIError(**arguments)) == text


def test_hint_is_a_note_and_no_part_of_the_text():
    error = AuthenticationError("told")
    assert str(error) == "told"
    assert error.__notes__ == ["  → Check API key."]
    assert not hasattr(error, "_hint_note")
    assert not hasattr(APIError("told"), "__notes__")


def test_hint_where_there_are_no_notes():
    class Old(RateLimitError):
        @property
        def add_note(self):
            raise AttributeError

    assert Old("told")._hint_note == f"  → {RateLimitError.hint}"
    Old.hint = ""
    assert not hasattr(Old("told"), "_hint_note")


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(ServerError(provider="p", status_code=503, request_id="r")))
    assert (str(error), error.provider, error.status_code, error.request_id) == ("API Error [p]", "p", 503, "r")


@pytest.mark.parametrize(
    ("original", "status"),
    [
        (error_with(status_code=404), 404),
        (error_with(code=503), 503),
        (error_with(status=100), 100),
        (error_with(status_code="404", code=429), 429),
        (error_with(status_code=-1), None),
        (error_with(status_code=600), None),
        (error_with(response=SimpleNamespace(status_code=418)), 418),
        (error_with(response=None), None),
        (None, None),
    ],
)
def test_status_code_is_found(original, status):
    assert exceptions._extract_status_code(original) == status
    assert APIError(original_exception=original).status_code == status
    assert APIError(original_exception=original, status_code=500).status_code == 500


@pytest.mark.parametrize(
    ("original", "request_id"),
    [
        (error_with(request_id="a"), "a"),
        (error_with(request_id="", requestId="b"), "b"),
        (error_with(x_request_id="c"), "c"),
        (error_with(response=SimpleNamespace(headers={"X_Request_ID": "d"})), "d"),
        (error_with(response=SimpleNamespace(headers={"request-id": "e", "X-Request-Id": "f"})), "f"),
        (error_with(response=SimpleNamespace(headers={"Request-Id": "g"})), "g"),
        (error_with(response=SimpleNamespace(headers=[("request-id", "h")])), None),
        (error_with(request_id=7), None),
        (None, None),
    ],
)
def test_request_id_is_found(original, request_id):
    assert exceptions._extract_request_id(original) == request_id
    assert APIError(original_exception=original).request_id == request_id


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, BadRequestError),
        (418, BadRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (529, ServerError),
        (200, APIError),
        (302, APIError),
    ],
)
def test_status_decides_where_no_class_does(status, kind):
    original = error_with(status_code=status)
    error = normalize_provider_exception(original, "unknown provider")
    assert type(error) is kind
    assert (error.provider, error.original_exception, error.status_code) == ("unknown provider", original, status)


def test_errors_of_a_program_are_not_a_providers():
    for error in (TypeError("a"), AttributeError("b"), RuntimeError("c"), error_with(code="no")):
        assert not is_provider_exception(error, "openai")


@pytest.fixture
def openai(monkeypatch):
    """A stand-in for the library, with the inheritance that its real one has."""
    module = ModuleType("openai")

    def define(name, *bases):
        setattr(module, name, type(name, bases or (Exception,), {}))
        return getattr(module, name)

    for name in (*dict(exceptions._COMMON), "LengthFinishReasonError", "ContentFilterFinishReasonError"):
        if name != "APITimeoutError":
            define(name)
    define("APITimeoutError", module.APIConnectionError)
    monkeypatch.setitem(sys.modules, "openai", module)
    return module


@pytest.mark.parametrize("provider", ["openai", "vllm", "sglang"])
def test_classes_of_a_library_decide_first(openai, provider):
    expected = {
        **dict(exceptions._COMMON),
        "LengthFinishReasonError": GenerationError,
        "ContentFilterFinishReasonError": GenerationError,
    }
    assert expected["ConflictError"] is BadRequestError
    for name, kind in expected.items():
        for original in (getattr(openai, name)("why"), Mock(spec=getattr(openai, name))):
            assert is_provider_exception(original, provider)
            assert type(normalize_provider_exception(original, provider)) is kind, name
    limited = openai.APIConnectionError("why")
    limited.status_code = 429
    assert type(normalize_provider_exception(limited, provider)) is APIConnectionError


def test_classes_that_are_none_are_passed_over(monkeypatch):
    errors = ModuleType("mistralai.client.errors")
    errors.HTTPValidationError = "not a class"
    errors.NoResponseError = type("NoResponseError", (Exception,), {})
    for name in ("mistralai", "mistralai.client"):
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, "mistralai.client.errors", errors)
    assert APIConnectionError in exceptions._build_exception_map("mistral").values()
    assert BadRequestError not in exceptions._build_exception_map("mistral").values()


@pytest.mark.parametrize("provider", [*exceptions._SDK_TABLES, "unknown"])
def test_missing_libraries_are_no_errors(monkeypatch, provider):
    for name, _ in exceptions._SDK_TABLES.get(provider, ()):
        module = name.rpartition(".")[0]
        if module != "builtins":
            monkeypatch.setitem(sys.modules, module, None)
    assert exceptions._build_exception_map(provider) == {}
    assert type(normalize_provider_exception(error_with(status_code=401), provider)) is AuthenticationError


def test_an_import_hook_is_heard(monkeypatch):
    real = builtins.__import__

    def hook(name, *args, **kwargs):
        if name.partition(".")[0] == "urllib3":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hook)
    assert "urllib3" not in str(exceptions._build_exception_map("dottxt"))


def test_libraries_that_are_here_are_known():
    urllib3 = pytest.importorskip("urllib3.exceptions", reason="pip install urllib3")
    hub = pytest.importorskip("huggingface_hub.errors", reason="pip install huggingface_hub")
    refused = urllib3.NewConnectionError(None, "refused")
    assert type(normalize_provider_exception(refused, "dottxt")) is APIConnectionError
    assert type(normalize_provider_exception(hub.OverloadedError("busy"), "tgi")) is ServerError


def test_errors_within_a_block_are_translated():
    original = error_with(status_code=429)
    with pytest.raises(RateLimitError) as caught, normalize_provider_errors("openai"):
        raise original
    assert caught.value.__cause__ is caught.value.original_exception is original


@pytest.mark.parametrize("error", [TypeError("a"), GenerationError("b", status_code=400), KeyboardInterrupt()])
def test_other_errors_within_a_block_are_left_alone(error):
    with pytest.raises(type(error)) as caught, normalize_provider_errors("openai"):
        raise error
    assert caught.value is error


def test_errors_while_iterating_are_translated():
    def stream():
        with normalize_provider_errors("ollama"):
            yield "a"
            raise ConnectionError("gone")

    chunks = stream()
    assert next(chunks) == "a"
    with pytest.raises(APIConnectionError):
        next(chunks)
