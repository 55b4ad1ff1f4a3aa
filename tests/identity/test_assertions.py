"""Client assertions: who proves itself, and every way not to."""

import hashlib
import hmac
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tallystick import identity, participants
from tallystick.core.clock import FixedClock
from tallystick.identity import AssertionRefusedError, ClientUse, ProvenClient, ScopeNotGrantedError
from tallystick.participants import ApiKeyInvalidError, Bearer, Role
from tallystick.participants.api_keys import parse_key
from tests.bank import OPENED_AT, Bank
from tests.database import connect
from tests.identity.outsiders import AUDIENCE, Outsider, b64, made_key, outsider, pem_of, public_jwk, raw_jwt

NOW = OPENED_AT.timestamp()


def prove(bank: Bank, assertion: str, **other: Any) -> ProvenClient:
    with bank.database.read() as connection:
        return identity.prove_client(connection, bank.clock, assertion, **{"audience": AUDIENCE, **other})


def token(bank: Bank, proven: ProvenClient, scopes: frozenset[str] | None = None) -> identity.AccessToken:
    return bank.database.run(
        lambda connection: identity.issue_access_token(
            connection, bank.clock, proven, scopes=scopes, lifetime_seconds=300
        )
    )


def bearer(bank: Bank, presented: str) -> Bearer:
    with bank.database.read() as connection:
        return identity.find_bearer(connection, bank.clock, presented)


@pytest.fixture(scope="module")
def machine(shared_bank: Bank) -> Outsider:
    return outsider(shared_bank, shared_bank.platform.id)


class TestGood:
    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "PS256", "RS256"])
    def test_each_algorithm_proves_its_client(self, shared_bank: Bank, algorithm: str) -> None:
        client = outsider(shared_bank, shared_bank.platform.id, algorithm)
        proven = prove(shared_bank, client.assertion(NOW), client_id=client.name)

        issued = token(shared_bank, proven)
        assert bearer(shared_bank, issued.text).principal == shared_bank.platform
        assert issued.expires_at == OPENED_AT + timedelta(seconds=300)

    @pytest.mark.parametrize("media_type", ["JWT", "client-authentication+jwt"])
    def test_the_header_may_name_the_key_and_the_type(
        self, shared_bank: Bank, machine: Outsider, media_type: str
    ) -> None:
        headers = {"kid": machine.thumbprint, "typ": media_type}
        assert prove(shared_bank, machine.assertion(NOW, headers)).client.id == machine.id

    def test_clocks_may_differ_a_little(self, shared_bank: Bank, machine: Outsider) -> None:
        prove(shared_bank, machine.assertion(NOW + 29))
        prove(shared_bank, machine.assertion(NOW - 89))
        prove(shared_bank, machine.assertion(NOW, nbf=int(NOW) + 29))


def forged_with_public_key(client: Outsider) -> str:
    """The classic confusion: the public key, which anybody has, as the secret of HS256."""
    header, claims = b'{"alg":"HS256","typ":"JWT"}', json.dumps(client.claims(NOW)).encode()
    signing_input = f"{b64(header)}.{b64(claims)}"
    secret = pem_of(client.key)
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


def written(client: Outsider, payload: str, header: str = '{"alg":"EdDSA"}') -> str:
    return raw_jwt(header, payload, client.key)


def member(name: str, value: Any) -> Callable[[Outsider], str]:
    return lambda client: client.assertion(NOW, {name: value})


def claim(**other: Any) -> Callable[[Outsider], str]:
    return lambda client: client.assertion(NOW, **other)


