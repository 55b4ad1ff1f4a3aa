"""Issuers, principals, API keys and signing keys, for whoever runs the machine."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest

from tallystick import audit
from tallystick.cli.asking import ask
from tallystick.cli.report import CommandRefusedError
from tallystick.cli.running import chosen_issuer, load_settings, opened_database
from tallystick.core.interpreter import collect_seldom
from tests.cli.conftest import CommandLine

RIVERBANK = ("--legal-name", "Riverbank AG", "--lei", "529900T8BM49AURSDO55", "--bic", "RIVBDEFFXXX")


def open_issuer(command_line: CommandLine) -> Any:
    return command_line.json(
        "issuers", "open", *RIVERBANK, "--jurisdiction", "DE", "--root", command_line.state / "root"
    )


def asking(command_line: CommandLine, reason: str = "Agreed with the board.") -> tuple[str, ...]:
    """The options that ask in the operator's name."""
    return ("--key", command_line.sandbox["keys"]["operator"], "--reason", reason)


def approve(command_line: CommandLine, change: Any) -> None:
    assert change["state"] == "pending_approval"
    key = command_line.sandbox["keys"]["checker"]
    ask(load_settings(), key, f"/v1/approvals/{change['approval_id']}/approve", {})


def asked_and_approved(command_line: CommandLine, *arguments: object) -> Any:
    change = command_line.json(*arguments, *asking(command_line))
    approve(command_line, change)
    return change


def auditor_of(command_line: CommandLine) -> Any:
    [found] = [one for one in command_line.json("principals", "list")["data"] if "auditor" in one["roles"]]
    return found


def keys_of(command_line: CommandLine, principal: str) -> dict[str, Any]:
    listed = command_line.json("api-keys", "list")["data"]
    return {one["id"]: one for one in listed if one["principal_id"] == principal}


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
    principal = auditor_of(on_sandbox)["id"]

    ran = on_sandbox.run("api-keys", "issue", principal, *asking(on_sandbox))

    secret = ran.output.splitlines()[-1]
    assert (ran.exit_code, len(secret)) == (0, 43)
    assert secret not in ran.errors
    listed = on_sandbox.run("api-keys", "list").output + on_sandbox.run("api-keys", "list", "--json").output
    assert secret not in listed
    for text in on_sandbox.sandbox["keys"].values():
        assert text[-43:] not in listed


def test_a_founding_key_is_printed_whole(on_database: CommandLine) -> None:
    open_issuer(on_database)
    maker = on_database.json("principals", "add", "--name", "M", "--person", "m", "--role", "treasury_maker")

    ran = on_database.run("api-keys", "issue", maker["id"])

    text = ran.output.strip()
    [listed] = on_database.json("api-keys", "list")["data"]
    assert text[:-43] == listed["key_prefix"]
    assert len(text) == len("tsk_") + 26 + 26 + len("_") + 43
    assert text[-43:] not in ran.errors


def found_bank(command_line: CommandLine, operator: str, checker: str, *lifetime: object) -> dict[str, Any]:
    """Take up an operator and a checker with a key each; return their principals by role."""
    people = {}
    for role, person in (("operator", operator), ("treasury_checker", checker)):
        people[role] = command_line.json(
            "principals", "add", "--name", role, "--person", person, "--role", role
        )
        command_line.json("api-keys", "issue", people[role]["id"], *lifetime)
    return people


def test_nobody_gives_power_alone_once_two_people_can_act(on_database: CommandLine, tmp_path: Path) -> None:
    open_issuer(on_database)
    people = found_bank(on_database, "ines", "jonas")
    operator, checker = people["operator"]["id"], people["treasury_checker"]["id"]
    keys = on_database.json("api-keys", "list")["data"]
    jwk = tmp_path / "public.json"
    jwk.write_text('{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}')
    giving: tuple[tuple[object, ...], ...] = (
        ("principals", "add", "--name", "X", "--person", "x", "--role", "treasury_maker"),
        ("principals", "change", checker, "--login", "mallory"),
        ("principals", "reactivate", checker, "--reason", "x"),
        ("api-keys", "issue", checker),
        ("api-keys", "rotate", keys[0]["id"]),
        ("clients", "register", checker, "--use", "token", "--algorithm", "EdDSA", "--jwk", jwk),
    )

    def refused() -> list[str]:
        return [on_database.run(*one).errors.partition(":")[0] for one in giving]

    assert refused() == ["another_person_required"] * len(giving)
    # To take power away is one person's to do, and doesn't open the way back.
    for one in keys:
        assert on_database.run("api-keys", "revoke", one["id"]).exit_code == 0
    for principal in (operator, checker):
        assert on_database.run("principals", "suspend", principal, "--reason", "Stolen.").exit_code == 0
    assert refused() == ["another_person_required"] * len(giving)
    assert on_database.json("api-keys", "list")["data"] != keys
    assert len(on_database.json("principals", "list")["data"]) == len(people)


