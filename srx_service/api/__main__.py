"""`python -m srx_service.api` prints what docs/reference/http-api.yaml holds."""

import sys

from srx_service.api.openapi import document

sys.stdout.write(document())
