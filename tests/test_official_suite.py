"""The official JSON-Schema-Test-Suite: what passes is what the docs say, and nothing fails without a reason."""

from __future__ import annotations

import pytest

from tests import official_suite


@pytest.fixture(scope="module")
def results():
    """The engine's answer to every test."""
    if not official_suite.DATA.exists():
        pytest.skip(f"the suite isn't here: put {official_suite.DATA.name} into ../shared/data")
    return official_suite.judge_all()


def test_the_page_says_what_passes(results):
    page = official_suite.PAGE.read_text("utf-8")
    expected = official_suite.replace_tables(page, results)
    assert page == expected, "run `python -m tests.official_suite --write`"


def test_every_wrong_verdict_has_its_reason():
    rows = official_suite.rows(official_suite.PAGE.read_text("utf-8"), "wrong")
    assert [row[:2] for row in rows if row[2] == official_suite.UNKNOWN] == []


def test_each_draft_is_judged(results):
    assert {result.draft for result in results} == official_suite.DIALECTS.keys()
    assert len(results) > 8000


def test_a_wrong_verdict_would_be_found():
    group = {"draft": "draft7", "file": "draft7/type.json", "group": "g", "schema": {"type": "string"}}
    group["tests"] = [
        {"description": "d", "data": 5, "valid": True},
        {"description": "e", "data": "", "valid": False},
    ]
    outcomes = [
        result.outcome for result in official_suite.judge(group, official_suite.registry("draft7", {}))
    ]
    assert outcomes == ["valid refused", "invalid accepted"]
