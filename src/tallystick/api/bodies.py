"""Reading what was sent: bounded, strict, and checked against a schema that allows no unknown field."""

import re
from datetime import date, datetime
from typing import Annotated, Final, TypeVar

from fastapi import Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from tallystick.api.problems import validation_problem
from tallystick.core.clock import parse_time
from tallystick.core.errors import DomainError, MalformedError, NotFoundError
from tallystick.core.strict_json import BodyTooLargeError, JsonValue, parse_json

__all__ = [
    "Amount",
    "Currency",
    "Day",
    "IdempotencyKeyMalformedError",
    "IdempotencyKeyMissingError",
    "MediaTypeUnsupportedError",
    "Moment",
    "ObjectId",
    "Purpose",
    "Reason",
    "Reference",
    "Schema",
    "checked_key",
    "idempotency_key",
    "path_ids",
    "read_body",
    "read_content",
    "read_json",
    "understood",
]

IDEMPOTENCY_KEY_LENGTH_MAX: Final = 255
_JSON: Final = "application/json"

# Amounts are checked to the digit by the write path, which knows the class's scale: one place, one code.
Amount = Annotated[str, StringConstraints(max_length=40)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
ObjectId = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)
Reference = Annotated[str, StringConstraints(min_length=1, max_length=140)]
Purpose = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,10}$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]


def _day(sent: object) -> object:
    return date.fromisoformat(sent) if isinstance(sent, str) and _DAY.fullmatch(sent) else sent


def _moment(sent: object) -> object:
    if not isinstance(sent, str):
        return sent
    try:
        if _MOMENT.fullmatch(sent):
            return parse_time(sent)
    except (ValueError, OverflowError):
        pass
    # Python's own words for it repeat what was sent.
    raise ValueError("not an RFC 3339 moment with an offset from UTC and at most six decimals")


_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Schema(BaseModel):
    """A JSON object that is sent or returned."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class IdempotencyKeyMissingError(DomainError):
    """Every write needs an `Idempotency-Key`."""

    code = "idempotency_key_missing"
    status = 400
    title = "The Idempotency-Key header is missing"


class IdempotencyKeyMalformedError(MalformedError):
    """An `Idempotency-Key` has 1 to 255 visible ASCII characters."""

    code = "idempotency_key_malformed"
    title = "The Idempotency-Key is malformed"


class MediaTypeUnsupportedError(DomainError):
    """A body that says it is something else than JSON is not read as JSON."""

    code = "media_type_unsupported"
    status = 415
    title = "The body must be application/json"


Model = TypeVar("Model", bound=BaseModel)


def idempotency_key(request: Request) -> str:
    """Return the request's one key or refuse: IdempotencyKeyMissingError, IdempotencyKeyMalformedError."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        raise IdempotencyKeyMissingError
    if len(keys) > 1:
        raise IdempotencyKeyMalformedError("There is more than one Idempotency-Key.")
    return checked_key(keys[0])


def checked_key(key: str) -> str:
    """Return a key unchanged or raise IdempotencyKeyMalformedError."""
    if not 0 < len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyMalformedError
    return key


def path_ids(request: Request) -> dict[str, str]:
    """Return the path's parameters; what can't be an id is an absent object and raises NotFoundError."""
    found: dict[str, str] = request.path_params
    if not all(map(_OBJECT_ID.fullmatch, found.values())):
        raise NotFoundError
    return found


async def read_body(request: Request, size_max_bytes: int) -> bytes:
    """Return the whole body, or raise BodyTooLargeError as soon as it is longer than allowed."""
    announced = request.headers.get("content-length")
    if announced is not None and announced.isdecimal() and int(announced) > size_max_bytes:
        raise BodyTooLargeError
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > size_max_bytes:
            raise BodyTooLargeError
        parts.append(part)
    return b"".join(parts)


async def read_json(request: Request, size_max_bytes: int) -> JsonValue:
    """Return the body's JSON as `read_content` does."""
    return (await read_content(request, size_max_bytes))[1]


async def read_content(request: Request, size_max_bytes: int) -> tuple[bytes, JsonValue]:
    """Return the body as it came and its JSON, read strictly (see `core.strict_json`).

    Raises MediaTypeUnsupportedError where `Content-Type` names another type; without one the body speaks for itself.
    """
    media_type = request.headers.get("content-type", _JSON)
    if media_type != _JSON and media_type.partition(";")[0].strip().lower() != _JSON:
        raise MediaTypeUnsupportedError
    content = await read_body(request, size_max_bytes)
    return content, parse_json(content, size_max_bytes=size_max_bytes)


def understood(schema: type[Model], asked: JsonValue) -> Model:
    """Return `asked` as the schema's object, or raise RequestInvalidError that names each wrong field."""
    try:
        return schema.model_validate(asked)
    except ValidationError as error:
        raise validation_problem(error.errors(include_url=False, include_input=False)) from None
