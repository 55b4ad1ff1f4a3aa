"""`tallystick check-integrity` and `seal-records`: an exit code for each outcome, and where the database differs."""

from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.database import DatabaseUrls, connect


def test_what_was_sealed_and_signed_is_told_apart(
    on_sandbox: CommandLine, database_urls: DatabaseUrls
) -> None:
    statement = REPOSITORY / "examples" / "statements" / "2026-11-20-usd.xml"
    imported = on_sandbox.run("import-statement", "--key", on_sandbox.sandbox["keys"]["maker"], statement)
    assert imported.exit_code == 0

    never = on_sandbox.run("check-integrity", "--json")
    assert never.exit_code == 6, never.output
    [found] = never.document["data"]
    assert (found["outcome"], found["findings"], found["seal_number"]) == ("never_sealed", [], None)
    assert never.document["not_covered"]["rate_bucket"] == {"*": "ephemeral: nothing is proved by it"}

    [sealed] = on_sandbox.json("seal-records")["data"]
    assert (sealed["number"], sealed["event_index"]) == (0, found["event_count"])
    assert sealed["record_count"] > 20
    intact = on_sandbox.run("check-integrity")
    assert (intact.exit_code, "INTACT" in intact.output) == (0, True)

    with connect(database_urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE statement_entry SET remittance = 'somebody else'")
    by_seal = on_sandbox.run("check-integrity", "--table", "statement_entry", "--json")
    assert by_seal.exit_code == 5
    [one] = by_seal.document["data"][0]["findings"]
    assert (one["table"], one["column"]) == ("statement_entry", "remittance")
    refused = on_sandbox.run("seal-records")
    assert (refused.exit_code, refused.errors.partition(":")[0]) == (1, "integrity_broken")

    with connect(database_urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE ledger_account SET balance_minor = 1 WHERE code = '2310'")
    signed = on_sandbox.run("check-integrity")
    assert signed.exit_code == 1
    assert "DIFFERS" in signed.output
    assert "balance_minor" in signed.output

    unknown = on_sandbox.run("check-integrity", "--table", "coffee")
    assert (unknown.exit_code, unknown.errors.partition(":")[0]) == (2, "table_unknown")
