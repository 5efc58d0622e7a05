"""The description of the HTTP interface that is kept in docs/reference."""

import yaml

from srx_service.api.app import routes
from srx_service.api.line import ApiSettings


def document() -> str:
    """Return the OpenAPI of all routes as YAML."""
    return yaml.safe_dump(
        routes(ApiSettings()).openapi(), sort_keys=False, allow_unicode=True, width=88
    )
