# The service and the simulators; Bluesky's side is installed where the RunEngine is.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY srx_service srx_service
COPY srx_ophyd srx_ophyd
RUN python -m venv /opt/srx && /opt/srx/bin/pip install --no-cache-dir '.[service]'

FROM python:3.13-slim
RUN useradd --uid 1000 --create-home srx && mkdir /state /data && chown srx /state /data
COPY --from=build /opt/srx /opt/srx
COPY detectors.yaml /etc/srx/detectors.yaml
ENV PATH=/opt/srx/bin:$PATH XDG_STATE_HOME=/state PYTHONFAULTHANDLER=1
USER srx
VOLUME ["/state", "/data"]
ENTRYPOINT ["srx"]
CMD ["list", "/etc/srx/detectors.yaml"]
