"""Issuers, principals, API keys and signing keys, for whoever runs the machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine

RIVERBANK = ("--legal-name", "Riverbank AG", "--lei", "529900T8BM49AURSDO55", "--bic", "RIVBDEFFXXX")


def open_issuer(command_line: CommandLine) -> Any:
    return command_line.json("issuers", "open", *RIVERBANK, "--jurisdiction", "DE")


def test_a_bank_is_taken_up_from_nothing(on_database: CommandLine) -> None:
    assert on_database.run("principals", "list").errors.startswith("issuer_absent: ")

    bank = open_issuer(on_database)
    maker = on_database.json(
        "principals", "add", "--name", "Maria Keller", "--person", "maria.keller", "--role", "treasury_maker"
    )
    issued = on_database.json("api-keys", "issue", maker["id"], "--lifetime-days", 30)

    assert on_database.json("issuers", "list")["data"] == [{"id": bank["id"], "object": "issuer"}]
    assert [one["id"] for one in on_database.json("keys", "list")["data"]] == [bank["signing_key_id"]]
    assert on_database.json("principals", "list")["data"] == [maker]
    assert (maker["roles"], maker["person"], maker["issuer_id"]) == (
        ["treasury_maker"],
        "maria.keller",
        bank["id"],
    )
    # The key opens what its role may do, and nothing else.
    missing = on_database.run("import-statement", "--key", issued["key"], "no-such-file.xml")
    assert missing.errors == "file_unusable: no-such-file.xml: No such file or directory.\n"
    refused = on_database.run("import-statement", "--key", issued["key"][:-43] + "A" * 43, __file__)
    assert refused.errors.startswith("api_key_invalid: ")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--role", "king", "--person", "x"], "role_unknown"),
        (["--role", "treasury_maker"], "principal_malformed"),
        (["--role", "platform"], "principal_malformed"),
        (["--role", "platform", "--holder", "holder_00000000000000000000000000"], "holder_not_found"),
        (["--role", "auditor", "--person", "x", "--issuer", "issuer_1"], "issuer_not_found"),
    ],
)
def test_a_principal_that_can_not_be(on_database: CommandLine, options: list[str], code: str) -> None:
    open_issuer(on_database)

    ran = on_database.run("principals", "add", "--name", "Nobody", *options, "--json")

    assert ran.document["code"] == code
    assert ran.errors.startswith(f"{code}: ")
    assert on_database.json("principals", "list")["data"] == []


def test_two_issuers_have_to_be_told_apart(on_database: CommandLine) -> None:
    first, second = open_issuer(on_database), open_issuer(on_database)

    ran = on_database.run("keys", "list")

    assert (ran.exit_code, ran.errors) == (
        1,
        "issuer_ambiguous: There are 2 issuers: choose with --issuer.\n",
    )
    for bank in (first, second):
        [key] = on_database.json("keys", "list", "--issuer", bank["id"])["data"]
        assert (key["id"], key["issuer_id"]) == (bank["signing_key_id"], bank["id"])


def test_a_secret_is_shown_once(on_sandbox: CommandLine) -> None:
    principal = on_sandbox.json("principals", "list")["data"][0]["id"]

    ran = on_sandbox.run("api-keys", "issue", principal)

    secret = ran.output.strip()[-43:]
    assert ran.output.startswith("tsk_")
    assert len(ran.output.strip()) == len("tsk_") + 26 + 26 + len("_") + 43
    assert secret not in ran.errors
    listed = on_sandbox.run("api-keys", "list").output + on_sandbox.run("api-keys", "list", "--json").output
    assert secret not in listed
    for text in on_sandbox.sandbox["keys"].values():
        assert text[-43:] not in listed


def test_a_revoked_key_opens_nothing(on_sandbox: CommandLine) -> None:
    auditor = on_sandbox.sandbox["keys"]["auditor"]
    principal = next(
        one["id"] for one in on_sandbox.json("principals", "list")["data"] if "auditor" in one["roles"]
    )
    [key] = [
        one["id"] for one in on_sandbox.json("api-keys", "list")["data"] if one["principal_id"] == principal
    ]
    assert on_sandbox.run("export", "--key", auditor).exit_code == 0

    assert on_sandbox.run("api-keys", "revoke", key).exit_code == 0

    assert on_sandbox.run("export", "--key", auditor).errors.startswith("api_key_invalid: ")
    assert on_sandbox.run("api-keys", "revoke", key).errors.startswith("api_key_not_found: ")
    assert on_sandbox.run("api-keys", "issue", "principal_1").errors.startswith("principal_not_found: ")


def test_signing_keys_live_and_end(on_sandbox: CommandLine) -> None:
    [first] = on_sandbox.json("keys", "list")["data"]

    second = on_sandbox.json("keys", "rotate", "--expected", first["id"])
    again = on_sandbox.run("keys", "rotate", "--expected", first["id"])
    revoked = on_sandbox.json("keys", "revoke", "--reason", "Laptop stolen.", first["id"])
    retired = on_sandbox.json("keys", "retire", second["id"])
    third = on_sandbox.json("keys", "create")

    assert (again.exit_code, again.errors.partition(":")[0]) == (1, "signing_key_conflict")
    assert (revoked["state"], revoked["reason"]) == ("revoked", "Laptop stolen.")
    assert (retired["state"], third["state"]) == ("retired", "active")
    states = {one["id"]: one["state"] for one in on_sandbox.json("keys", "list")["data"]}
    assert states == {first["id"]: "revoked", second["id"]: "retired", third["id"]: "active"}
    table = on_sandbox.run("keys", "list").output
    assert all(key_id in table for key_id in states), "ids are never cut"


def test_private_keys_stay_in_files_that_only_the_service_reads(on_sandbox: CommandLine) -> None:
    output = "".join(
        on_sandbox.run("keys", command, "--json").output for command in ("list", "rotate", "list")
    )

    files = [path for path in (on_sandbox.state / "keys").rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert not {"d", "private_key"} & {name for one in json.loads(_first(output))["data"] for name in one}


def _first(output: str) -> str:
    document, _ = json.JSONDecoder().raw_decode(output)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("at", "code"), [("yesterday", "time_malformed"), ("2126-01-01T00:00:00Z", "revocation_malformed")]
)
def test_a_moment_of_compromise_that_can_not_be(on_sandbox: CommandLine, at: str, code: str) -> None:
    [key] = on_sandbox.json("keys", "list")["data"]

    ran = on_sandbox.run("keys", "revoke", "--reason", "x", "--compromised-at", at, key["id"])

    assert ran.errors.startswith(f"{code}: ")
    assert on_sandbox.json("keys", "list")["data"] == [key]


def test_a_key_whose_id_looks_like_an_option_can_be_named(on_sandbox: CommandLine) -> None:
    ran = on_sandbox.run("keys", "revoke", "--reason", "x", "-Fq0-not-a-key", "--json")

    assert ran.document["code"] == "signing_key_not_found"


def test_keys_outside_the_state_directory_are_found_with_it(
    on_sandbox: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_STATE_DIRECTORY", str(tmp_path / "elsewhere"))

    # The database is the same; only private keys, which this directory lacks, are not needed to list.
    assert len(on_sandbox.json("keys", "list")["data"]) == 1


def test_a_key_is_replaced_with_an_overlap(on_sandbox: CommandLine) -> None:
    principal = next(
        one["id"] for one in on_sandbox.json("principals", "list")["data"] if "auditor" in one["roles"]
    )
    first = on_sandbox.json("api-keys", "issue", principal, "--network", "127.0.0.1")
    assert (first["ip_allow_list"], bool(first["expires_at"])) == (["127.0.0.1/32"], True)

    second = on_sandbox.json("api-keys", "rotate", first["id"], "--overlap-hours", 2, "--lifetime-days", 30)

    assert second["ip_allow_list"] == first["ip_allow_list"]
    keys = {one["id"]: one for one in on_sandbox.json("api-keys", "list")["data"]}
    assert keys[first["id"]]["expires_at"] < keys[second["id"]]["expires_at"] < first["expires_at"]
    assert on_sandbox.run("export", "--key", second["key"]).exit_code == 0
    for arguments, code in (
        (("rotate", "key_absent"), "api_key_not_found"),
        (("issue", principal, "--lifetime-days", "366"), "api_key_lifetime_refused"),
        (("issue", principal, "--network", "example.com"), "ip_allow_list_malformed"),
    ):
        assert on_sandbox.run("api-keys", *arguments).errors.startswith(f"{code}: ")


def test_a_principal_is_changed_suspended_and_reactivated(on_sandbox: CommandLine) -> None:
    [auditor] = [one for one in on_sandbox.json("principals", "list")["data"] if "auditor" in one["roles"]]

    changed = on_sandbox.json(
        "principals",
        "change",
        auditor["id"],
        *("--login", "paul", "--access-until", "2098-01-01", "--calls-per-minute", 60),
        *("--signature-from-minor", 0),
    )

    assert changed == auditor | {
        "oidc_subject": "paul",
        "access_until": "2098-01-01T00:00:00.000000Z",
        "calls_per_minute_max": 60,
        "signature_required_from_minor": 0,
    }
    key = on_sandbox.sandbox["keys"]["auditor"]
    suspended = on_sandbox.json("principals", "suspend", auditor["id"], "--reason", "On leave.")
    assert (suspended["status"], suspended["status_reason"]) == ("suspended", "On leave.")
    assert on_sandbox.run("export", "--key", key).errors.startswith("api_key_invalid: ")
    assert (
        on_sandbox.json("principals", "reactivate", auditor["id"], "--reason", "Back.")["status"] == "active"
    )
    assert on_sandbox.run("export", "--key", key).exit_code == 0
    again = on_sandbox.run("principals", "reactivate", auditor["id"], "--reason", "Back.")
    assert again.errors.startswith("principal_status_conflict: ")


def test_a_client_is_registered_and_revoked(on_sandbox: CommandLine, tmp_path: Path) -> None:
    principal = on_sandbox.json("principals", "list")["data"][0]["id"]
    file = tmp_path / "public.json"
    # RFC 8037, appendix A.2.
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    file.write_text(json.dumps(jwk | {"kid": "mine"}))
    options = ("--use", "token", "--algorithm", "EdDSA", "--jwk", file)

    made = on_sandbox.json("clients", "register", principal, *options)

    assert (made["jwk"], made["use"]) == (jwk, "token")
    assert on_sandbox.json("clients", "list", principal)["data"] == [made]
    assert on_sandbox.run("clients", "register", principal, *options).errors.startswith("client_key_reused: ")
    assert on_sandbox.json("clients", "revoke", principal, made["id"])["revoked_at"]
    absent = on_sandbox.run("clients", "revoke", principal, "client_absent")
    assert absent.errors.startswith("client_not_found: ")
    for content, code in (("[]", "jwk_refused"), ('{"kty": "oct"}', "jwk_refused"), ("{", "json_invalid")):
        file.write_text(content)
        refused = on_sandbox.run("clients", "register", principal, *options)
        assert refused.errors.startswith(f"{code}: ")
