"""`tallystick keys root …`: the offline root key, and the manifest by which it says which keys may sign.

`create` and `sign` need no database and are for the machine that holds the root; `draft` and `import` are for the
service's. What goes between them is a file.
"""

# ruff: noqa: PLC0415 Each command loads only what it needs.

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tallystick.cli.options import AsJson, IssuerId
from tallystick.cli.report import CommandRefusedError, ExitCode, Report, reported

if TYPE_CHECKING:
    from tallystick.signing import KeyDirectory, SignedManifest

__all__ = ["application", "public_key", "root_directory"]

application = typer.Typer(
    no_args_is_help=True, help="The root key, which is kept offline, and what it signs."
)

_VARIABLE: Final = "TALLYSTICK_ROOT_PASSPHRASE"
Folder = Annotated[
    Path,
    typer.Option("--directory", metavar="FOLDER", help=f"Where root keys lie; {_VARIABLE} encrypts them."),
]
ManifestFile = Annotated[Path, typer.Argument(metavar="FILE", help="The manifest's file.")]


@application.command("create")
def create_root(directory: Folder, as_json: AsJson = False) -> None:
    """Make a root key: offline, on a machine that has nothing to do with the service."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.signing.ed25519 import public_jwk
        from tallystick.tokens import ROOT_FOLDER

        made = root_directory(directory).create(ROOT_FOLDER)
        key_id, x = signing.thumbprint(made), public_jwk(made)["x"]
        report.document({"object": "root_key", "id": key_id, "x": x})
        report.say(f"Root key {key_id}. Auditors pin its public part: {x}")


@application.command("draft")
def draft_manifest(
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the draft is written.")],
    root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X", help="A root key's public part; may be repeated. Those before it if not given."
        ),
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, help="How many roots have to sign. As before, and 1 at first.")
    ] = None,
    lost: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="A key whose private part nobody has any more; may be repeated."),
    ] = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Write the next manifest: every key that was named before, and those that were prepared since."""
    with reported(as_json=as_json) as report:
        from tallystick import events, signing
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        settings = load_settings()
        root_keys = tuple(public_key(one) for one in root or ())
        with opened_database(settings) as database, database.read() as connection:
            chosen = chosen_issuer(connection, issuer)
            first = signing.newest_manifest(connection, chosen) is None
            drafted = signing.draft_manifest(
                connection,
                chosen,
                origin=origin_of(connection, settings.log_origin_or_unnamed, chosen),
                root_keys=root_keys,
                threshold=threshold,
                spans=events.key_spans(connection, chosen) if first else None,
                lost=frozenset(lost or ()),
            )
        signed = signing.unsigned(drafted)
        write_manifest(output, signed)
        _tell(report, signed)


@application.command("sign")
def sign_manifest(
    file: ManifestFile,
    directory: Folder,
    root: Annotated[
        str | None, typer.Option("--root", metavar="ID", help="Which root key, where the folder has several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a manifest with a root key, in its file: read first what it says. Needs no database."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.tokens import ROOT_FOLDER

        signed = read_manifest(file)
        roots = root_directory(directory)
        known = roots.key_ids(ROOT_FOLDER)
        if root is None and len(known) != 1:
            raise CommandRefusedError(
                "root_key_ambiguous", f"There are {len(known)} root keys: choose with --root.", ExitCode.USAGE
            )
        signed = signing.add_signature(signed, roots.signer(ROOT_FOLDER, root or known[0]))
        write_manifest(file, signed)
        _tell(report, signed)


@application.command("import")
def import_manifest(file: ManifestFile, issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """Put in a manifest that enough roots have signed. Keys that it names can be activated from then on."""
    with reported(as_json=as_json) as report:
        from http import HTTPStatus

        from sqlalchemy import Connection

        from tallystick import audit, signing
        from tallystick.audit import Decision, Draft
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        settings, document, clock = load_settings(), read_manifest(file).document(), SystemClock()

        def work(connection: Connection) -> "SignedManifest":
            chosen = chosen_issuer(connection, issuer)
            origin = origin_of(connection, settings.log_origin_or_unnamed, chosen)
            taken = signing.import_manifest(connection, clock, chosen, document, origin=origin)
            draft = Draft(
                operation="root_manifest_import",
                decision=Decision.SETTLED,
                method="command",
                status=HTTPStatus.OK.value,
                subject_id=f"{taken.manifest.version}",
            )
            audit.append(connection, clock, chosen, [draft])
            return taken

        with opened_database(settings) as database:
            _tell(report, database.run(work))


@application.command("show")
def show_manifest(file: ManifestFile, as_json: AsJson = False) -> None:
    """Show what a manifest's file says and which of its roots have signed it. Needs no database."""
    with reported(as_json=as_json) as report:
        _tell(report, read_manifest(file))


def root_directory(path: Path) -> "KeyDirectory":
    """Return where root keys lie."""
    from tallystick.signing import KeyDirectory

    return KeyDirectory(path, os.environ.get(_VARIABLE) or None)


def public_key(text: str) -> bytes:
    """Read a public key in base64url. Raises CommandRefusedError `public_key_refused`."""
    from tallystick.core.errors import DomainError
    from tallystick.signing import checked_public_key
    from tallystick.signing.jws import decoded

    try:
        return checked_public_key(decoded(text))
    except DomainError:
        raise CommandRefusedError(
            "public_key_refused", "A public key is 43 characters of base64url, Ed25519.", ExitCode.USAGE
        ) from None


def origin_of(connection: Any, prefix: str, issuer_id: str) -> str:
    """Return the log's name: that of its tree or its root, and else what the setting makes it."""
    from tallystick import signing, transparency

    known = transparency.log_origin(connection, issuer_id) or signing.root_origin(connection, issuer_id)
    return known or f"{prefix}/{issuer_id}"


def read_manifest(file: Path) -> "SignedManifest":
    """Read a manifest's file. Raises CommandRefusedError, RootManifestMalformedError."""
    from tallystick import signing

    try:
        document = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise CommandRefusedError("file_unreadable", f"{file} can't be read.", ExitCode.USAGE) from None
    return signing.read_manifest(document)


def write_manifest(file: Path, signed: "SignedManifest") -> None:
    """Write a manifest's file, whole or not at all. Raises CommandRefusedError."""
    from tallystick.core.durable_files import write_durably

    try:
        write_durably(file, signed.document() + "\n")
    except OSError:
        raise CommandRefusedError("file_unwritable", f"{file} can't be written.", ExitCode.USAGE) from None


def _tell(report: Report, signed: "SignedManifest") -> None:
    from tallystick.signing import thumbprint

    manifest = signed.manifest
    signers = signed.signed_by(manifest.root_keys)
    report.document(
        {
            "object": "root_manifest",
            "issuer_id": manifest.issuer_id,
            "origin": manifest.origin,
            "version": manifest.version,
            "sha256": signed.sha256.hex(),
            "threshold": manifest.threshold,
            "roots": [{"id": one, "signed": one in signers} for one in map(thumbprint, manifest.root_keys)],
            "keys": [{"id": one.id, **one.members()} for one in manifest.keys],
        }
    )
    report.table(
        ["key", "use", "first event", "last event"],
        [[one.id, one.use, one.first_index, one.last_index] for one in manifest.keys],
    )
    report.say(
        f"Version {manifest.version} for {manifest.origin}: {len(signers)} of its {len(manifest.root_keys)} roots "
        f"signed, {manifest.threshold} have to."
    )