def test_one_human_with_two_logins_is_not_two_people(on_database: CommandLine) -> None:
    open_issuer(on_database)
    found_bank(on_database, "ines", "ines")

    added = on_database.json("principals", "add", "--name", "J", "--person", "jonas", "--role", "operator")
    assert on_database.run("api-keys", "issue", added["id"]).exit_code == 0
    # Now jonas asks and ines approves.
    assert on_database.run("api-keys", "issue", added["id"]).errors.startswith("another_person_required: ")


def test_what_is_done_while_founding_is_on_record(on_database: CommandLine) -> None:
    open_issuer(on_database)
    people = found_bank(on_database, "ines", "jonas")
    with opened_database(load_settings()) as database, database.read() as connection:
        issuer_id = chosen_issuer(connection, None)
        done = audit.page(connection, issuer_id, audit.begin(connection, issuer_id), limit=100).entries
        assert audit.first_broken_number(connection, issuer_id) is None
    # What the log keeps by itself, such as the beginning of its keys, has no method.
    alone = [one.draft for one in done if one.draft.method == "command"]
    assert [one.operation for one in alone] == ["principal_add", "api_key_registration"] * 2
    assert alone[0].subject_id == people["operator"]["id"]


def test_what_a_command_works_on_is_collected_as_usual(on_database: CommandLine) -> None:
    open_issuer(on_database)
    collect_seldom()
    with opened_database(load_settings()):
        assert gc.get_threshold()[0] < 5_000


def test_asking_needs_a_key_that_may_and_a_reason(on_sandbox: CommandLine) -> None:
    auditor = auditor_of(on_sandbox)
    keys = on_sandbox.sandbox["keys"]
    for options, code in (
        (("--key", keys["checker"], "--reason", "x"), "role_not_allowed"),
        (("--key", keys["operator"][:-43] + "A" * 43, "--reason", "x"), "api_key_invalid"),
        (("--key", keys["operator"]), "reason_missing"),
        ((*asking(on_sandbox), "--issuer", "issuer_1"), "issuer_not_found"),
    ):
        assert on_sandbox.run("api-keys", "issue", auditor["id"], *options).errors.startswith(f"{code}: ")
    assert len(keys_of(on_sandbox, auditor["id"])) == 1


def test_a_principal_is_taken_up_by_an_operator(on_sandbox: CommandLine) -> None:
    key = on_sandbox.sandbox["keys"]["operator"]

    added = on_sandbox.json(
        *("principals", "add", "--key", key, "--name", "Lena", "--person", "lena", "--role", "auditor"),
        *("--access-until", "2098-01-01", "--scope", "read"),
    )

    assert added in on_sandbox.json("principals", "list")["data"]
    assert (added["scopes"], added["access_until"]) == (["read"], "2098-01-01T00:00:00.000000Z")


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
    absent = on_sandbox.run("api-keys", "issue", "principal_1", *asking(on_sandbox))
    assert absent.errors.startswith("principal_not_found: ")


def named_by_the_root(command_line: CommandLine, folder: Path) -> Any:
    """Let the sandbox's root name what was prepared: draft on one machine, sign on another, put in on the first."""
    file = folder / "manifest.json"
    drafted = command_line.json("keys", "root", "draft", "--output", file)
    signed = command_line.json("keys", "root", "sign", file, "--directory", command_line.state / "root")
    assert [one["signed"] for one in (*drafted["roots"], *signed["roots"])] == [False, True]
    assert command_line.json("keys", "root", "show", file) == signed
    assert command_line.json("keys", "root", "import", file) == signed
    return signed


def states_of(command_line: CommandLine, use: str = "event") -> dict[str, str]:
    listed = command_line.json("keys", "list", "--use", use)["data"]
    return {one["id"]: one["state"] for one in listed}


