"""A list is read whole, in either shape, or refused with the line that can't be."""

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.strict_json import BodyTooLargeError
from tallystick.screening.entities import ScreeningListMalformedError, parse_list
from tests.screening.listed import SIZE_MAX_BYTES, company, entities, lines

EXAMPLE = Path(__file__).parents[2] / "examples" / "screening" / "fictitious-2026-11-20.jsonl"
GOOD = company("good", "Umbral Freight")


def test_the_example_is_read() -> None:
    parsed = parse_list(EXAMPLE.read_bytes(), size_max_bytes=SIZE_MAX_BYTES)
    first = parsed.entities[0]

    assert (len(parsed.entities), parsed.skipped_count) == (7, 1)
    assert (first.names, first.aliases) == (
        ("Umbral Freight Holding Ltd",),
        ("Umbral Freight", "Умбрал Фрейт"),
    )
    assert (first.countries, first.registration_numbers) == (("ZZ",), ("FICT-0001",))
    assert first.last_change == "2026-11-01T00:00:00"


def test_lines_and_an_array_are_the_same_list() -> None:
    listed = [json.loads(line) for line in EXAMPLE.read_text("utf-8").splitlines()]
    in_lines = parse_list(EXAMPLE.read_bytes(), size_max_bytes=SIZE_MAX_BYTES)

    assert parse_list(b" \n" + json.dumps(listed).encode(), size_max_bytes=SIZE_MAX_BYTES) == in_lines
    spaced = EXAMPLE.read_bytes().replace(b"\n", b"\r\n\r\n")
    assert parse_list(spaced, size_max_bytes=SIZE_MAX_BYTES) == in_lines
    assert parse_list(EXAMPLE.read_bytes().rstrip(b"\n"), size_max_bytes=SIZE_MAX_BYTES) == in_lines


MALFORMED: dict[str, Any] = {
    "no JSON": b"{",
    "two on a line": lines(GOOD).strip() * 2,
    "no object": lines(["good"]),
    "null": lines(None),
    "a name twice": b'{"id": "a", "id": "b", "schema": "Company", "properties": {"name": ["A"]}}',
    "NUL": rb'{"id": "a", "schema": "Company", "properties": {"name": ["A\u0000"]}}',
    "no UTF-8": b'{"id": "a", "schema": "Company", "properties": {"name": ["\xff"]}}',
    "a fraction": b'{"id": "a", "schema": "Company", "score": 0.5, "properties": {"name": ["A"]}}',
    "no id": lines({name: value for name, value in GOOD.items() if name != "id"}),
    "an empty id": lines(GOOD | {"id": ""}),
    "a number as id": lines(GOOD | {"id": 7}),
    "a long id": lines(GOOD | {"id": "x" * 501}),
    "no schema": lines({name: value for name, value in GOOD.items() if name != "schema"}),
    "an odd schema": lines(GOOD | {"schema": "Company; --"}),
    "no properties": lines(GOOD | {"properties": None}),
    "a name that is no list": lines(GOOD | {"properties": {"name": "Umbral Freight"}}),
    "a name that is no text": lines(GOOD | {"properties": {"name": [7]}}),
    "a name that is long": lines(company("a", "x" * 501)),
    "501 names": lines(company("a", *(f"name {number}" for number in range(501)))),
    "a party without a name": lines(company("a")),
    "a party with a blank name": lines(company("a", " \t")),
    "a country that is no list": lines(GOOD | {"properties": {"name": ["A"], "country": "zz"}}),
    "datasets that are no list": lines(GOOD | {"datasets": "fictitious"}),
    "a change that is no text": lines(GOOD | {"last_change": 7}),
    "a long line": lines(GOOD | {"padding": "x" * 262_144}),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_line_that_cannot_be_read_is_named(case: str) -> None:
    content = (
        lines(company("before", "Nimbus Grey"))
        + b"\n"
        + MALFORMED[case]
        + b"\n"
        + lines(company("behind", "B"))
    )

    with pytest.raises(ScreeningListMalformedError) as refused:
        parse_list(content, size_max_bytes=SIZE_MAX_BYTES)
    assert refused.value.members == {"line_number": 3}
    assert refused.value.detail.startswith("Line 3: ")


def test_an_id_names_one_entity() -> None:
    with pytest.raises(ScreeningListMalformedError, match="Line 2: another entity"):
        entities(GOOD, GOOD)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"[]", lines(company("a", "1 Nowhere Street", schema="Address"))]
)
def test_nobody_is_no_list(content: bytes) -> None:
    with pytest.raises(ScreeningListMalformedError, match="nobody"):
        parse_list(content, size_max_bytes=SIZE_MAX_BYTES)


@pytest.mark.parametrize(
    "content", [b"[", b"[{}]", b"[[]]", b"[1]", b'[{"id": 1}, {"id": 1}]', b"[" * 100_000]
)
def test_an_array_is_as_strict(content: bytes) -> None:
    with pytest.raises(ScreeningListMalformedError):
        parse_list(content, size_max_bytes=SIZE_MAX_BYTES)


def test_a_list_has_a_size() -> None:
    content = lines(GOOD)
    assert parse_list(content, size_max_bytes=len(content)).entities
    with pytest.raises(BodyTooLargeError):
        parse_list(content, size_max_bytes=len(content) - 1)


def test_a_misspelled_schema_hides_nobody_and_relations_are_nobody() -> None:
    parsed = parse_list(
        lines(
            company("odd", "Umbral Freight", schema="Compnay"),
            company("vessel", "Grey Nimbus", schema="Vessel"),
            company("relation", schema="Relation"),
            company("sanction", "Umbral's entry", schema="Sanction"),
        ),
        size_max_bytes=SIZE_MAX_BYTES,
    )
    assert ([one.entity_id for one in parsed.entities], parsed.skipped_count) == (["odd", "vessel"], 2)


def test_only_what_is_screened_makes_another_entity() -> None:
    def hash_of(**changed: Any) -> bytes:
        entity = company("a", "Umbral", "Nimbus", country=["zz"])
        return entities({**entity, **changed})[0].entity_hash

    same = hash_of()
    assert hash_of(datasets=["other"], last_change="2027-01-01", id="b") == same
    assert hash_of(properties={"name": ["Nimbus", " Umbral "], "country": ["ZZ"], "topics": ["x"]}) == same
    changed = [
        {"name": ["Umbral"], "country": ["zz"]},
        {"name": ["Umbral", "Nimbus"]},
        {"name": ["Umbral"], "alias": ["Nimbus"], "country": ["zz"]},
        {"name": ["Umbral", "Nimbus"], "country": ["zz"], "birthDate": ["1970"]},
        {"name": ["Umbral", "Nimbus"], "country": ["zz"], "leiCode": ["X"]},
        {"name": ["Umbral", "Nimbus"], "country": ["zz"], "registrationNumber": ["1"]},
    ]
    assert len({same, hash_of(schema="Person"), *(hash_of(properties=one) for one in changed)}) == 8
