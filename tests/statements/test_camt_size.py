"""Large and hostile files: memory stays bounded, whatever fifty megabytes hold."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.soaking import in_full
from tests.statements.camt_documents import Detail, Entry, Statement, camt
from tests.statements.measure_memory import measure

MEGABYTE = 1_000_000
FILE_SIZE_BYTES = 50 * MEGABYTE
#: Above the file itself; together they stay within 200 megabytes.
GROWTH_MAX_BYTES = 120 * MEGABYTE
MANY = in_full(200_000, 50_000)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured through Linux's /proc"
)


def _write(path: Path, parts: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(parts)
    return path


def _many_entries(count: int) -> Iterator[str]:
    """Yield a notification of `count` entries with one transaction each, about 700 bytes an entry."""
    template = camt(
        Statement(
            entries=(
                Entry(
                    amount="4711.25",
                    reference="R-{number}",
                    servicer_reference="BANK-{number}",
                    details=(
                        Detail(
                            amount="4711.25",
                            end_to_end_id="E2E-{number}",
                            uetr="255ae394-9965-4438-ac86-f406feada396",
                            debtor_name="Payer {number}",
                            debtor_iban="DE89370400440532013000",
                            remittance=("Invoice {number} for goods",),
                        ),
                    ),
                ),
            )
        ),
        message_type="camt.054",
    )
    start, end = template.index("<Ntry>"), template.index("</Ntry>") + len("</Ntry>")
    yield template[:start]
    for number in range(count):
        yield template[start:end].replace("{number}", str(number))
    yield template[end:]


def test_a_large_file_costs_what_it_returns(tmp_path: Path) -> None:
    path = _write(tmp_path / "large.xml", _many_entries(20_000))
    outcome, growth_bytes = measure(path)
    assert outcome == "entries 20000"
    assert growth_bytes < 45 * MEGABYTE


@pytest.mark.slow
def test_the_longest_file_costs_no_more_than_itself(tmp_path: Path) -> None:
    path = _write(tmp_path / "longest.xml", _many_entries(MANY))
    outcome, growth_bytes = measure(path)
    assert outcome == f"entries {MANY}"
    # The file itself lies in memory here; 200,000 entries stay below the 300 megabytes that are asked.
    assert growth_bytes < path.stat().st_size + 10 * MEGABYTE


def test_one_batch_of_many_transactions(tmp_path: Path) -> None:
    def parts() -> Iterator[str]:
        template = camt(
            Statement(entries=(Entry(details=(Detail(end_to_end_id="E2E"),)),)), message_type="camt.054"
        )
        start, end = template.index("<TxDtls>"), template.index("</TxDtls>") + len("</TxDtls>")
        yield template[:start]
        for _ in range(30_000):
            yield template[start:end] + "\n"
        yield template[end:]

    outcome, growth_bytes = measure(_write(tmp_path / "batch.xml", parts()))
    assert outcome == "entries 1"
    assert growth_bytes < 45 * MEGABYTE


NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
ROOT = f'<Document xmlns="{NAMESPACE}">'
STATEMENT = f"{ROOT}<BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr><Stmt><Id>1</Id>"
ENTRY = '<Ntry><Amt Ccy="EUR">1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
END = "</Stmt></BkToCstmrStmt></Document>"
SMALL = "<a/>" * 10_000
HOSTILE = {
    "small elements in the root": (ROOT, SMALL, ""),
    "small elements in a statement": (STATEMENT, SMALL, END),
    "small elements before entries": (STATEMENT, f"{SMALL}{ENTRY}</Ntry>", END),
    "small elements before transactions": (
        STATEMENT + ENTRY,
        f"{SMALL}<NtryDtls><TxDtls/></NtryDtls>",
        f"</Ntry>{END}",
    ),
    "small elements between transactions": (
        f"{STATEMENT}{ENTRY}<NtryDtls>",
        f"{SMALL}<TxDtls/>",
        f"</NtryDtls></Ntry>{END}",
    ),
    "known elements before transactions": (
        STATEMENT + ENTRY,
        "<AddtlNtryInf/>" * 1_000 + "<NtryDtls><TxDtls/></NtryDtls>",
        f"</Ntry>{END}",
    ),
    "entries where none belong": (
        f"{STATEMENT}<SplmtryData>",
        f"{ENTRY}</Ntry>" * 1_000,
        f"</SplmtryData>{END}",
    ),
    "transactions where none belong": (STATEMENT + ENTRY, "<TxDtls/>" * 1_000, f"</Ntry>{END}"),
    "messages": (ROOT, "<BkToCstmrStmt/>" * 1_000, "</Document>"),
    "balances": (STATEMENT, '<Bal><Amt Ccy="EUR">1</Amt></Bal>' * 1_000, END),
    "attributes": (f"{ROOT}<a ", " ".join(f'{c}{n}=""' for c in "abcde" for n in range(1_000)), "/>"),
    "nesting": (ROOT, "<a>" * 1_000, ""),
    "nesting in an entry": (STATEMENT + ENTRY, "<a>" * 1_000, ""),
    "text": (f"{STATEMENT}<AddtlStmtInf>", "x" * 10_000, ""),
    "character references": (f"{STATEMENT}<AddtlStmtInf>", "&#65;" * 1_000, ""),
    "an attribute": (f'{ROOT}<a b="', "x" * 10_000, '"/>'),
    "a name": ("<", "x" * 10_000, "/>"),
    "a comment before the root": ("<!--", "x" * 10_000, f"-->{ROOT}"),
    "comments before the root": ("", "<!---->" * 1_000, f"{ROOT}"),
    "a comment in a statement": (f"{STATEMENT}<!--", "x" * 10_000, f"-->{END}"),
    "instructions in a statement": (STATEMENT, "<?a?>" * 1_000, END),
    "blanks": ("", " " * 10_000, ""),
    "remittance lines": (f"{STATEMENT}{ENTRY}<NtryDtls><TxDtls><RmtInf>", "<Ustrd>x</Ustrd>" * 1_000, ""),
    "a document type": ("<!DOCTYPE d [", "<!ENTITY a 'aaaaaaaaaa'>" * 1_000, f"]>{ROOT}"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_fifty_hostile_megabytes_are_refused_in_bounded_memory(case: str, tmp_path: Path) -> None:
    start, middle, end = HOSTILE[case]
    repeats = FILE_SIZE_BYTES // len(middle)
    path = _write(tmp_path / "hostile.xml", (start, *(middle for _ in range(repeats)), end))
    outcome, growth_bytes = measure(path)
    assert outcome.startswith("statement_")
    assert growth_bytes < GROWTH_MAX_BYTES


def test_a_large_file_of_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "wide.xml"
    path.write_text("".join(_many_entries(5_000)), encoding="utf-16")
    outcome, growth_bytes = measure(path)
    assert outcome == "entries 5000"
    assert growth_bytes < 45 * MEGABYTE