def test_signing_keys_live_and_end(on_sandbox: CommandLine, tmp_path: Path) -> None:
    [first] = on_sandbox.json("keys", "list")["data"]
    second = on_sandbox.json("keys", "create")
    spare = on_sandbox.json("keys", "create")
    activate = ("keys", "activate", second["id"], "--expected", first["id"])
    assert (first["state"], first["from_index"], second["state"]) == ("active", 0, "prepared")
    refused = on_sandbox.run(*activate, *asking(on_sandbox))
    assert refused.errors.startswith("signing_key_not_named: ")
    assert named_by_the_root(on_sandbox, tmp_path)["version"] == 2

    # The sandbox is founded: nobody gives a key power alone.
    assert on_sandbox.run(*activate, "--reason", "x").errors.startswith("another_person_required: ")
    asked_and_approved(on_sandbox, *activate)
    again = on_sandbox.run(*activate, *asking(on_sandbox))
    assert again.errors.startswith("signing_key_conflict: ")
    asked_and_approved(on_sandbox, "keys", "retire", second["id"])
    # Nothing could record a second person's vote now, and the root stands behind the key.
    on_sandbox.json("keys", "activate", spare["id"], *asking(on_sandbox))
    revoked = on_sandbox.json(
        "keys",
        "revoke",
        spare["id"],
        *asking(on_sandbox, "Laptop stolen."),
        *("--compromised-at", "2026-01-01T00:00:00Z"),
    )

    assert revoked["state"] == "settled"
    assert states_of(on_sandbox) == {first["id"]: "retired", second["id"]: "retired", spare["id"]: "revoked"}
    [shown] = [one for one in on_sandbox.json("keys", "list")["data"] if one["id"] == spare["id"]]
    assert (shown["compromised_from_index"], shown["reason"]) == (0, "Laptop stolen.")
    table = on_sandbox.run("keys", "list").output
    assert all(key_id in table for key_id in states_of(on_sandbox)), "ids are never cut"


def test_a_bank_with_its_root_elsewhere(on_database: CommandLine, tmp_path: Path) -> None:
    bank = on_database.json("issuers", "open", *RIVERBANK, "--jurisdiction", "DE")
    key_id = bank["signing_key_id"]
    assert states_of(on_database) == {key_id: "prepared"}
    activate = ("keys", "activate", key_id, "--reason", "The first key.")
    assert on_database.run(*activate).errors.startswith("root_manifest_absent: ")
    roots = [
        on_database.json("keys", "root", "create", "--directory", tmp_path / name) for name in ("one", "two")
    ]
    file = tmp_path / "manifest.json"
    named = [option for one in roots for option in ("--root", one["x"])]
    on_database.json("keys", "root", "draft", "--output", file, *named, "--threshold", 2)
    on_database.json("keys", "root", "sign", file, "--directory", tmp_path / "one")
    refused = on_database.run("keys", "root", "import", file)
    assert refused.errors.startswith("root_manifest_refused: ")
    on_database.json("keys", "root", "sign", file, "--directory", tmp_path / "two")
    on_database.json("keys", "root", "import", file)

    shown = on_database.json(*activate)
    [checkpoint] = states_of(on_database, "checkpoint")
    on_database.json("keys", "activate", checkpoint, "--reason", "The first key.")

    assert (shown["state"], shown["from_index"]) == ("active", 0)
    with opened_database(load_settings()) as database, database.read() as connection:
        issuer_id = chosen_issuer(connection, None)
        done = audit.page(connection, issuer_id, audit.begin(connection, issuer_id), limit=100).entries
    assert [one.draft.operation for one in done if one.draft.method == "command"] == [
        "root_manifest_import",
        "signing_key_activation",
        "signing_key_activation",
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sign", "/nowhere.json", "--directory", "."), "file_unreadable"),
        (("sign", __file__, "--directory", "."), "root_manifest_malformed"),
        (("show", __file__), "root_manifest_malformed"),
        (("draft", "--output", "x", "--root", "AAAA"), "public_key_refused"),
        (("draft", "--output", "/nowhere/x"), "file_unwritable"),
    ],
)
def test_what_is_no_manifest(on_sandbox: CommandLine, arguments: tuple[str, ...], code: str) -> None:
    assert on_sandbox.run("keys", "root", *arguments).errors.startswith(f"{code}: ")


def test_private_keys_stay_in_files_that_only_the_service_reads(on_sandbox: CommandLine) -> None:
    output = "".join(
        on_sandbox.run("keys", command, "--json").output for command in ("list", "create", "list")
    )

    files = [
        path for name in ("keys", "root") for path in (on_sandbox.state / name).rglob("*") if path.is_file()
    ]
    assert len(files) >= 4
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

    ran = on_sandbox.run("keys", "revoke", key["id"], "--compromised-at", at, *asking(on_sandbox))

    assert ran.errors.startswith(f"{code}: ")
    assert on_sandbox.json("keys", "list")["data"] == [key]


def test_a_key_whose_id_looks_like_an_option_can_be_named(on_sandbox: CommandLine) -> None:
    ran = on_sandbox.run("keys", "revoke", *asking(on_sandbox), "-Fq0-not-a-key", "--json")

    assert ran.document["code"] == "signing_key_not_found"