ATTACKS: dict[str, Callable[[Outsider], str]] = {
    "alg none": lambda client: raw_jwt('{"alg":"none"}', json.dumps(client.claims(NOW))),
    "alg None": lambda client: raw_jwt('{"alg":"None"}', json.dumps(client.claims(NOW)), client.key),
    "no alg": lambda client: raw_jwt("{}", json.dumps(client.claims(NOW)), client.key),
    "another alg": lambda client: raw_jwt('{"alg":"ES256"}', json.dumps(client.claims(NOW)), client.key),
    "alg by its new name": lambda client: raw_jwt(
        '{"alg":"Ed25519"}', json.dumps(client.claims(NOW)), client.key
    ),
    "HS256 with the public key": forged_with_public_key,
    "another key": lambda client: Outsider(client.id, client.name, made_key("EdDSA"), "EdDSA", "").assertion(
        NOW
    ),
    "kid of nobody": member("kid", "4711"),
    "kid is a path": member("kid", "../../../../dev/null"),
    "kid is SQL": member("kid", "' OR 1=1 --"),
    "kid is a number": lambda client: raw_jwt(
        '{"alg":"EdDSA","kid":1}', json.dumps(client.claims(NOW)), client.key
    ),
    "jwk": lambda client: client.assertion(NOW, {"jwk": public_jwk(client.key)}),
    "jku": member("jku", "https://attacker.example/keys"),
    "x5u": member("x5u", "https://attacker.example/chain"),
    "x5c": member("x5c", ["MII="]),
    "crit": member("crit", ["exp"]),
    "an unknown member": member("urgent", True),
    "b64": lambda client: written(client, json.dumps(client.claims(NOW)), '{"alg":"EdDSA","b64":false}'),
    "another type": member("typ", "at+jwt"),
    "iss of another": claim(iss="tsc_another"),
    "no iss": claim(iss=None),
    "sub of another": claim(sub="tsc_another"),
    "no sub": claim(sub=None),
    "sub is a number": lambda client: written(client, json.dumps(client.claims(NOW) | {"sub": 1})),
    "aud of another": claim(aud="https://other.example/oauth/token"),
    "aud with a slash": claim(aud=f"{AUDIENCE}/"),
    "aud in a list": claim(aud=[AUDIENCE]),
    "aud among others": claim(aud=[AUDIENCE, "https://attacker.example"]),
    "no aud": claim(aud=None),
    "no exp": claim(exp=None),
    "expired": claim(iat=int(NOW) - 200, exp=int(NOW) - 31),
    "exp is text": lambda client: written(
        client, json.dumps(client.claims(NOW) | {"exp": str(int(NOW) + 60)})
    ),
    "exp is true": lambda client: written(client, json.dumps(client.claims(NOW) | {"exp": True})),
    "exp has a fraction": lambda client: written(
        client, json.dumps(client.claims(NOW) | {"exp": NOW + 60.5})
    ),
    "exp beyond all time": claim(exp=2**53 - 1),
    "exp is huge": lambda client: written(client, json.dumps(client.claims(NOW) | {"exp": 10**400})),
    "exp before iat": claim(iat=int(NOW) + 20, exp=int(NOW) + 10),
    "no iat": claim(iat=None),
    "iat in the future": claim(iat=int(NOW) + 31, exp=int(NOW) + 90),
    "nbf in the future": claim(nbf=int(NOW) + 31),
    "nbf is text": lambda client: written(client, json.dumps(client.claims(NOW) | {"nbf": "x"})),
    "lives too long": claim(exp=int(NOW) + 301),
    "no jti": claim(jti=None),
    "jti empty": claim(jti=""),
    "jti endless": claim(jti="j" * 257),
    "jti is a number": lambda client: written(client, json.dumps(client.claims(NOW) | {"jti": 7})),
    "a claim twice": lambda client: written(
        client, json.dumps(client.claims(NOW))[:-1] + f', "aud": "{AUDIENCE}"}}'
    ),
    "a header member twice": lambda client: written(
        client, json.dumps(client.claims(NOW)), '{"alg":"none","alg":"EdDSA"}'
    ),
    "claims are a list": lambda client: written(client, "[]"),
    "claims are no JSON": lambda client: written(client, "{'iss': 1}"),
    "too large": lambda client: client.assertion(NOW, padding="x" * 8_192),
    "two parts": lambda client: client.assertion(NOW).rpartition(".")[0],
    "five parts": lambda _: "a.b.c.d.e",
    "no signature": lambda client: client.assertion(NOW).rpartition(".")[0] + ".",
    "padded": lambda client: client.assertion(NOW) + "=",
    "with a space": lambda client: client.assertion(NOW).replace(".", ". ", 1),
    "a bit of the signature": lambda client: _flipped(client.assertion(NOW)),
    "nothing": lambda _: "",
    "not ASCII": lambda _: "é.é.é",
}


def _flipped(assertion: str) -> str:
    at = assertion.rindex(".") + 10
    return assertion[:at] + ("A" if assertion[at] != "A" else "B") + assertion[at + 1 :]


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_alike(shared_bank: Bank, machine: Outsider, attack: str) -> None:
    with pytest.raises(AssertionRefusedError) as refused:
        prove(shared_bank, ATTACKS[attack](machine))
    assert str(refused.value) == ""


