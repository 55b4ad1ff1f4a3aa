"""Settings, read once from the environment: `TALLYSTICK_` and the field's name in capitals."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


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
    key_passphrase: str | None = Field(default=None, repr=False, description="Encrypts signing keys at rest.")
    batch_size_max: int = Field(
        default=2_000, ge=1, le=10_000, description="Instructions settled in one commit."
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
    expiry_check_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="How often expired approvals and holds are closed."
    )

    @property
    def key_directory(self) -> Path:
        """Where private signing keys lie, one 0600 file each."""
        return self.state_directory / "keys"

    @property
    def export_directory(self) -> Path:
        """Where finished exports lie until they are fetched."""
        return self.state_directory / "exports"

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