def test_keys_outside_the_state_directory_are_found_with_it(
    on_sandbox: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_STATE_DIRECTORY", str(tmp_path / "elsewhere"))

    # The database is the same; only private keys, which this directory lacks, are not needed to list.
    assert len(on_sandbox.json("keys", "list")["data"]) == 1


def test_a_key_is_replaced_with_an_overlap(on_sandbox: CommandLine) -> None:
    principal = auditor_of(on_sandbox)["id"]
    before = set(keys_of(on_sandbox, principal))
    asked_and_approved(on_sandbox, "api-keys", "issue", principal, "--network", "127.0.0.1")
    [first_id] = set(keys_of(on_sandbox, principal)) - before
    first = keys_of(on_sandbox, principal)[first_id]
    assert (first["ip_allow_list"], bool(first["expires_at"])) == (["127.0.0.1/32"], True)

    asked = asked_and_approved(
        on_sandbox, "api-keys", "rotate", first_id, "--overlap-hours", 2, "--lifetime-days", 30
    )

    keys = keys_of(on_sandbox, principal)
    [second_id] = set(keys) - before - {first_id}
    second = keys[second_id]
    assert second["ip_allow_list"] == first["ip_allow_list"]
    assert keys[first_id]["expires_at"] < second["expires_at"] < first["expires_at"]
    assert on_sandbox.run("export", "--key", second["key_prefix"] + asked["secret"]).exit_code == 0
    for arguments, code in (
        (("rotate", "key_absent"), "api_key_not_found"),
        (("issue", principal, "--lifetime-days", "366"), "api_key_lifetime_refused"),
        (("issue", principal, "--network", "example.com"), "ip_allow_list_malformed"),
    ):
        refused = on_sandbox.run("api-keys", *arguments, *asking(on_sandbox))
        assert refused.errors.startswith(f"{code}: ")


def test_a_principal_is_changed_suspended_and_reactivated(on_sandbox: CommandLine) -> None:
    auditor = auditor_of(on_sandbox)

    asked_and_approved(
        on_sandbox,
        "principals",
        "change",
        auditor["id"],
        *("--login", "paul", "--access-until", "2098-01-01", "--calls-per-minute", 60),
        *("--signature-from-minor", 0),
    )

    assert auditor_of(on_sandbox) == auditor | {
        "oidc_subject": "paul",
        "access_until": "2098-01-01T00:00:00.000000Z",
        "calls_per_minute_max": 60,
        "signature_required_from_minor": 0,
    }
    asked_and_approved(on_sandbox, "principals", "change", auditor["id"], "--login", "")
    assert auditor_of(on_sandbox)["oidc_subject"] is None
    key = on_sandbox.sandbox["keys"]["auditor"]
    suspended = on_sandbox.json("principals", "suspend", auditor["id"], "--reason", "On leave.")
    assert (suspended["status"], suspended["status_reason"]) == ("suspended", "On leave.")
    assert on_sandbox.run("export", "--key", key).errors.startswith("api_key_invalid: ")
    asked_and_approved(on_sandbox, "principals", "reactivate", auditor["id"])
    assert on_sandbox.run("export", "--key", key).exit_code == 0
    again = on_sandbox.run("principals", "reactivate", auditor["id"], *asking(on_sandbox))
    assert again.errors.startswith("principal_status_conflict: ")


def test_a_client_is_registered_and_revoked(on_sandbox: CommandLine, tmp_path: Path) -> None:
    principal = auditor_of(on_sandbox)["id"]
    file = tmp_path / "public.json"
    # RFC 8037, appendix A.2.
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    file.write_text(json.dumps(jwk | {"kid": "mine"}))
    options = ("--use", "token", "--algorithm", "EdDSA", "--jwk", file)
    before = on_sandbox.json("clients", "list", principal)["data"]

    asked_and_approved(on_sandbox, "clients", "register", principal, *options)

    [made] = [one for one in on_sandbox.json("clients", "list", principal)["data"] if one not in before]
    assert (made["jwk"], made["use"]) == (jwk, "token")
    # A key has one owner for ever: whoever approves it again is told.
    again = on_sandbox.json("clients", "register", principal, *options, *asking(on_sandbox))
    with pytest.raises(CommandRefusedError) as reused:
        approve(on_sandbox, again)
    assert reused.value.code == "client_key_reused"
    assert on_sandbox.json("clients", "revoke", principal, made["id"])["revoked_at"]
    absent = on_sandbox.run("clients", "revoke", principal, "client_absent")
    assert absent.errors.startswith("client_not_found: ")
    for content, code in (("[]", "jwk_refused"), ('{"kty": "oct"}', "jwk_refused"), ("{", "json_invalid")):
        file.write_text(content)
        refused = on_sandbox.run("clients", "register", principal, *options, *asking(on_sandbox))
        assert refused.errors.startswith(f"{code}: ")
