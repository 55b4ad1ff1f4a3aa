"""The bank's identity provider: who its tokens are, and what is no token of its."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tallystick import identity, participants
from tallystick.identity import IdentityProviderUnavailableError, KeySet, StaffRules, StaffTokens
from tallystick.participants import AccessEndedError, ApiKeyInvalidError, Bearer, LoginTakenError, Role
from tests.bank import OPENED_AT, Bank
from tests.identity.outsiders import b64, made_key, pem_of, raw_jwt
from tests.identity.provider import AUDIENCE, ISSUER, Provider, running_provider

NOW = OPENED_AT.timestamp()
ALGORITHMS = frozenset({"EdDSA", "RS256"})
RULES = StaffRules(ISSUER, AUDIENCE, ALGORITHMS, "sub", "groups", None)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as running:
        yield running


@pytest.fixture(scope="module")
def staffed(shared_bank: Bank) -> Bank:
    """The bank with the maker's and the platform's logins."""
    shared_bank.database.run(
        lambda on: participants.bind_login(on, shared_bank.issuer_id, shared_bank.maker.id, "mara")
    )
    return shared_bank


@pytest.fixture(scope="module")
def tokens(provider: Provider) -> StaffTokens:
    return StaffTokens(RULES, KeySet(provider.url, ALGORITHMS))


def bearer(bank: Bank, tokens: StaffTokens, presented: str, issuer_id: str | None = None) -> Bearer:
    claims = tokens.verified(bank.clock, presented)
    with bank.database.read() as connection:
        return identity.find_staff_bearer(connection, bank.clock, issuer_id, claims)


def test_a_registered_person_gets_in(staffed: Bank, tokens: StaffTokens, provider: Provider) -> None:
    found = bearer(staffed, tokens, provider.token(NOW))
    assert (found.principal.id, found.principal.roles) == (staffed.maker.id, staffed.maker.roles)
    assert found.expires_at == OPENED_AT + timedelta(hours=1)
    assert bearer(staffed, tokens, provider.token(NOW, aud=[AUDIENCE]), staffed.issuer_id) == found
    for media_type in ("at+jwt", "application/at+jwt", None):
        assert bearer(staffed, tokens, provider.token(NOW, headers={"typ": media_type})) == found


def test_a_login_that_nobody_has_is_nobody(staffed: Bank, tokens: StaffTokens, provider: Provider) -> None:
    for subject in ("chen", "MARA", "mara ", staffed.maker.id):
        with pytest.raises(ApiKeyInvalidError):
            bearer(staffed, tokens, provider.token(NOW, sub=subject))
    with pytest.raises(ApiKeyInvalidError):
        bearer(staffed, tokens, provider.token(NOW), "issuer_absent")


def forged_with_public_key(provider: Provider) -> str:
    header, claims = b'{"alg":"HS256","kid":"first"}', json.dumps(provider.claims(NOW)).encode()
    signing_input = f"{b64(header)}.{b64(claims)}"
    secret = pem_of(provider.keys["first"][0])
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


def made(**other: Any) -> Callable[[Provider], str]:
    return lambda provider: provider.token(NOW, **other)


def written(header: str, **other: Any) -> Callable[[Provider], str]:
    return lambda provider: raw_jwt(
        header, json.dumps(provider.claims(NOW, **other)), provider.keys["first"][0]
    )


ATTACKS: dict[str, Callable[[Provider], str]] = {
    "alg none": lambda provider: raw_jwt('{"alg":"none","kid":"first"}', json.dumps(provider.claims(NOW))),
    "HS256 with the public key": forged_with_public_key,
    "HS256 with a published secret": written('{"alg":"HS256","kid":"shared"}'),
    "RS256 over an Ed25519 key": written('{"alg":"RS256","kid":"first"}'),
    "alg by its new name": written('{"alg":"Ed25519","kid":"first"}'),
    "no kid": written('{"alg":"EdDSA"}'),
    "kid of nobody": written('{"alg":"EdDSA","kid":"nobody"}'),
    "kid is a path": written('{"alg":"EdDSA","kid":"../../first"}'),
    "kid of an encryption key": written('{"alg":"EdDSA","kid":"for encryption"}'),
    "kid of a weak key": written('{"alg":"RS256","kid":"weak"}'),
    "kid is a list": written('{"alg":"EdDSA","kid":["first"]}'),
    "jwk": made(headers={"jwk": {"kty": "OKP"}}),
    "jku": made(headers={"jku": "https://attacker.example"}),
    "x5u": made(headers={"x5u": "https://attacker.example"}),
    "x5c": made(headers={"x5c": ["MII="]}),
    "crit": made(headers={"crit": ["exp"]}),
    "another type": made(headers={"typ": "logout+jwt"}),
    "another issuer": made(iss="https://login.attacker.example"),
    "issuer with a slash": made(iss=f"{ISSUER}/"),
    "another audience": made(aud="another-client"),
    "several audiences": made(aud=[AUDIENCE, "another-client"]),
    "no audience": made(aud=None),
    "audience in an object": made(aud={"value": AUDIENCE}),
    "expired": made(iat=int(NOW) - 3600, exp=int(NOW) - 31),
    "no exp": made(exp=None),
    "no iat": made(iat=None),
    "iat in the future": made(iat=int(NOW) + 31),
    "nbf in the future": made(nbf=int(NOW) + 31),
    "lives too long": made(exp=int(NOW) + 12 * 3600 + 1),
    "no subject": made(sub=None),
    "subject is empty": made(sub=""),
    "subject is endless": made(sub="m" * 256),
    "too large": made(padding="x" * 16_384),
    "a claim twice": lambda provider: raw_jwt(
        '{"alg":"EdDSA","kid":"first"}',
        json.dumps(provider.claims(NOW, sub="chen"))[:-1] + ', "sub": "mara"}',
        provider.keys["first"][0],
    ),
    "another key": lambda provider: raw_jwt(
        '{"alg":"EdDSA","kid":"first"}', json.dumps(provider.claims(NOW)), made_key("EdDSA")
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_alike(
    staffed: Bank, tokens: StaffTokens, provider: Provider, attack: str
) -> None:
    with pytest.raises(ApiKeyInvalidError) as refused:
        bearer(staffed, tokens, ATTACKS[attack](provider))
    assert refused.value.detail == ApiKeyInvalidError.title


class TestRoles:
    MAPPING: ClassVar = {"makers": Role.TREASURY_MAKER, "operators": Role.OPERATOR}

    @pytest.mark.parametrize(
        ("groups", "roles"),
        [
            (["makers", "football"], {Role.TREASURY_MAKER}),
            ("makers", {Role.TREASURY_MAKER}),
            (["operators"], set()),
            (["makers", "operators"], {Role.TREASURY_MAKER}),
            ([], set()),
            (None, set()),
            ([["makers"], 1], set()),
        ],
    )
    def test_groups_only_narrow(
        self, staffed: Bank, provider: Provider, groups: object, roles: set[Role]
    ) -> None:
        tokens = StaffTokens(RULES._replace(roles=self.MAPPING), KeySet(provider.url, ALGORITHMS))
        found = bearer(staffed, tokens, provider.token(NOW, groups=groups)).principal
        assert found.roles == roles
        assert found.sees_whole_issuer == bool(roles)


def test_an_email_counts_once_it_was_verified(staffed: Bank, provider: Provider) -> None:
    tokens = StaffTokens(RULES._replace(person_claim="email"), KeySet(provider.url, ALGORITHMS))
    found = bearer(staffed, tokens, provider.token(NOW, email="mara", email_verified=True))
    assert found.principal.id == staffed.maker.id
    for verified in (False, None, "true", 1):
        with pytest.raises(ApiKeyInvalidError):
            bearer(staffed, tokens, provider.token(NOW, email="mara", email_verified=verified))


class TestPeople:
    def test_a_login_belongs_to_one_person_and_to_no_machine(self, staffed: Bank) -> None:
        def bind(principal_id: str, subject: str | None) -> participants.Principal:
            return staffed.database.run(
                lambda on: participants.bind_login(on, staffed.issuer_id, principal_id, subject)
            )

        with pytest.raises(LoginTakenError):
            bind(staffed.checker.id, "mara")
        assert bind(staffed.maker.id, "mara").oidc_subject == "mara"
        with pytest.raises(participants.PrincipalMalformedError):
            bind(staffed.platform.id, "harbour")
        with pytest.raises(participants.PrincipalMalformedError):
            bind(staffed.checker.id, "")
        assert bind(staffed.checker.id, None).oidc_subject is None

    def test_a_suspended_person_is_nobody_until_reactivated(
        self, bank: Bank, tokens: StaffTokens, provider: Provider
    ) -> None:
        def do(verb: Any, *rest: Any) -> Any:
            return bank.database.run(lambda on: verb(on, bank.issuer_id, bank.maker.id, *rest))

        do(participants.bind_login, "mara")
        do(participants.suspend, "Left.")
        with pytest.raises(ApiKeyInvalidError):
            bearer(bank, tokens, provider.token(NOW))
        do(participants.reactivate, "Came back.")
        assert bearer(bank, tokens, provider.token(NOW)).principal.status_reason == "Came back."

    def test_an_auditors_term_ends(self, bank: Bank, tokens: StaffTokens, provider: Provider) -> None:
        bank.database.run(lambda on: participants.bind_login(on, bank.issuer_id, bank.auditor.id, "mara"))
        bank.database.run(
            lambda on: participants.set_term(
                on, bank.clock, bank.issuer_id, bank.auditor.id, OPENED_AT + timedelta(minutes=1)
            )
        )
        assert bearer(bank, tokens, provider.token(NOW)).principal.id == bank.auditor.id
        bank.clock.at = OPENED_AT + timedelta(minutes=1)
        with pytest.raises(AccessEndedError):
            bearer(bank, tokens, provider.token(NOW))


class Seconds:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class TestKeySet:
    @pytest.fixture
    def own(self) -> Iterator[Provider]:
        with running_provider() as running:
            yield running

    def test_a_new_key_is_found_and_unknown_ones_cost_one_question_a_minute(self, own: Provider) -> None:
        seconds = Seconds()
        keys = KeySet(own.url, ALGORITHMS, seconds)
        assert keys.key("first", "EdDSA") is not None
        own.keys["second"] = (made_key("RS256"), "RS256")
        for number in range(50):
            assert keys.key(f"invented {number}", "EdDSA") is None
        assert keys.key("second", "RS256") is None
        assert own.asked == 1
        seconds.now += 60
        assert keys.key("second", "RS256") is not None
        assert keys.key("second", "EdDSA") is None
        assert own.asked == 2

    def test_a_key_that_was_taken_back_is_forgotten_within_the_hour(self, own: Provider) -> None:
        seconds = Seconds()
        keys = KeySet(own.url, ALGORITHMS, seconds)
        assert keys.key("first", "EdDSA") is not None
        del own.keys["first"]
        assert keys.key("first", "EdDSA") is not None
        seconds.now += 3_601
        assert keys.key("first", "EdDSA") is None

    def test_while_it_is_away_its_keys_serve_for_a_day(self, own: Provider) -> None:
        seconds = Seconds()
        keys = KeySet(own.url, ALGORITHMS, seconds)
        assert keys.key("first", "EdDSA") is not None
        own.answer = (500, b"", {})
        seconds.now += 86_000
        assert keys.key("first", "EdDSA") is not None
        seconds.now += 401
        with pytest.raises(IdentityProviderUnavailableError):
            keys.key("first", "EdDSA")
        own.answer = None
        seconds.now += 5
        assert keys.key("first", "EdDSA") is not None

    @pytest.mark.parametrize(
        "answer",
        [
            (404, b"", {}),
            (302, b"", {"Location": "/other"}),
            (200, b"<html>", {}),
            (200, b"[]", {}),
            (200, b'{"keys": {}}', {}),
            (200, b'{"keys": [], "keys": []}', {}),
            (200, b'{"keys": [' + b"{}," * 100 + b"{}]}", {}),
            (200, b'{"keys": []' + b" " * 300_000 + b"}", {}),
        ],
    )
    def test_what_is_no_key_set_is_none(self, own: Provider, answer: Any) -> None:
        own.answer = answer
        with pytest.raises(IdentityProviderUnavailableError):
            KeySet(own.url, ALGORITHMS).key("first", "EdDSA")
        assert own.asked == 1, "no redirect is followed"

    def test_nobody_listens(self) -> None:
        with pytest.raises(IdentityProviderUnavailableError):
            KeySet("http://127.0.0.1:1/keys", ALGORITHMS).key("first", "EdDSA")

    def test_a_file_does_as_well(self, own: Provider, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        with pytest.raises(IdentityProviderUnavailableError):
            KeySet(str(path), ALGORITHMS).key("first", "EdDSA")
        path.write_bytes(own.published())
        assert KeySet(str(path), ALGORITHMS).key("first", "EdDSA") is not None
        assert own.asked == 0

    def test_a_stranger_asks_the_provider_nothing(self, own: Provider, shared_bank: Bank) -> None:
        tokens = StaffTokens(RULES, KeySet(own.url, ALGORITHMS))
        for presented in (
            own.token(NOW, iss="https://attacker.example"),
            own.token(NOW, aud="x"),
            own.token(NOW, exp=int(NOW) - 100),
            raw_jwt('{"alg":"none","kid":"x"}', json.dumps(own.claims(NOW))),
            "eyJ.a.b",
        ):
            with pytest.raises(ApiKeyInvalidError):
                tokens.verified(shared_bank.clock, presented)
        assert own.asked == 0
