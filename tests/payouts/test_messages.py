"""Payout files: valid against the public schemas, whatever may be asked for, and the same bytes for the same facts."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tallystick.core.errors import DomainError
from tallystick.payouts import FileFormat, Payout, asked, check_payable
from tallystick.payouts.messages import Order, Originator, Sender, write_message

UETR: Final = "0c8c1e2a-4f3b-4d5e-9a6b-7c8d9e0f1a2b"
AT: Final = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
LATIN: Final = "abcXYZ019/-?:().,'+ "

texts = st.text(LATIN, min_size=1, max_size=70).map(str.strip).filter(bool)
accounts = st.one_of(
    st.fixed_dictionaries(
        {"iban": st.sampled_from(["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"])}
    ),
    st.fixed_dictionaries(
        {
            "account_number": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,33}", fullmatch=True),
            "bic": st.just("COBADEFF"),
        }
    ),
)
beneficiaries = st.builds(
    lambda base, account, more: {**base, **account, **more},
    st.fixed_dictionaries(
        {
            "name": texts,
            "town_name": texts.map(lambda one: one[:35].strip()),
            "country": st.sampled_from(["DE", "CN", "FR"]),
        }
    ),
    accounts,
    st.fixed_dictionaries(
        {},
        optional={
            "street_name": texts,
            "building_number": st.just("7a"),
            "post_code": st.just("20457"),
            "bic": st.just("COBADEFFXXX"),
        },
    ),
)


@pytest.fixture(scope="module")
def schemas(shared: Path) -> dict[str, etree.XMLSchema]:
    return {one: etree.XMLSchema(etree.parse(str(shared / "xsd" / f"{one}.xsd"))) for one in FileFormat}


def written(
    file_format: str, payloads: list[dict[str, Any]], *, scale: int = 2, amount_minor: int = 12_300
) -> bytes:
    payments = []
    for number, payload in enumerate(payloads):
        said = asked({"uetr": UETR, **payload})
        payments.append(
            (
                Payout(
                    "issuer_x",
                    f"payout_{number:026}",
                    "class_x",
                    "account_x",
                    amount_minor,
                    said.uetr,
                    said.beneficiary,
                    said.remittance,
                    payload.get("purpose"),
                    AT,
                ),
                Originator("Lantern Möbel & Söhne 灯笼", "CN", None, None, "1000000002"),
            )
        )
    sender = Sender("Riverbank AG", "5299000J2N45DDNE4Y28", "RIVBDEFFXXX", None, "CONTROL-1", "USD", scale)
    return write_message(file_format, Order("0" * 26, AT, date(2026, 11, 20), sender, payments))


@pytest.mark.parametrize("file_format", list(FileFormat))
@given(
    payloads=st.lists(
        st.builds(
            lambda beneficiary, more: {"beneficiary": beneficiary, **more},
            beneficiaries,
            st.fixed_dictionaries(
                {}, optional={"remittance": texts, "purpose": st.sampled_from(["GDDS", "GOODS12"])}
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_is_accepted_makes_a_valid_message(
    schemas: dict[str, etree.XMLSchema], file_format: str, payloads: list[dict[str, Any]]
) -> None:
    content = written(file_format, payloads)

    document = etree.fromstring(content)
    schemas[file_format].assertValid(document)
    assert content == written(file_format, payloads)
    told = {etree.QName(one).localname: (one.text or "") for one in document.iter()}
    assert told["NbOfTxs"] == str(len(payloads))
    assert Decimal(told["CtrlSum"]) == Decimal("123.00") * len(payloads)
    assert told["UETR"] == UETR
    # Nobody's address is free lines.
    assert "AdrLine" not in told


@given(
    st.dictionaries(
        st.sampled_from(["name", "town_name", "iban", "bic", "account_number", "street_name", "country"]),
        st.text(max_size=80),
    )
)
def test_what_is_refused_is_refused_by_a_code(changed: dict[str, str]) -> None:
    beneficiary = {
        "name": "Acme",
        "town_name": "Hamburg",
        "country": "DE",
        "iban": "DE89370400440532013000",
    } | changed
    code, said = "accepted", None
    try:
        said = asked({"uetr": UETR, "beneficiary": beneficiary})
    except DomainError as refused:
        code = refused.code

    assert code in {"accepted", "payout_malformed", "iban_malformed", "bic_malformed", "country_unknown"}
    for text in () if said is None else said.beneficiary:
        assert text is None or (text.isascii() and text == text.strip())


@pytest.mark.parametrize(
    ("scale", "minor", "shown"), [(2, 12_345, "123.45"), (6, 123_450_000, "123.45"), (0, 7, "7")]
)
def test_amounts_have_the_currencys_decimals(scale: int, minor: int, shown: str) -> None:
    beneficiary = {"name": "Acme", "town_name": "Hamburg", "country": "DE", "iban": "DE89370400440532013000"}

    content = written(FileFormat.PAIN_001, [{"beneficiary": beneficiary}], scale=scale, amount_minor=minor)

    assert f'<InstdAmt Ccy="USD">{shown}</InstdAmt>'.encode() in content


@pytest.mark.parametrize(
    ("minor", "currency", "scale", "payable"),
    [
        (1, "USD", 2, True),
        (1, "USD", 6, False),
        (10_000, "USD", 6, True),
        (1, "JPY", 0, True),
        (1, "JPY", 2, False),
        (10**15 - 1, "USD", 2, True),
        (10**15, "USD", 2, False),
    ],
)
def test_only_what_banks_can_pay_is_taken(minor: int, currency: str, scale: int, payable: bool) -> None:
    if payable:
        check_payable(minor, currency, scale)
        return
    with pytest.raises(DomainError) as refused:
        check_payable(minor, currency, scale)
    assert (refused.value.code, refused.value.members["field"]) == ("payout_malformed", "amount")
