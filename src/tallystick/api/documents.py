"""The OpenAPI document and the pages that show it, all served from here: no content delivery network is asked."""

import re
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tallystick import __version__
from tallystick.api.access import public
from tallystick.api.posts import REQUEST_SCHEMAS
from tallystick.api.views import ProblemView

__all__ = ["application", "router"]

router = APIRouter()

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9]+")
_DESCRIPTION: Final = """\
Deposit tokens are a bank's own deposit liabilities, recorded as tokens. Every token here was made from a confirmed
deposit, and every movement is one signed event.

* **Amounts** are decimal strings with exactly the token class's decimals.
* **Writes** need an `Idempotency-Key`: the same key and body get the stored answer, byte for byte; another body is
  refused with 409. A refused request leaves its key free.
* **Refusals** are RFC 9457 problems with a stable `code`.
* **Lists** go on from `next_cursor`.
"""


def application() -> FastAPI:
    """Return an application without routes whose documents are complete and self-contained."""
    app = FastAPIOffline(
        title="tallystick",
        version=__version__,
        description=_DESCRIPTION,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs-assets",
        separate_input_output_schemas=False,
        # A redirect would send people where the Host header says, and callers their key along with it.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        # Without this the page may ask a public validator to fetch the document.
        swagger_ui_parameters={"validatorUrl": None},
        # What is told of a bank's calls is told by `/metrics` and the audit trail; asking whether there is anybody else
        # to tell took a tenth of an empty request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


@router.get("/", include_in_schema=False, dependencies=[public])
def get_root() -> RedirectResponse:
    """Lead people who type the address to the documents."""
    return RedirectResponse("/docs")


def _operation_id(route: APIRoute) -> str:
    # As `posts` names its own: generated clients call their functions by it.
    method = min(route.methods or ("get",)).lower()
    return f"{method}_{_NO_NAME.sub('_', route.path).strip('_')}"


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        openapi_version="3.1.0",
    )
    schemas: dict[str, Any] = document["components"]["schemas"]
    models: list[type[BaseModel]] = [*REQUEST_SCHEMAS.values(), ProblemView]
    _, generated = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas.update(generated["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    problem = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            # What isn't ours to shape, OAuth's refusals, a route describes itself.
            operation["responses"].setdefault("default", problem)
            if operation.get("security") == []:
                # Said by a route that anybody may call.
                del operation["security"]
            elif path.startswith("/v1/") or path == "/metrics":
                operation["security"] = [{"key": []}]
    return document
