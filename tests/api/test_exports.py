"""`/v1/exports`: made once per key, listed, and every file served as its manifest says."""

import asyncio
import base64
import hashlib
import json
import shutil
from datetime import timedelta, timezone
from typing import Any

import pytest

from tallystick import exports
from tallystick.core.clock import format_time
from tallystick.exports import arguments
from tallystick.participants import Role
from tests.api.edge import Edge, api_key, assert_problem, row_counts
from tests.api.examples import integrate_all
from tests.database import connect

pytestmark = pytest.mark.anyio

_PATH = "/v1/exports"
_AUDITOR = Role.AUDITOR


async def made(
    edge: Edge, body: dict[str, Any] | None = None, role: str = _AUDITOR, path: str = _PATH
) -> dict[str, Any]:
    response = await edge.post(path, {"format": "csv"} if body is None else body, role)
    assert response.status_code == 202, response.text
    asked = response.json()
    assert (asked["state"], asked["manifest"]) == ("pending", None)
    await asyncio.to_thread(exports.make_open, edge.application.state.service.workshop)
    finished: dict[str, Any] = (await edge.get(f"{_PATH}/{asked['id']}", role)).json()
    assert finished["state"] == "finished", finished
    return finished


def folders(edge: Edge) -> set[str]:
    directory = edge.application.state.service.settings.export_directory
    return {one.name for one in directory.iterdir()} if directory.exists() else set()


