# The scaler: no shell, no package manager, no compiler. Build it from the root of the repository:
#   docker build --file deploy/images/runtime.Dockerfile --tag headway .

# Digests: the same files on every machine. How they follow Debian's security updates: docs/images.md.
ARG BUILD_BASE=debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f
ARG RUNTIME_BASE=gcr.io/distroless/python3-debian13:nonroot@sha256:4376456c1d8520c9d464f2c475465850efaecabf9a190ff24d4a0eef2b884bea

FROM ${BUILD_BASE} AS build
# The same interpreter, at the same place, as in the base of the final stage: Python 3.13 of Debian 13.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/images/install.sh deploy/images/build.lock /images/
RUN /images/install.sh tools /opt/tools
# runtime-object-stores.lock adds the packages for a --bundle in S3, Google Cloud Storage or Azure.
ARG LOCK=runtime.lock
COPY deploy/images/${LOCK} /images/
RUN /images/install.sh packages /opt/headway "/images/${LOCK}"
COPY pyproject.toml README.md LICENSE /source/
COPY scaler /source/scaler
RUN /images/install.sh project /opt/headway /source \
    && /images/install.sh finish /opt/headway \
    && mkdir -p /data

FROM ${RUNTIME_BASE}
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG RUNTIME_BASE
LABEL org.opencontainers.image.title="Headway" \
      org.opencontainers.image.description="A KEDA external scaler that forecasts" \
      org.opencontainers.image.url="https://github.com/headway-dev/headway" \
      org.opencontainers.image.source="https://github.com/headway-dev/headway" \
      org.opencontainers.image.documentation="https://github.com/headway-dev/headway/blob/main/docs/images.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${RUNTIME_BASE}"
COPY --from=build /opt/headway /opt/headway
COPY --from=build --chown=65532:65532 /data /var/lib/headway
ENV PATH=/opt/headway/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEADWAY_DATA_DIR=/var/lib/headway
# The one folder that is written besides /tmp.
VOLUME /var/lib/headway
WORKDIR /var/lib/headway
USER 65532:65532
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
# Kubernetes ignores it: the chart has probes.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["headway"]
CMD ["serve"]
