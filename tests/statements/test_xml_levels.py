"""Elements are handed over one by one, whole, and the rest of the tree is let go."""

import pytest

from tallystick.statements.refusals import StatementMalformedError, StatementNotXmlError
from tallystick.statements.xml_guard import guard_xml
from tallystick.statements.xml_levels import ClosedElement, read_root_tag, stream_levels


def _stream(document: str, *chain: str) -> list[ClosedElement]:
    guarded = guard_xml(document.encode(), size_max_bytes=10_000_000)
    return list(stream_levels(guarded, namespace="n", chain=chain))


def _document(inside: str) -> str:
    return f'<r xmlns="n"><a>{inside}</a></r>'


def test_inner_elements_end_first_and_see_what_stands_before_them() -> None:
    closed = _stream(_document("<x>1</x><b><y>2</y></b><x>3</x><b/><z/>"), "a", "b")
    assert [element.level for element in closed] == [1, 1, 0]
    assert [node.text for node in closed[0].children["y"]] == ["2"]
    assert closed[1].children == {}
    # The ancestors grow as the document goes on; at the end they are what the outer element holds.
    assert closed[0].ancestors[0] is closed[2].children
    assert [node.text for node in closed[2].children["x"]] == ["1", "3"]
    assert set(closed[2].children) == {"x", "z"}


def test_elements_of_the_chain_count_only_in_their_place() -> None:
    assert _stream(_document("<w><b/></w><x><a/></x>"), "a", "b")[0].level == 0
    assert _stream('<a xmlns="n"><b/></a>', "a", "b") == []
    assert _stream('<r xmlns="n"><b/><q><a/></q></r>', "a", "b") == []
    assert _stream('<r xmlns="n"><a xmlns="other"/></r>', "a") == []


def test_other_namespaces_are_left_out() -> None:
    (closed,) = _stream(_document('<x xmlns="other">1</x><y>2<x xmlns="other"/></y>'), "a")
    assert set(closed.children) == {"y"}
    # What held an element, even a foreign one, is no plain value.
    assert closed.children["y"][0].children == {}


def test_the_currency_of_amounts_is_kept() -> None:
    (closed,) = _stream(_document('<Amt Ccy="EUR">1</Amt><TtlAmt/><x Ccy="EUR">1</x>'), "a")
    assert [closed.children[name][0].currency for name in ("Amt", "TtlAmt", "x")] == ["EUR", None, None]


def test_thousands_of_different_names_are_read() -> None:
    (closed,) = _stream(_document("".join(f"<x{number}/>" for number in range(3_000))), "a")
    assert len(closed.children) == 3_000


@pytest.mark.parametrize(
    "inside",
    [
        "<x>" * 40 + "</x>" * 40,
        "<x/>" * 50_001,
        "<!--" + "x" * 1_200_000 + "-->",
        "<x>" + "1" * 1_200_000 + "</x>",
    ],
)
def test_what_no_statement_holds_is_refused(inside: str) -> None:
    with pytest.raises(StatementMalformedError):
        _stream(_document(inside), "a")


def test_the_place_of_a_mistake_is_told_and_nothing_else() -> None:
    with pytest.raises(StatementNotXmlError) as caught:
        _stream('<r xmlns="n">\n<secret>\n</r>', "a")
    assert caught.value.members["line"] == 3
    assert "secret" not in caught.value.detail
    with pytest.raises(StatementNotXmlError) as caught:
        _stream("<r>&secret;</r>", "a")
    assert "secret" not in caught.value.detail


def test_the_root_is_told_without_reading_on() -> None:
    far = "<x/>" * 100_000
    assert read_root_tag(guard_xml(f'<r xmlns="n">{far}'.encode(), size_max_bytes=10_000_000)) == "{n}r"
