"""`tallystick log`, `tallystick witness` and the keys of checkpoints, on the command line."""

import json
from pathlib import Path

from tallystick import transparency
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.signing import KeyDirectory
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.cli.test_administration import asked_and_approved, named_by_the_root
from tests.database import DatabaseUrls, connect


def test_the_tree_is_verified_and_what_is_off_is_named(
    on_sandbox: CommandLine, database_urls: DatabaseUrls
) -> None:
    assert on_sandbox.json("log", "verify") == {
        "object": "log_audit", "size": 0, "tiles": 0, "checkpoints": 0, "cosignatures": 0, "findings": [],
    }  # fmt: skip
    statement = REPOSITORY / "examples" / "statements" / "2026-11-20-usd.xml"
    assert (
        on_sandbox.run("import-statement", "--key", on_sandbox.sandbox["keys"]["maker"], statement).exit_code
        == 0
    )
    database = Database(database_urls.service_url, pool_size=2)
    log = transparency.Log(SystemClock(), KeyDirectory(on_sandbox.state / "keys"), "log.test")
    size = transparency.integrate(database, log, on_sandbox.sandbox["issuer_id"])
    database.close()
    found = on_sandbox.json("log", "verify")
    assert (found["size"], found["checkpoints"], found["findings"]) == (size, 1, [])
    assert size > 0

    with connect(database_urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE event SET jws = 'x' WHERE event_index = 0")
    ran = on_sandbox.run("log", "verify")
    assert ran.exit_code == 1
    assert f"the checkpoint of size {size} has another root than the events" in ran.output.splitlines()


def test_checkpoints_have_keys_of_their_own(on_sandbox: CommandLine, tmp_path: Path) -> None:
    [first] = on_sandbox.json("keys", "list", "--use", "checkpoint")["data"]
    assert (first["key_use"], first["from_index"]) == ("checkpoint", 1)
    second = on_sandbox.json("keys", "create", "--use", "checkpoint")
    named_by_the_root(on_sandbox, tmp_path)
    asked_and_approved(on_sandbox, "keys", "activate", second["id"], "--expected", first["id"])
    states = {
        one["id"]: one["state"] for one in on_sandbox.json("keys", "list", "--use", "checkpoint")["data"]
    }
    assert states == {first["id"]: "retired", second["id"]: "active"}
    assert on_sandbox.run("keys", "list", "--use", "coffee").errors.startswith("key_use_unknown: ")
    assert on_sandbox.run("keys", "list", "--use", "coffee").exit_code == 2


def test_a_witness_is_made_once_and_serves_only_when_it_is_complete(command_line: CommandLine) -> None:
    directory = command_line.state / "witness"
    made = command_line.json("witness", "create", "--name", "w.example/1", "--directory", directory)
    assert made == {"object": "witness"} | json.loads((directory / "witness.json").read_text())
    again = command_line.run("witness", "create", "--name", "w.example/1", "--directory", directory)
    assert (again.exit_code, again.errors.partition(":")[0]) == (3, "witness_misconfigured")
    served = command_line.run("witness", "serve", "--directory", directory)
    assert (served.exit_code, served.errors) == (
        3,
        f"witness_misconfigured: {directory / 'logs.txt'} is missing: the verifier keys of the logs, one a line.\n",
    )
