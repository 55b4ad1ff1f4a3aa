"""`docs/errors.md` lists every problem the service can answer with. To write it anew: TALLYSTICK_WRITE_DOCUMENTS=1."""

import importlib
import inspect
import os
import pkgutil
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

import tallystick
from tallystick.core.errors import DomainError, UnavailableError, domain_errors

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "errors.md"
WRITE: Final = "TALLYSTICK_WRITE_DOCUMENTS"

# RFC 9110's; Python's own differ from version to version.
PHRASES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}

INTRODUCTION: Final = """\
# Problems

Every refusal is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem, `application/problem+json`, with the
members `type` (`urn:tallystick:problem:` and the code), `title`, `status`, `detail` and `code`. **Branch on `code`**:
it is stable, and so is its status. Titles and details are for people and may change. Nothing that was sent comes back
in a problem but the names of fields.

Members that come with some codes:

| member | tells |
|---|---|
| `errors` | each field that is wrong: `pointer` (RFC 6901), `code`, `detail` |
| `field` | which field names what isn't there |
| `existing_id` | what the Idempotency-Key made when it was used first |
| `items` | which items of a batch were refused, and why |

A refused write leaves nothing behind, and its Idempotency-Key free. After a 429 or a 503 the same request with the same
key may be sent again once the seconds in `Retry-After` are over: it has one effect, however often it is sent. What is
absent and what is somebody else's are answered alike.

`/oauth/token` answers refusals as RFC 6749 (section 5.2) has them: `error` and `error_description`.

This list is made from the code, and a test holds it to that.
"""


def refusals() -> list[type[DomainError]]:
    """Every refusal of the product, by status and code, with all its modules imported."""
    for module in pkgutil.walk_packages(tallystick.__path__, "tallystick."):
        # Migrations run in Alembic's own context; they refuse nothing.
        if "_migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [one for one in domain_errors() if one.__module__.startswith("tallystick.")]
    return sorted(ours, key=lambda one: (one.status, one.code))


def document() -> str:
    """Return the list as Markdown."""
    parts = [INTRODUCTION]
    for status, group in groupby(refusals(), key=lambda one: one.status):
        parts.append(f"\n## {status} {PHRASES[status]}\n\n| code | title | when |\n|---|---|---|\n")
        parts += [f"| `{one.code}` | {cell(one.title)} | {cell(when(one))} |\n" for one in group]
    return "".join(parts)


def when(refusal: type[DomainError]) -> str:
    return inspect.cleandoc(refusal.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def test_the_document_lists_every_problem() -> None:
    made = document()
    if os.environ.get(WRITE):
        DOCUMENT.write_text(made, encoding="utf-8")

    assert DOCUMENT.read_text(encoding="utf-8") == made, (
        f"run this test with {WRITE}=1, and commit {DOCUMENT.name}"
    )


def test_a_code_means_one_thing() -> None:
    refusals()
    pending, codes = [DomainError], Counter[str]()
    while pending:
        one = pending.pop()
        pending += one.__subclasses__()
        codes[one.code] += one.__module__.startswith("tallystick.")

    assert [code for code, count in codes.items() if count > 1] == []


@pytest.mark.parametrize("refusal", refusals(), ids=lambda one: one.code)
def test_a_problem_is_fit_to_be_told(refusal: type[DomainError]) -> None:
    assert refusal.code.isascii()
    assert refusal.code == refusal.code.lower().replace("-", "_").replace(" ", "_")
    assert refusal.title[0].isupper()
    assert not refusal.title.endswith(".")
    assert when(refusal).endswith(".")
    assert 400 <= refusal.status < 600
    assert (refusal.status == 503) == issubclass(refusal, UnavailableError)
