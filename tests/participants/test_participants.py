"""Who takes part: taken up once, seen by those they concern, and known by keys whose secrets nobody keeps."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from tallystick import participants, tokens
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.errors import DomainError
from tallystick.participants import ApiKeyInvalidError, HolderKind, KycStatus, Role
from tallystick.participants.api_keys import parse_key
from tests.bank import OPENED_AT, Bank, open_bank
from tests.database import cloned_database, connect


@pytest.fixture(scope="module")
def shared_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2) as bank,
    ):
        yield bank


class TestRegistration:
    @pytest.mark.parametrize(
        ("code", "register"),
        [
            (
                "lei_malformed",
                lambda on, bank: tokens.open_issuer(
                    on, bank.clock, legal_name="B", lei="1" * 20, bic="RIVBDEFF", jurisdiction="DE"
                ),
            ),
            (
                "bic_malformed",
                lambda on, bank: tokens.open_issuer(
                    on, bank.clock, legal_name="B", lei=bank.issuer.lei, bic="RIV", jurisdiction="DE"
                ),
            ),
            (
                "country_unknown",
                lambda on, bank: tokens.open_issuer(
                    on, bank.clock, legal_name="B", lei=bank.issuer.lei, bic="RIVBDEFF", jurisdiction="XX"
                ),
            ),
            ("currency_unknown", lambda on, bank: token_class(on, bank, currency="XAU")),
            ("malformed", lambda on, bank: token_class(on, bank, scale=10)),
            ("malformed", lambda on, bank: token_class(on, bank, scale=-1)),
            (
                "deposit_account_malformed",
                lambda on, bank: token_class(on, bank, backing_account_number=None),
            ),
            (
                "deposit_account_malformed",
                lambda on, bank: token_class(on, bank, backing_iban="DE02120300000000202051"),
            ),
            (
                "iban_malformed",
                lambda on, bank: token_class(on, bank, backing_account_number=None, backing_iban="DE1"),
            ),
            ("already_registered", lambda on, bank: token_class(on, bank, currency="USD")),
            ("holder_not_found", lambda on, bank: account(on, bank, holder_id="holder_absent")),
            ("token_class_not_found", lambda on, bank: account(on, bank, token_class_id="class_absent")),
            ("already_registered", lambda on, bank: account(on, bank, reference="HARBOUR-USD")),
            ("already_registered", lambda on, bank: account(on, bank, deposit_account_number="1000000001")),
            ("deposit_account_malformed", lambda on, bank: account(on, bank, deposit_account_number=None)),
            ("platform_not_found", lambda on, bank: holder(on, bank, platform_id="holder_absent")),
            ("platform_not_found", lambda on, bank: holder(on, bank, platform_id=bank.holders["LANTERN"].id)),
            ("country_unknown", lambda on, bank: holder(on, bank, residency="XX")),
            ("lei_malformed", lambda on, bank: holder(on, bank, lei="x")),
            ("principal_malformed", lambda on, bank: principal(on, bank, roles=frozenset())),
            ("principal_malformed", lambda on, bank: principal(on, bank, person=None)),
            (
                "principal_malformed",
                lambda on, bank: principal(on, bank, holder_id=bank.holders["HARBOUR"].id),
            ),
            ("principal_malformed", lambda on, bank: principal(on, bank, roles=frozenset({Role.HOLDER}))),
            (
                "principal_malformed",
                lambda on, bank: principal(
                    on,
                    bank,
                    roles=frozenset({Role.PLATFORM, Role.AUDITOR}),
                    holder_id=bank.holders["HARBOUR"].id,
                ),
            ),
            (
                "holder_not_found",
                lambda on, bank: principal(
                    on, bank, roles=frozenset({Role.HOLDER}), holder_id="holder_absent"
                ),
            ),
        ],
    )
    def test_what_is_wrong_is_refused(
        self, shared_bank: Bank, code: str, register: Callable[[Connection, Bank], object]
    ) -> None:
        with pytest.raises(DomainError) as refused:
            shared_bank.database.run(lambda connection: register(connection, shared_bank))
        assert refused.value.code == code

    def test_a_class_has_its_currencys_scale_unless_told_otherwise(self, shared_bank: Bank) -> None:
        yen = shared_bank.database.run(lambda on: token_class(on, shared_bank, currency="JPY"))
        dinar = shared_bank.database.run(lambda on: token_class(on, shared_bank, currency="KWD"))
        fine = shared_bank.database.run(lambda on: token_class(on, shared_bank, currency="GBP", scale=9))
        assert (yen.scale, dinar.scale, fine.scale) == (0, 3, 9)

    def test_an_account_has_a_reference_of_its_own(self, shared_bank: Bank) -> None:
        opened = shared_bank.database.run(
            lambda on: account(on, shared_bank, reference=None, deposit_account_number="77")
        )
        assert opened.reference == opened.id[-26:].upper()
        with shared_bank.database.read() as connection:
            [found] = participants.accounts_by_deposit(
                connection, shared_bank.issuer_id, opened.token_class_id, [], [opened.reference]
            )
            [same] = participants.accounts_by_deposit(
                connection, shared_bank.issuer_id, opened.token_class_id, ["77"], []
            )
        assert found == same == opened


def token_class(on: Connection, bank: Bank, **other: Any) -> participants.TokenClass:
    return tokens.open_token_class(
        on,
        bank.clock,
        bank.issuer_id,
        **{"currency": "CHF", "name": "N", "backing_account_number": "1", **other},
    )


def account(on: Connection, bank: Bank, **other: Any) -> participants.Account:
    values = {
        "holder_id": bank.holders["HARBOUR"].id,
        "token_class_id": bank.classes["USD"].id,
        "deposit_account_number": "99",
        **other,
    }
    return tokens.open_account(on, bank.clock, bank.issuer_id, **values)


def holder(on: Connection, bank: Bank, **other: Any) -> participants.Holder:
    values: dict[str, Any] = {
        "kind": HolderKind.MERCHANT,
        "legal_name": "N",
        "country": "DE",
        "residency": "DE",
        **other,
    }
    return participants.register_holder(on, bank.clock, bank.issuer_id, **values)


def principal(on: Connection, bank: Bank, **other: Any) -> participants.Principal:
    values: dict[str, Any] = {"name": "N", "roles": frozenset({Role.OPERATOR}), "person": "P", **other}
    return participants.register_principal(on, bank.clock, bank.issuer_id, **values)


class TestVisibility:
    @pytest.mark.parametrize(
        ("viewer", "visible"),
        [
            ("maker", {"HARBOUR", "LANTERN", "SILKROAD", "NORTHWIND"}),
            ("auditor", {"HARBOUR", "LANTERN", "SILKROAD", "NORTHWIND"}),
            ("platform", {"HARBOUR", "LANTERN", "SILKROAD"}),
            ("holder", {"NORTHWIND"}),
        ],
    )
    def test_everybody_sees_what_concerns_them(self, bank: Bank, viewer: str, visible: set[str]) -> None:
        sees = getattr(bank, viewer)
        with bank.database.read() as connection:
            seen = participants.accounts(connection, sees)
            assert {one.reference for one in seen} == {
                f"{name}-{of}" for name in visible for of in ("USD", "EUR")
            }
            assert [one.id for one in seen] == sorted(one.id for one in seen)
            assert {one.legal_name for one in participants.holders(connection, sees)} == {
                bank.holders[name].legal_name for name in visible
            }
            for name, one in bank.holders.items():
                for read, object_id in (
                    (participants.holder, one.id),
                    (participants.account, bank.account_id(f"{name}-USD")),
                ):
                    if name in visible:
                        assert read(connection, sees, object_id).id == object_id
                    else:
                        with pytest.raises(DomainError) as refused:
                            read(connection, sees, object_id)
                        assert refused.value.status == 404

    def test_pages_follow_each_other(self, shared_bank: Bank) -> None:
        with shared_bank.database.read() as connection:
            whole = participants.accounts(connection, shared_bank.maker)
            first = participants.accounts(connection, shared_bank.maker, limit=3)
            rest = participants.accounts(connection, shared_bank.maker, after=first[-1].id)
            assert first + rest == whole
            own = participants.accounts(
                connection, shared_bank.platform, holder_id=shared_bank.holders["LANTERN"].id
            )
            euro = participants.accounts(
                connection, shared_bank.holder, token_class_id=shared_bank.classes["EUR"].id
            )
            classes = participants.token_classes(connection, shared_bank.issuer_id, limit=1)
            assert participants.token_classes(connection, shared_bank.issuer_id, after=classes[0].id)
        assert {one.reference for one in own} == {"LANTERN-USD", "LANTERN-EUR"}
        assert {one.reference for one in euro} == {"NORTHWIND-EUR"}

    def test_a_holders_check_is_recorded(self, bank: Bank) -> None:
        holder_id = bank.holders["LANTERN"].id
        changed = bank.database.run(
            lambda on: participants.record_kyc(
                on, bank.issuer_id, holder_id, KycStatus.REJECTED, date(2026, 12, 1)
            )
        )
        assert (changed.kyc_status, changed.kyc_expires_on) == ("rejected", date(2026, 12, 1))
        with pytest.raises(DomainError) as refused:
            bank.database.run(
                lambda on: participants.record_kyc(on, bank.issuer_id, "absent", KycStatus.VERIFIED, None)
            )
        assert refused.value.code == "holder_not_found"


class TestApiKeys:
    def issue(self, bank: Bank, **other: Any) -> tuple[participants.ApiKey, str]:
        return bank.database.run(
            lambda on: participants.issue_api_key(on, bank.clock, bank.issuer_id, bank.maker.id, **other)
        )

    def bearer(self, bank: Bank, presented: str) -> participants.Principal:
        with bank.database.read() as connection:
            return participants.authenticate(connection, bank.clock, presented)

    def test_a_key_proves_its_bearer(self, bank: Bank) -> None:
        key, text = self.issue(bank)
        assert self.bearer(bank, text) == bank.maker
        with bank.database.read() as connection:
            assert participants.api_keys(connection, bank.issuer_id) == [key]

    def test_no_secret_is_kept(self, bank: Bank) -> None:
        _, text = self.issue(bank)
        parsed = parse_key(text)
        assert parsed is not None
        secret = parsed.secret
        with connect(bank.urls.superuser_url) as connection:
            row = connection.execute("SELECT row_to_json(k)::text FROM api_key k").fetchone()
        assert row is not None
        assert secret not in str(row[0])
        assert secret.encode().hex() not in str(row[0])

    def test_anything_else_is_refused_alike(self, bank: Bank) -> None:
        key, text = self.issue(bank)
        _, other = self.issue(bank)
        for wrong in (
            "",
            "tsk_",
            text[:-1],
            text + "A",
            text.upper(),
            text[:-43] + other[-43:],
            text.replace(key.id[-26:], bank.maker.id[-26:]),
            text.replace(bank.issuer_id[-26:], bank.maker.id[-26:]),
            " " + text,
            text + "\n",
            "tsk_" + "0" * 52 + "_" + "\u0660" * 43,
            "tsk_\x00",
        ):
            with pytest.raises(ApiKeyInvalidError) as refused:
                self.bearer(bank, wrong)
            assert (refused.value.status, refused.value.members) == (401, {})

    def test_a_key_ends(self, bank: Bank) -> None:
        _, expiring = self.issue(bank, lifetime_days=1)
        key, revoked = self.issue(bank)
        bank.clock.at = OPENED_AT + timedelta(days=1, microseconds=-1)
        assert self.bearer(bank, expiring) == bank.maker
        bank.clock.at = OPENED_AT + timedelta(days=1)
        with pytest.raises(ApiKeyInvalidError):
            self.bearer(bank, expiring)
        assert bank.database.run(
            lambda on: participants.revoke_api_key(on, bank.clock, bank.issuer_id, key.id)
        )
        assert not bank.database.run(
            lambda on: participants.revoke_api_key(on, bank.clock, bank.issuer_id, key.id)
        )
        with pytest.raises(ApiKeyInvalidError):
            self.bearer(bank, revoked)

    def test_a_suspended_principals_key_opens_nothing(self, bank: Bank) -> None:
        _, text = self.issue(bank)
        with connect(bank.urls.superuser_url) as connection:
            connection.execute("UPDATE principal SET status = 'suspended' WHERE id = %s", [bank.maker.id])
        with pytest.raises(ApiKeyInvalidError):
            self.bearer(bank, text)

    def test_a_key_whose_secret_its_bearer_made(self, bank: Bank) -> None:
        secret = participants.generate_secret()
        key = bank.database.run(
            lambda on: participants.register_api_key(
                on,
                bank.clock,
                bank.issuer_id,
                bank.maker.id,
                secret_sha256=hashlib.sha256(secret.encode()).digest(),
                lifetime_days=90,
                lifetime_days_max=365,
                ip_allow_list=["203.0.113.0/24"],
            )
        )
        text = participants.key_prefix(bank.issuer_id, key.id) + secret
        assert self.bearer(bank, text) == bank.maker
        assert key.expires_at == OPENED_AT + timedelta(days=90)

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            ({"secret_sha256": b"short"}, "malformed"),
            ({"lifetime_days": 0}, "api_key_lifetime_refused"),
            ({"lifetime_days": 366}, "api_key_lifetime_refused"),
            ({"ip_allow_list": ["x"]}, "ip_allow_list_malformed"),
            ({"principal_id": "principal_absent"}, "principal_not_found"),
        ],
    )
    def test_a_key_that_can_not_be(self, shared_bank: Bank, other: dict[str, Any], code: str) -> None:
        asked: dict[str, Any] = {
            "principal_id": shared_bank.maker.id,
            "secret_sha256": bytes(32),
            "lifetime_days": 90,
            "lifetime_days_max": 365,
        } | other
        with pytest.raises(DomainError) as refused:
            shared_bank.database.run(
                lambda on: participants.register_api_key(
                    on, shared_bank.clock, shared_bank.issuer_id, asked.pop("principal_id"), **asked
                )
            )
        assert refused.value.code == code

    def test_a_key_is_replaced_with_an_overlap(self, bank: Bank) -> None:
        old, text = self.issue(bank, lifetime_days=300)

        def rotate(key_id: str, **other: Any) -> tuple[participants.ApiKey, str | None]:
            asked = {"overlap_hours": 24, "lifetime_days": 90, "lifetime_days_max": 365} | other
            return bank.database.run(
                lambda on: participants.rotate_api_key(
                    on, bank.clock, bank.issuer_id, bank.maker.id, key_id, **asked
                )
            )

        new, new_text = rotate(old.id)
        assert new_text is not None
        assert self.bearer(bank, text) == self.bearer(bank, new_text) == bank.maker
        bank.clock.at = OPENED_AT + timedelta(hours=24)
        with pytest.raises(ApiKeyInvalidError):
            self.bearer(bank, text)
        assert self.bearer(bank, new_text) == bank.maker
        for key_id, other, code in (
            (old.id, {}, "api_key_not_live"),
            ("key_absent", {}, "api_key_not_found"),
            (new.id, {"overlap_hours": 721}, "malformed"),
            (new.id, {"overlap_hours": -1}, "malformed"),
            (new.id, {"secret_sha256": b""}, "malformed"),
            (new.id, {"lifetime_days": 366}, "api_key_lifetime_refused"),
        ):
            with pytest.raises(DomainError) as refused:
                rotate(key_id, **other)
            assert refused.value.code == code
        again, no_text = rotate(new.id, overlap_hours=0, secret_sha256=bytes(32))
        assert no_text is None
        with pytest.raises(ApiKeyInvalidError):
            self.bearer(bank, new_text)
        with bank.database.read() as connection:
            found = {one.id: one for one in participants.api_keys(connection, bank.issuer_id)}
        assert found[again.id].expires_at == bank.clock.at + timedelta(days=90)

    def test_an_overlap_makes_no_key_live_longer(self, bank: Bank) -> None:
        old, _ = self.issue(bank, lifetime_days=1)
        bank.database.run(
            lambda on: participants.rotate_api_key(
                on,
                bank.clock,
                bank.issuer_id,
                bank.maker.id,
                old.id,
                overlap_hours=48,
                lifetime_days=90,
                lifetime_days_max=365,
            )
        )
        with bank.database.read() as connection:
            assert participants.api_key(connection, bank.issuer_id, old.id) == old


class TestPower:
    """Whatever gives or takes power to act."""

    @pytest.mark.parametrize(
        ("code", "change"),
        [
            ("principal_malformed", lambda on, bank: roles(on, bank, bank.maker, Role.PLATFORM)),
            ("principal_malformed", lambda on, bank: roles(on, bank, bank.platform, Role.OPERATOR)),
            ("principal_malformed", lambda on, bank: roles(on, bank, bank.maker, Role.AUDITOR)),
            ("principal_malformed", lambda on, bank: roles(on, bank, bank.maker)),
            (
                "principal_malformed",
                lambda on, bank: roles(on, bank, bank.auditor, Role.AUDITOR, Role.OPERATOR),
            ),
            (
                "principal_malformed",
                lambda on, bank: participants.set_term(on, bank.clock, bank.issuer_id, bank.auditor.id, None),
            ),
            (
                "principal_malformed",
                lambda on, bank: participants.set_term(
                    on, bank.clock, bank.issuer_id, bank.maker.id, OPENED_AT
                ),
            ),
            (
                "principal_malformed",
                lambda on, bank: participants.set_scopes(on, bank.issuer_id, bank.maker.id, frozenset()),
            ),
            (
                "principal_malformed",
                lambda on, bank: participants.set_call_limit(on, bank.issuer_id, bank.maker.id, -1),
            ),
            (
                "principal_malformed",
                lambda on, bank: participants.set_signature_threshold(on, bank.issuer_id, bank.maker.id, -1),
            ),
            (
                "principal_status_conflict",
                lambda on, bank: participants.reactivate(on, bank.issuer_id, bank.maker.id, "x"),
            ),
            ("principal_not_found", lambda on, bank: participants.suspend(on, bank.issuer_id, "absent", "x")),
            (
                "principal_malformed",
                lambda on, bank: principal(on, bank, roles=frozenset({Role.AUDITOR})),
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, shared_bank: Bank, code: str, change: Callable[[Connection, Bank], object]
    ) -> None:
        with pytest.raises(DomainError) as refused:
            shared_bank.database.run(lambda connection: change(connection, shared_bank))
        assert refused.value.code == code

    def test_roles_are_replaced(self, bank: Bank) -> None:
        changed = bank.database.run(
            lambda on: roles(on, bank, bank.maker, Role.TREASURY_MAKER, Role.OPERATOR)
        )
        assert changed.roles == frozenset({"treasury_maker", "operator"})

    def test_the_database_holds_that_auditors_have_a_term(self, bank: Bank) -> None:
        with connect(bank.urls.superuser_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE principal SET access_until = NULL WHERE id = %s", [bank.auditor.id])


def roles(on: Connection, bank: Bank, of: participants.Principal, *given: Role) -> participants.Principal:
    return participants.set_roles(on, bank.issuer_id, of.id, frozenset(given))