@pytest.mark.parametrize(
    ("export_format", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("jsonl", "application/x-ndjson"),
        ("hledger", "text/plain; charset=utf-8"),
        ("beancount", "text/plain; charset=utf-8"),
        ("evidence", "application/x-ndjson"),
        ("parquet", "application/vnd.apache.parquet"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("pdf", "application/pdf"),
        ("camt053", "application/xml"),
        ("gl_csv", "text/csv; charset=utf-8"),
        ("gl_jsonl", "application/x-ndjson"),
    ],
)
async def test_every_file_is_served_as_the_manifest_says(
    shared_edge: Edge, export_format: str, media_type: str
) -> None:
    shared_edge.bank.mint("HARBOUR-USD", "12.30")
    body = {"format": export_format}
    if export_format in {"pdf", "camt053"}:
        body["account_id"] = shared_edge.bank.account_id("HARBOUR-USD")
    elif export_format.startswith("gl_"):
        body |= {"business_date": "2026-11-19", "detail": "codes"}
    export = await made(shared_edge, body)
    told = export["manifest"]["arguments"]
    assert {name: told[name] for name in body} == body

    assert (await shared_edge.get(f"{_PATH}/{export['id']}")).json() == export
    assert (export["object"], export["format"]) == ("export", export_format)
    assert export["requested_by"] == shared_edge.bank.auditor.id
    assert export["manifest"]["files"]
    types = set()
    for file in export["manifest"]["files"]:
        served = await shared_edge.get(f"{_PATH}/{export['id']}/files/{file['name']}")
        digest = hashlib.sha256(served.content)
        assert served.status_code == 200
        assert (len(served.content), digest.hexdigest()) == (file["bytes"], file["sha256"])
        assert served.headers["content-type"].startswith(file["media_type"])
        types.add(served.headers["content-type"])
        assert served.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'
        assert served.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        assert served.headers["etag"] == f'"{file["sha256"]}"'
    assert media_type in types
    manifest = await shared_edge.get(f"{_PATH}/{export['id']}/files/manifest.json")
    assert manifest.headers["content-type"] == "application/json"
    assert json.loads(manifest.content) == export["manifest"]


async def test_a_period_and_a_class(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    edge.bank.mint("HARBOUR-EUR", "7.00")
    class_id = edge.bank.classes["EUR"].id
    minted_at = edge.bank.clock.at
    just_before = minted_at - timedelta(microseconds=1)
    body = {
        "format": "jsonl",
        "from": just_before.astimezone(timezone(timedelta(hours=1))).isoformat(timespec="microseconds"),
        "to": format_time(minted_at),
        "token_class_id": class_id,
    }

    manifest = (await made(edge, body))["manifest"]

    assert manifest["arguments"] == body | {"from": format_time(just_before)}
    assert [(one["currency"], one["supply"], one["ties"]) for one in manifest["control_totals"]] == [
        ("EUR", "7.00", True)
    ]


async def test_a_key_makes_one_export(edge: Edge) -> None:
    first = await edge.post(_PATH, {"format": "csv"}, _AUDITOR, key="month")
    edge.bank.mint("HARBOUR-USD", "5.00")
    again = await edge.post(_PATH, {"format": "csv"}, _AUDITOR, key="month")
    other = await edge.post(_PATH, {"format": "jsonl"}, _AUDITOR, key="month")
    somebody_else = await edge.post(_PATH, {"format": "csv"}, Role.OPERATOR, key="month")

    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert assert_problem(other, 409, "idempotency_key_reused")["existing_id"] == first.json()["id"]
    await asyncio.to_thread(exports.make_open, edge.application.state.service.workshop)
    assert folders(edge) == {first.json()["id"], somebody_else.json()["id"]}


async def test_one_key_at_once_makes_one_export(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    answers = await asyncio.gather(
        *(edge.post(_PATH, {"format": "hledger"}, _AUDITOR, key="at once") for _ in range(4))
    )

    assert {one.status_code for one in answers} == {202}
    [told] = {one.content for one in answers}
    counts = row_counts(edge.urls)
    assert (counts["export"], counts["export_run"], counts["export_result"]) == (1, 1, 0)
    with connect(edge.urls.superuser_url) as connection:
        jobs = connection.execute("SELECT args FROM job_queue.procrastinate_jobs").fetchall()
    bank = edge.bank
    assert jobs == [({"issuer_id": bank.issuer_id, "subject_id": json.loads(told)["id"]},)]


async def test_a_lost_directory_is_made_again(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    export = await made(edge)
    path = f"{_PATH}/{export['id']}/files/journal.csv"
    before = await edge.get(path)
    shutil.rmtree(edge.application.state.service.settings.export_directory)

    again = await edge.get(path)

    assert again.status_code == 200
    assert again.content == before.content


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "request_invalid"),
        ({"format": "docx"}, "request_invalid"),
        ({"format": 1}, "request_invalid"),
        ({"format": "csv", "from": "2026-11-20"}, "request_invalid"),
        ({"format": "csv", "from": "2026-11-20T08:00:00"}, "request_invalid"),
        ({"format": "csv", "from_": "2026-11-20T08:00:00Z"}, "request_invalid"),
        ({"format": "csv", "to": 1}, "request_invalid"),
        ({"format": "csv", "path": "/etc"}, "request_invalid"),
        ({"format": "csv", "sample_size": 0, "seed": "x"}, "request_invalid"),
        ({"format": "csv", "sample_size": "1", "seed": "x"}, "request_invalid"),
        ({"format": "csv", "sample_size": 1, "seed": ""}, "request_invalid"),
        ({"format": "csv", "business_date": "2026-11-31"}, "request_invalid"),
        ({"format": "gl_csv", "business_date": "2026-11-19", "detail": "all"}, "request_invalid"),
        ({"format": "csv", "sample_size": 1}, "export_options_invalid"),
        ({"format": "csv", "sample_size": 1, "seed": "a\nb"}, "export_options_invalid"),
        ({"format": "pdf"}, "export_options_invalid"),
        ({"format": "csv", "account_id": "account_1"}, "export_options_invalid"),
        ({"format": "gl_csv"}, "export_options_invalid"),
        ({"format": "csv", "detail": "codes"}, "export_options_invalid"),
        (
            {"format": "csv", "business_date": "2026-11-19", "to": "2026-11-19T00:00:00Z"},
            "export_options_invalid",
        ),
        ({"format": "csv", "business_date": "9999-12-31"}, "export_period_invalid"),
        ({"format": "csv", "business_date": "0001-01-01"}, "export_period_invalid"),
        ({"format": "csv", "to": "2999-01-01T00:00:00Z"}, "export_period_invalid"),
        (
            {"format": "csv", "from": "2026-11-20T08:00:00Z", "to": "2026-11-19T08:00:00Z"},
            "export_period_invalid",
        ),
    ],
)
async def test_what_is_refused(shared_edge: Edge, body: dict[str, Any], code: str) -> None:
    before = row_counts(shared_edge.urls)

    assert_problem(await shared_edge.post(_PATH, body, _AUDITOR), 422, code)

    assert row_counts(shared_edge.urls) == before
    assert not [name for name in folders(shared_edge) if name.startswith(".")]


async def test_a_class_that_is_not_there(shared_edge: Edge) -> None:
    for class_id in ("class_nobody", shared_edge.other.classes["USD"].id):
        body = {"format": "csv", "token_class_id": class_id}
        assert_problem(await shared_edge.post(_PATH, body, _AUDITOR), 404, "token_class_not_found")


async def test_an_account_that_is_not_there(shared_edge: Edge) -> None:
    for account_id in ("account_nobody", shared_edge.other.account_id("HARBOUR-USD")):
        body = {"format": "pdf", "account_id": account_id}
        assert_problem(await shared_edge.post(_PATH, body, _AUDITOR), 404, "account_not_found")


async def test_what_is_not_installed_is_told(shared_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda _: None)

    response = await shared_edge.post(_PATH, {"format": "parquet"}, _AUDITOR)

    assert_problem(response, 501, "export_format_unavailable")


async def test_an_evidence_pack_covers_every_class(shared_edge: Edge) -> None:
    body = {"format": "evidence", "token_class_id": shared_edge.bank.classes["USD"].id}

    assert_problem(await shared_edge.post(_PATH, body, _AUDITOR), 422, "export_scope_invalid")


async def test_a_manifest_is_served_with_its_signature(shared_edge: Edge) -> None:
    export = await made(shared_edge, {"format": "evidence"})

    path = f"{_PATH}/{export['id']}/files"
    manifest = await shared_edge.get(f"{path}/manifest.json")
    signature = await shared_edge.get(f"{path}/manifest.jws")

    assert signature.headers["content-type"] == "application/jose"
    payload = signature.text.split(".")[1]
    assert base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) == manifest.content


