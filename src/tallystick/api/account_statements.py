"""`/v1/accounts/{account_id}/statement`: a holder's own statement as a file, made while it is waited for."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tallystick import exports
from tallystick.api.access import AnyCaller
from tallystick.api.bodies import Day
from tallystick.api.pages import PathId
from tallystick.exports import ExportFormat

__all__ = ["router"]

router = APIRouter()

_BINARY = {"schema": {"type": "string", "format": "binary"}}


class StatementFormat(StrEnum):
    """`pdf` for people, `camt053` (ISO 20022 camt.053.001.08) for their systems."""

    PDF = "pdf"
    CAMT053 = "camt053"


FirstDay = Annotated[
    Day | None, Query(description="The first day that is told, in UTC; from the opening on if left out.")
]
LastDay = Annotated[Day | None, Query(description="The last day that is told; the first one if left out.")]


@router.get(
    "/v1/accounts/{account_id}/statement",
    tags=["Accounts"],
    summary="Get an account's statement as a file",
    response_class=Response,
    responses={
        200: {
            "description": "The statement",
            "content": {"application/pdf": _BINARY, "application/xml": _BINARY},
        }
    },
)
def get_account_statement(
    caller: AnyCaller,
    account_id: PathId,
    format: StatementFormat = StatementFormat.PDF,  # noqa: A002 The name that exports have for it.
    business_date: FirstDay = None,
    business_date_until: LastDay = None,
) -> Response:
    """Return what the holder owned and every movement of it, in whole days that are over, or of all until now.

    More than 2,000 movements are not told at once: ask for a shorter period, or the bank for an export.
    """
    with caller.read() as connection:
        made = exports.statement_at_once(
            connection,
            caller.service.clock,
            caller.principal,
            account_id,
            ExportFormat(format.value),
            (business_date, business_date_until),
        )
    return Response(
        made.content,
        media_type=made.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{made.name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )
