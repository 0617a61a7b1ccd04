# The scaler with the training package: trains, evaluates and publishes bundles. Build it from the root of the repository:
#   docker build --file deploy/images/training.Dockerfile --tag headway-training .

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
COPY deploy/images/training.lock deploy/images/torch.lock /images/
RUN /images/install.sh packages /opt/headway /images/training.lock
# torch comes from the index that has its CPU build: the default one brings several GB of CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN /images/install.sh torch /opt/headway /images/torch.lock "${TORCH_INDEX}"
COPY pyproject.toml README.md LICENSE /source/
COPY scaler /source/scaler
COPY training /source/training
RUN /images/install.sh project /opt/headway /source \
    && /images/install.sh finish /opt/headway \
    && mkdir -p /data

FROM ${RUNTIME_BASE}
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG RUNTIME_BASE
LABEL org.opencontainers.image.title="Headway training" \
      org.opencontainers.image.description="Trains, evaluates and publishes the models of Headway" \
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
# Caches of matplotlib and numba go to the folder that is writable.
ENV PATH=/opt/headway/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba
VOLUME /var/lib/headway
WORKDIR /var/lib/headway
USER 65532:65532
STOPSIGNAL SIGTERM
# A job: it ends by itself.
HEALTHCHECK NONE
ENTRYPOINT ["headway"]
CMD ["--help"]
