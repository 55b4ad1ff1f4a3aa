"""Settings, read once from the environment: `TALLYSTICK_` and the field's name in capitals."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

__all__ = ["STAFF_ROLES", "Settings"]

_PUBLIC_URL: Final = re.compile(
    r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?"
)
# Keys that decide who somebody is are not fetched over a line that anybody may write on.
_KEY_SET: Final = re.compile(r"https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])[:/]\S*|(?!\S*://).+")

_LOOPBACK: Final = re.compile(r"(127\.[0-9.]+|localhost|\[::1\])(:|$)")

# What a person may be to an issuer; the rooms above know what it means.
# What a trial on one's own machine calls its logs: RFC 2606 keeps `.invalid` from ever being anybody's.
_UNNAMED_LOGS: Final = "tallystick.invalid/log"
STAFF_ROLES: Final = ("auditor", "operator", "treasury_checker", "treasury_maker")


class Settings(BaseModel):
    """What may differ between two installations. Every field has the value that a bank's pilot would want."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(
        default=None, description="PostgreSQL 15+ for the service; embedded when absent."
    )
    database_owner_url: str | None = Field(
        default=None, description="Login that owns the tables, for migrations; the service's when absent."
    )
    state_directory: Path = Field(default=Path("var"), description="Embedded database, keys, exports.")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64, description="API processes.")
    database_pool_size: int = Field(default=12, ge=2, le=200, description="Connections per API process.")
    body_size_max_bytes: int = Field(default=1_048_576, ge=1_024)
    statement_size_max_bytes: int = Field(default=33_554_432, ge=1_024)
    statement_file_size_max_bytes: int = Field(
        default=268_435_456, ge=1_024, description="Of statements that commands read, piece by piece."
    )
    screening_list_size_max_bytes: int = Field(default=67_108_864, ge=1_024)
    screening_threshold: int = Field(
        default=85, ge=50, le=100, description="How alike a listed name must be to be a hit, of 100."
    )
    key_passphrase: str | None = Field(default=None, repr=False, description="Encrypts signing keys at rest.")
    settling_process: bool = Field(
        default=True,
        description="Settle in a process beside each one that serves, instead of in a thread of it.",
    )
    batch_size_max: int = Field(
        default=4_000, ge=1, le=10_000, description="Instructions settled in one commit."
    )
    queue_length_max: int = Field(default=10_000, ge=1, description="Waiting instructions before 503.")
    request_deadline_seconds: float = Field(default=10.0, gt=0)
    audit_strays_per_minute_max: int = Field(
        default=60,
        ge=1,
        le=100_000,
        description="Attempts with bad keys put on record one by one, per issuer and process.",
    )
    approval_lifetime_hours: int = Field(default=72, ge=1)
    log_origin_prefix: str | None = Field(
        default=None,
        # A schema-less URL without spaces and plus signs, as the names in signed notes are.
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.\-:/_~]{0,159}[A-Za-z0-9]$",
        description="Names the logs: an issuer's is called this, a slash and its id, for ever. From `public_url` when"
        " absent.",
    )
    log_interval_seconds: float = Field(
        default=0.5, ge=0, le=60, description="Pause between steps of the log's tree; 0: not in this process."
    )
    log_tile_directory: Path | None = Field(
        default=None, description="Where full tiles lie as files; in the database when absent."
    )
    log_witnesses: str | None = Field(
        default=None, max_length=16_384, description="`<vkey> <url>` of each witness, separated by commas."
    )
    log_quorum: int = Field(
        default=0, ge=0, le=64, description="Cosignatures that make a checkpoint witnessed."
    )
    expiry_check_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="How often expired approvals and holds are closed."
    )
    schedule_check_seconds: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="How often a worker looks for reconciliations that are due; 0: not in this process.",
    )
    schedule_grace_minutes: int = Field(
        default=15,
        ge=1,
        le=1_440,
        description="How late a scheduled reconciliation may be before it is missed.",
    )
    seal_every_hours: int = Field(
        default=24,
        ge=0,
        le=24 * 31,
        description="How often a worker checks everything and seals what is new; 0: only by `seal-records`.",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000", description="Where callers reach the service, without a path."
    )
    trusted_proxies: str | None = Field(
        default=None, description="Networks whose X-Forwarded-For is believed, separated by commas."
    )
    api_key_lifetime_days_max: int = Field(default=365, ge=1, le=3_650)
    access_token_lifetime_seconds: int = Field(default=300, ge=10, le=3_600)
    calls_per_minute_max: int = Field(
        default=600_000, ge=0, le=60_000_000, description="Calls of one principal; 0 is no limit."
    )
    failed_attempts_per_minute_max: int = Field(
        default=120, ge=1, description="Failed authentications from one address, in each process."
    )
    oidc_issuer: str | None = Field(default=None, description="`iss` of the bank's identity provider.")
    oidc_audience: str | None = Field(default=None, description="`aud` of its tokens for this service.")
    oidc_key_set: str | None = Field(default=None, description="URL or file of its JWK Set.")
    oidc_algorithms: str = Field(
        default="RS256,PS256,ES256,EdDSA", pattern=r"^(RS256|PS256|ES256|EdDSA)(,(RS256|PS256|ES256|EdDSA))*$"
    )
    oidc_person_claim: str = Field(default="sub", pattern=r"^(sub|email)$")
    oidc_groups_claim: str = Field(default="groups", pattern=r"^[A-Za-z0-9_.:/\-]{1,128}$")
    oidc_roles: str | None = Field(
        default=None,
        description="JSON object from its groups to our roles; roles are ours alone when absent.",
    )
    oidc_issuer_id: str | None = Field(
        default=None, description="The issuer whose staff signs in; the only one when absent."
    )

    @field_validator("public_url")
    @classmethod
    def _plain_origin(cls, value: str) -> str:
        if not _PUBLIC_URL.fullmatch(value):
            raise ValueError("is a scheme, a host and perhaps a port, such as https://tokens.example")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str | None) -> str | None:
        for one in (value or "").split(",") if value else ():
            try:
                ip_network(one.strip())
            except ValueError:
                raise ValueError("is a list of networks such as 10.0.0.0/8,2001:db8::/32") from None
        return value

    @field_validator("oidc_key_set")
    @classmethod
    def _key_set_with_its_issuer(cls, value: str | None, given: ValidationInfo) -> str | None:
        if value is not None and not _KEY_SET.fullmatch(value):
            raise ValueError("is an https URL, or a file")
        if value is not None and not (given.data.get("oidc_issuer") and given.data.get("oidc_audience")):
            raise ValueError("needs an issuer and an audience beside it")
        return value

    @field_validator("oidc_roles")
    @classmethod
    def _group_roles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                mapping = orjson.loads(value)
            except orjson.JSONDecodeError:
                mapping = None
            if not isinstance(mapping, dict) or not all(one in STAFF_ROLES for one in mapping.values()):
                raise ValueError(f"is a JSON object from groups to {', '.join(STAFF_ROLES)}")
        return value

    @property
    def key_directory(self) -> Path:
        """Where private signing keys lie, one 0600 file each."""
        return self.state_directory / "keys"

    @property
    def export_directory(self) -> Path:
        """Where finished exports lie until they are fetched."""
        return self.state_directory / "exports"

    @property
    def log_origin(self) -> str | None:
        """What the logs' names begin with: as set, or the host (and port) of the public URL and `/log`.

        None where neither is given: a log that others may follow must not be called by a name that is nobody's.
        """
        if self.log_origin_prefix is not None:
            return self.log_origin_prefix
        host = self.public_url.partition("://")[2]
        return None if _LOOPBACK.match(host) else f"{host}/log"

    @property
    def log_origin_or_unnamed(self) -> str:
        """What the logs' names begin with on a machine of one's own, where they may be nobody's."""
        return self.log_origin or _UNNAMED_LOGS

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings; raise pydantic.ValidationError that names a variable which is not understood."""
        source = os.environ if environment is None else environment
        prefix = "TALLYSTICK_"
        known = {
            name: source[prefix + name.upper()]
            for name in cls.model_fields
            if prefix + name.upper() in source
        }
        return cls.model_validate(known)