def test_an_algorithm_is_bound_to_its_key(bank: Bank) -> None:
    client = outsider(bank, bank.platform.id, "PS256")
    confused = Outsider(client.id, client.name, client.key, "RS256", client.thumbprint)
    with pytest.raises(AssertionRefusedError):
        prove(bank, confused.assertion(NOW))
    prove(bank, client.assertion(NOW))


class TestClients:
    def test_another_clients_key_proves_nobody_else(self, shared_bank: Bank, machine: Outsider) -> None:
        other = outsider(shared_bank, shared_bank.holder.id)
        mixed = Outsider(machine.id, machine.name, other.key, "EdDSA", "")
        for headers in (None, {"kid": other.thumbprint}):
            with pytest.raises(AssertionRefusedError):
                prove(shared_bank, mixed.assertion(NOW, headers))
        with pytest.raises(AssertionRefusedError):
            prove(shared_bank, machine.assertion(NOW), client_id=other.name)

    def test_another_issuers_client_is_nobody(self, shared_bank: Bank, machine: Outsider) -> None:
        elsewhere = f"tsc_{'0' * 26}{machine.name[-26:]}"
        with pytest.raises(AssertionRefusedError):
            prove(shared_bank, machine.assertion(NOW, iss=elsewhere, sub=elsewhere))

    def test_a_signature_key_gets_no_token(self, shared_bank: Bank) -> None:
        signer = outsider(shared_bank, shared_bank.platform.id, use=ClientUse.SIGNATURE)
        with pytest.raises(AssertionRefusedError):
            prove(shared_bank, signer.assertion(NOW))

    def test_a_revoked_client_and_its_tokens_open_nothing(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id)
        issued = token(bank, prove(bank, client.assertion(NOW)))
        bank.database.run(
            lambda on: identity.revoke_client(on, bank.clock, bank.issuer_id, bank.platform.id, client.id)
        )
        with pytest.raises(AssertionRefusedError):
            prove(bank, client.assertion(NOW))
        with pytest.raises(ApiKeyInvalidError):
            bearer(bank, issued.text)

    def test_a_suspended_principals_client_and_tokens_open_nothing(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id)
        issued = token(bank, prove(bank, client.assertion(NOW)))
        bank.database.run(lambda on: participants.suspend(on, bank.issuer_id, bank.platform.id, "Fraud."))
        with pytest.raises(AssertionRefusedError):
            prove(bank, client.assertion(NOW))
        with pytest.raises(ApiKeyInvalidError):
            bearer(bank, issued.text)

    def test_an_expired_client_and_token_open_nothing(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id, lifetime_days=1)
        issued = token(bank, prove(bank, client.assertion(NOW)))
        bank.clock.at = issued.expires_at
        with pytest.raises(ApiKeyInvalidError):
            bearer(bank, issued.text)
        bank.clock.at = OPENED_AT + timedelta(days=1)
        with pytest.raises(AssertionRefusedError):
            prove(bank, client.assertion(bank.clock.at.timestamp()))

    def test_a_token_never_outlives_its_client(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id, lifetime_days=1)
        bank.clock.at = OPENED_AT + timedelta(days=1, seconds=-10)
        issued = token(bank, prove(bank, client.assertion(bank.clock.at.timestamp())))
        assert issued.expires_at == OPENED_AT + timedelta(days=1)


class TestOnce:
    def test_an_assertion_is_used_once(self, shared_bank: Bank, machine: Outsider) -> None:
        proven = prove(shared_bank, machine.assertion(NOW))
        token(shared_bank, proven)
        with pytest.raises(AssertionRefusedError):
            token(shared_bank, proven)

    def test_of_fifty_at_once_one_wins(self, shared_bank: Bank, machine: Outsider) -> None:
        assertion = machine.assertion(NOW)

        def attempt(_number: int) -> bool:
            try:
                token(shared_bank, prove(shared_bank, assertion))
            except AssertionRefusedError:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(attempt, range(50)))[-2:] == [False, True]

    def test_what_was_used_is_kept_as_long_as_it_could_be_used(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id)
        assertion = client.assertion(NOW, exp=int(NOW) + 100)
        token(bank, prove(bank, assertion))
        bank.clock.at = OPENED_AT + timedelta(seconds=129)
        # Another one's issue clears away what has expired.
        token(bank, prove(bank, client.assertion(bank.clock.at.timestamp())))
        with pytest.raises(AssertionRefusedError):
            token(bank, prove(bank, assertion))
        assert _rows(bank) == (2, 2)
        bank.clock.at = OPENED_AT + timedelta(seconds=600)
        token(bank, prove(bank, client.assertion(bank.clock.at.timestamp())))
        assert _rows(bank) == (1, 1)

    def test_clearing_away_is_bounded(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id)
        with connect(bank.urls.superuser_url) as connection:
            connection.execute(
                "INSERT INTO client_nonce SELECT %s, %s, sha256(n::text::bytea), %s FROM generate_series(1, 450) n",
                [bank.issuer_id, client.id, OPENED_AT - timedelta(days=1)],
            )
        left = []
        for _ in range(3):
            token(bank, prove(bank, client.assertion(NOW)))
            left.append(_rows(bank)[0])
        assert left == [251, 52, 3]


