"""For supervisors and monitoring: alive, ready, counters."""

from fastapi import APIRouter
from fastapi.responses import Response

from srx_service import metrics
from srx_service.api.line import TheLine
from srx_service.api.models import Alive, Ready

router = APIRouter(tags=["health"])


class MetricsResponse(Response):
    """Prometheus' own text format."""

    media_type = metrics.MEDIA_TYPE


@router.get("/healthz")
async def healthz() -> Alive:
    """Answer while the process lives."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready}})
async def readyz(line: TheLine, response: Response) -> Ready:
    """Tell whether data can be taken; 503 while not."""
    response.status_code = 200 if line.is_ready() else 503
    return Ready(ready=response.status_code == 200)


@router.get("/metrics", response_class=MetricsResponse)
async def prometheus(line: TheLine) -> MetricsResponse:
    """Return all counters as Prometheus text."""
    return MetricsResponse(metrics.render(line.metrics(), line.about()))
