# The image of one Tidemill with everything in it: `make image` builds the wheel and then this, with docker, podman or
# buildah. All data is in /data; nothing else is written but /tmp. See docs/how-to/deploy.md.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_ARGS=""
COPY requirements.txt build/image/*.whl /build/
# Compiled once here: the user of the image cannot write beside the sources, and a start would compile them each time.
RUN python3 -m venv /opt/tidemill \
    && /opt/tidemill/bin/pip install --no-cache-dir --no-compile --only-binary=:all: --no-deps --require-hashes ${PIP_ARGS} \
        -r /build/requirements.txt \
    && /opt/tidemill/bin/pip install --no-cache-dir --no-compile --no-index --no-deps /build/*.whl \
    && /opt/tidemill/bin/pip uninstall -q -y setuptools pip \
    && find /opt/tidemill/lib -type d -name tests -prune -exec rm -rf {} + \
    && find /opt/tidemill/lib -name direct_url.json -delete \
    && python3 -m compileall -q /opt/tidemill/lib

FROM ${BASE}
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tidemill" \
      org.opencontainers.image.description="The time-series service that can account for every point" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 tidemill \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin tidemill \
    && install -d -m 0750 -o tidemill -g tidemill /data
COPY --from=build /opt/tidemill /opt/tidemill
ENV PATH=/opt/tidemill/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TIDEMILL_DATA=/data \
    TIDEMILL_LISTEN=0.0.0.0:8080 \
    TIDEMILL_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["tidemill", "health"]
ENTRYPOINT ["tidemill"]
CMD ["serve"]