class TestScopes:
    def test_a_token_is_narrowed_to_what_was_asked(self, shared_bank: Bank) -> None:
        client = outsider(shared_bank, shared_bank.platform.id)
        issued = token(shared_bank, prove(shared_bank, client.assertion(NOW)), frozenset({"read"}))
        assert bearer(shared_bank, issued.text).principal.scopes == frozenset({"read"})

    def test_no_token_has_more_than_its_principal(self, bank: Bank) -> None:
        client = outsider(bank, bank.platform.id)
        wide = token(bank, prove(bank, client.assertion(NOW)), frozenset({"read", "payments"}))
        bank.database.run(
            lambda on: participants.set_scopes(
                on, bank.issuer_id, bank.platform.id, frozenset({participants.Scope.READ})
            )
        )
        assert bearer(bank, wide.text).principal.scopes == frozenset({"read"}), "narrowed since"
        assert token(bank, prove(bank, client.assertion(NOW))).scopes == frozenset({"read"})
        with pytest.raises(ScopeNotGrantedError):
            token(bank, prove(bank, client.assertion(NOW)), frozenset({"payments"}))

    def test_an_unknown_scope_is_refused(self, shared_bank: Bank) -> None:
        client = outsider(shared_bank, shared_bank.platform.id)
        with pytest.raises(ScopeNotGrantedError):
            token(shared_bank, prove(shared_bank, client.assertion(NOW)), frozenset({"everything"}))


def test_secrets_are_not_stored(shared_bank: Bank) -> None:
    issued = token(
        shared_bank, prove(shared_bank, outsider(shared_bank, shared_bank.platform.id).assertion(NOW))
    )
    parsed = parse_key(issued.text)
    assert parsed is not None
    secret = parsed.secret
    with connect(shared_bank.urls.superuser_url) as connection:
        dumped = str(
            connection.execute("SELECT access_token::text, secret_hash FROM access_token").fetchall()
        )
    assert secret not in dumped
    with pytest.raises(ApiKeyInvalidError):
        bearer(shared_bank, issued.text[:-1] + ("A" if issued.text[-1] != "A" else "B"))


def test_an_auditors_term_ends_its_tokens(bank: Bank) -> None:
    with bank.database.engine.begin() as connection:
        auditor = participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Audit tool",
            roles=frozenset({Role.AUDITOR}),
            person="Ada Auditor",
            access_until=OPENED_AT + timedelta(seconds=60),
        )
    client = outsider(bank, auditor.id)
    issued = token(bank, prove(bank, client.assertion(NOW)))
    assert bearer(bank, issued.text).principal == auditor
    bank.clock.at = OPENED_AT + timedelta(seconds=60)
    with pytest.raises(participants.AccessEndedError):
        bearer(bank, issued.text)
    with pytest.raises(AssertionRefusedError):
        prove(bank, client.assertion(bank.clock.at.timestamp()))


def _rows(bank: Bank) -> tuple[Any, Any]:
    with connect(bank.urls.superuser_url) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM client_nonce), (SELECT count(*) FROM access_token)"
        ).fetchone()
    assert found is not None
    return found[0], found[1]


def test_the_clock_is_the_services(shared_bank: Bank, machine: Outsider) -> None:
    later = FixedClock(OPENED_AT + timedelta(hours=1))
    with shared_bank.database.read() as connection, pytest.raises(AssertionRefusedError):
        identity.prove_client(connection, later, machine.assertion(NOW), audience=AUDIENCE)
