# Two images: `service`, what `docker build .` makes, holds the service and the simulators;
# `--target bluesky` what the RunEngine's side needs, and Tiled's server.
# The tag says which Python and which Debian; Debian's own repairs come with a new build of
# it. To pin the very bytes: --build-arg PYTHON=3.13.12-slim-trixie@sha256:...
ARG PYTHON=3.13.12-slim-trixie

FROM python:${PYTHON} AS base
# By number, so that Kubernetes sees it is not root. Whom the files are to belong to
# decides who starts it (`user:`), so that any user may write to what is not mounted.
RUN useradd --uid 1000 --user-group --no-create-home --shell /usr/sbin/nologin srx \
    && install --directory --mode 1777 /cache /state \
    && install --directory --owner srx --group srx /data
ENV PATH=/opt/srx/bin:$PATH \
    HOME=/state \
    XDG_STATE_HOME=/state \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1

FROM base AS build
WORKDIR /src
COPY deploy/image/build.txt deploy/image/
RUN pip install --no-cache-dir --require-hashes -r deploy/image/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY srx_service srx_service
COPY srx_ophyd srx_ophyd
RUN pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels .

FROM base AS build-service
COPY deploy/image/service.txt /tmp/
RUN python -m venv /opt/srx \
    && pip install --no-cache-dir --require-hashes -r /tmp/service.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl && pip check

FROM base AS build-bluesky
COPY deploy/image/bluesky.txt /tmp/
RUN python -m venv /opt/srx \
    && pip install --no-cache-dir --require-hashes -r /tmp/bluesky.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl && pip check

FROM base AS bluesky
COPY --from=build-bluesky /opt/srx /opt/srx
USER 1000:1000
VOLUME ["/data", "/state"]
CMD ["tiled", "serve", "catalog", "--temp", "--read", "/data", "--host", "0.0.0.0"]

FROM base AS service
COPY --from=build-service /opt/srx /opt/srx
COPY detectors.yaml /etc/srx/detectors.yaml
# What numba compiles for a pipeline is kept here; `srx run` says if that cannot be.
ENV NUMBA_CACHE_DIR=/cache \
    SRX_READY=http://127.0.0.1:5000/readyz
USER 1000:1000
VOLUME ["/data", "/state"]
EXPOSE 5000
# Where the entry has another api_port, the container is started with another SRX_READY.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(os.environ['SRX_READY'], timeout=4)"]
ENTRYPOINT ["srx"]
CMD ["list", "/etc/srx/detectors.yaml"]
