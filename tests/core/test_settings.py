"""Settings that would quietly open or close a door are refused, by name and without their value."""

import pytest
from pydantic import ValidationError

from tallystick.core.settings import STAFF_ROLES, Settings
from tallystick.participants import Role

OIDC = {
    "TALLYSTICK_OIDC_ISSUER": "https://login.example",
    "TALLYSTICK_OIDC_AUDIENCE": "tallystick",
    "TALLYSTICK_OIDC_KEY_SET": "https://login.example/keys",
}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        OIDC,
        OIDC | {"TALLYSTICK_OIDC_KEY_SET": "/etc/tallystick/keys.json"},
        OIDC | {"TALLYSTICK_OIDC_KEY_SET": "http://127.0.0.1:8080/keys"},
        OIDC | {"TALLYSTICK_OIDC_ROLES": '{"makers": "treasury_maker"}'},
        {"TALLYSTICK_PUBLIC_URL": "https://tokens.example"},
        {"TALLYSTICK_PUBLIC_URL": "http://[::1]:8000"},
        {"TALLYSTICK_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32"},
        {"TALLYSTICK_CALLS_PER_MINUTE_MAX": "0"},
    ],
)
def test_good_settings(environment: dict[str, str]) -> None:
    settings = Settings.from_environment(environment)
    for name, value in environment.items():
        assert str(getattr(settings, name.removeprefix("TALLYSTICK_").lower())) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_KEY_SET", "http://login.example/keys"),
        ("OIDC_KEY_SET", "http://localhost.attacker.example/keys"),
        ("OIDC_KEY_SET", "ftp://login.example/keys"),
        ("OIDC_KEY_SET", ""),
        ("OIDC_ALGORITHMS", "HS256"),
        ("OIDC_ALGORITHMS", "none"),
        ("OIDC_ALGORITHMS", ""),
        ("OIDC_ALGORITHMS", "RS256,HS256"),
        ("OIDC_PERSON_CLAIM", "name"),
        ("OIDC_ROLES", "makers"),
        ("OIDC_ROLES", "[]"),
        ("OIDC_ROLES", '{"makers": ["treasury_maker"]}'),
        ("OIDC_ROLES", '{"makers": "king"}'),
        ("OIDC_ROLES", '{"makers": "platform"}'),
        ("PUBLIC_URL", "tokens.example"),
        ("PUBLIC_URL", "https://tokens.example/"),
        ("PUBLIC_URL", "https://user@tokens.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,"),
        ("CALLS_PER_MINUTE_MAX", "-1"),
        ("ACCESS_TOKEN_LIFETIME_SECONDS", "86400"),
        ("API_KEY_LIFETIME_DAYS_MAX", "0"),
    ],
)
def test_bad_settings_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.from_environment(OIDC | {f"TALLYSTICK_{name}": value})
    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


def test_staff_has_every_role_that_is_no_customers() -> None:
    assert set(STAFF_ROLES) == set(Role) - {Role.PLATFORM, Role.HOLDER}


@pytest.mark.parametrize("missing", ["ISSUER", "AUDIENCE"])
def test_a_provider_is_named_in_full(missing: str) -> None:
    given = {name: value for name, value in OIDC.items() if not name.endswith(missing)}
    with pytest.raises(ValidationError, match="needs an issuer and an audience"):
        Settings.from_environment(given)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ({}, None),
        ({"TALLYSTICK_PUBLIC_URL": "http://localhost:8000"}, None),
        ({"TALLYSTICK_PUBLIC_URL": "http://[::1]:8000"}, None),
        ({"TALLYSTICK_PUBLIC_URL": "https://tokens.bank.example"}, "tokens.bank.example/log"),
        ({"TALLYSTICK_PUBLIC_URL": "https://tokens.bank.example:8443"}, "tokens.bank.example:8443/log"),
        ({"TALLYSTICK_LOG_ORIGIN_PREFIX": "log.bank.example/log"}, "log.bank.example/log"),
    ],
)
def test_a_log_is_named_after_where_it_is_served(given: dict[str, str], origin: str | None) -> None:
    assert Settings.from_environment(given).log_origin == origin