@pytest.mark.parametrize(
    "name",
    [
        "journal.jsonl",
        "nobody.csv",
        "%2E",
        "%2E%2E",
        "..%2F..%2Fsandbox.json",
        "%2Fetc%2Fpasswd",
        "journal.csv%00",
    ],
)
async def test_names_that_are_no_file(shared_edge: Edge, name: str) -> None:
    export = await made(shared_edge)

    response = await shared_edge.get(f"{_PATH}/{export['id']}/files/{name}")

    assert_problem(response, 404)


async def test_another_bank_s_export_is_absent(shared_edge: Edge) -> None:
    export = await made(shared_edge)
    theirs = {"Authorization": f"Bearer {api_key(shared_edge.other, shared_edge.other.auditor)}"}
    get = shared_edge.client.get

    absent = await shared_edge.get(f"{_PATH}/export_00000000000000000000000000")
    other = await get(f"{_PATH}/{export['id']}", headers=theirs)
    assert assert_problem(other, 404, "export_not_found") == assert_problem(absent, 404)
    file = await get(f"{_PATH}/{export['id']}/files/journal.csv", headers=theirs)
    assert_problem(file, 404, "export_not_found")
    assert (await get(_PATH, headers=theirs)).json()["data"] == []


async def test_exports_are_listed_in_pages(edge: Edge) -> None:
    found = [await made(edge, role=role) for role in (_AUDITOR, Role.OPERATOR, Role.TREASURY_CHECKER)]

    first = (await edge.get(f"{_PATH}?limit=2")).json()
    second = (await edge.get(f"{_PATH}?limit=2&cursor={first['next_cursor']}")).json()

    assert [*first["data"], *second["data"]] == found
    assert (first["has_more"], second["has_more"]) == (True, False)


