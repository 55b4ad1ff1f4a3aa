"""Column types that every room's tables share, so that one kind of fact has one type."""

from datetime import date, datetime

from sqlalchemy import TIMESTAMP, BigInteger, Column, Date, Text
from sqlalchemy.dialects.postgresql import BYTEA

__all__ = ["bytes_column", "date_column", "id_column", "integer_column", "moment_column", "text_column"]


def id_column(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    """An id: TEXT compared byte by byte, so that ids sort by time whatever the database's locale."""
    return Column(name, Text(collation="C"), primary_key=primary_key, nullable=nullable)


def text_column(name: str, *, nullable: bool = False) -> Column[str]:
    """Words."""
    return Column(name, Text, nullable=nullable)


def integer_column(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[int]:
    """Minor units, versions, indexes: BIGINT, never from a sequence."""
    return Column(name, BigInteger, primary_key=primary_key, nullable=nullable, autoincrement=False)


def moment_column(name: str, *, nullable: bool = False) -> Column[datetime]:
    """A moment in UTC, to the microsecond."""
    return Column(name, TIMESTAMP(timezone=True), nullable=nullable)


def date_column(name: str, *, nullable: bool = False) -> Column[date]:
    """A calendar day."""
    return Column(name, Date, nullable=nullable)


def bytes_column(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[bytes]:
    """Hashes and keys."""
    return Column(name, BYTEA, primary_key=primary_key, nullable=nullable)