@pytest.mark.parametrize("role", [Role.PLATFORM, Role.HOLDER])
async def test_customers_have_their_own_and_nothing_else(shared_edge: Edge, role: str) -> None:
    export = await made(shared_edge)
    bank = shared_edge.bank
    theirs = bank.holders["HARBOUR" if role == Role.PLATFORM else "NORTHWIND"].id
    others = bank.holders["NORTHWIND" if role == Role.PLATFORM else "HARBOUR"].id

    assert_problem(await shared_edge.post(_PATH, {"format": "evidence"}, role), 403, "role_not_allowed")
    refused = await shared_edge.post(f"/v1/holders/{others}/exports", {"format": "evidence"}, role)
    assert_problem(refused, 404, "holder_not_found")
    assert_problem(
        await shared_edge.post(_PATH, {"format": "csv", "holder_id": theirs}, _AUDITOR),
        422,
        "export_scope_invalid",
    )
    for path in (f"{_PATH}/{export['id']}", f"{_PATH}/{export['id']}/files/journal.csv"):
        assert_problem(await shared_edge.get(path, role), 404, "export_not_found")
    integrate_all(bank)
    own = await made(shared_edge, {"format": "evidence"}, role, path=f"/v1/holders/{theirs}/exports")

    assert own["manifest"]["pack_kind"] == "holder"
    assert own["arguments"]["holder_id"] == theirs
    assert [one["id"] for one in (await shared_edge.get(_PATH, role)).json()["data"]] == [own["id"]]
    file = await shared_edge.get(f"{_PATH}/{own['id']}/files/events.jsonl", role)
    assert file.status_code == 200


async def test_nothing_is_had_of_an_export_that_is_not_finished(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    asked = (await edge.post(_PATH, {"format": "csv"}, _AUDITOR)).json()

    for name in ("journal.csv", "manifest.json", "nobody.csv"):
        refused = await edge.get(f"{_PATH}/{asked['id']}/files/{name}")
        assert assert_problem(refused, 409, "export_not_finished")["state"] == "pending"
    shown = (await edge.get(f"{_PATH}/{asked['id']}")).json()
    assert shown == asked
    assert shown["progress"] == {"rows_written": 0, "rows_to_write": None, "current_file": None}


async def test_an_export_is_cancelled(edge: Edge) -> None:
    asked = (await edge.post(_PATH, {"format": "csv"}, _AUDITOR)).json()
    path = f"{_PATH}/{asked['id']}/cancel"

    cancelled = await edge.post(path, {"reason": "Asked for the wrong month."}, _AUDITOR, key="cancel")
    again = await edge.post(path, {"reason": "Asked for the wrong month."}, _AUDITOR, key="cancel")

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert cancelled.json()["failure"] == {"code": "export_cancelled", "reason": "Asked for the wrong month."}
    assert again.content == cancelled.content
    assert_problem(await edge.post(path, {"reason": "Twice."}, Role.OPERATOR), 409, "export_closed")
    assert exports.make_open(edge.application.state.service.workshop) == 0
    assert folders(edge) == set()


async def test_exports_that_wait_have_a_maximum(edge: Edge) -> None:
    for _ in range(100):
        await edge.post(_PATH, {"format": "csv"}, _AUDITOR)

    refused = await edge.post(_PATH, {"format": "csv"}, _AUDITOR)

    assert_problem(refused, 503, "exports_busy")
    assert row_counts(edge.urls)["export"] == 100
