# docker build -t streamer .                              for CPUs
# docker build -t streamer:gpu --build-arg DEVICE=gpu .   for NVIDIA GPUs: CUDA and cuDNN inside
# --build-arg RETRAINING=no: 300 MB less, for daemons and the page; `streamer retrain` needs these packages
#
# A release pins the base by digest: --build-arg BASE=python:3.13-slim-bookworm@sha256:…
# Packages are pinned by hash in requirements/. Models are mounted at /models or fetched, never baked in.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ARG DEVICE=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1
RUN python -m venv /opt/streamer
COPY requirements/build.txt requirements/image-${DEVICE}.txt /src/requirements/
RUN pip install --require-hashes -r /src/requirements/build.txt \
    && /opt/streamer/bin/pip install --no-deps --only-binary :all: \
        --require-hashes -r /src/requirements/image-${DEVICE}.txt
COPY . /src
ARG RETRAINING=yes
# Without the demo's models (they serve `streamer demo`, which brings a broker that an image lacks), pip, and
# the libraries' own tests. Byte code is compiled once, valid whatever the files' times: the root file system
# is read-only later. What is inside is listed as CycloneDX.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /src \
    && /opt/streamer/bin/pip install --no-deps /wheels/*.whl \
    && { [ "$RETRAINING" = yes ] || /opt/streamer/bin/pip uninstall --yes onnx ml-dtypes pyarrow scipy; } \
    && cyclonedx-py environment --output-reproducible --output-file /opt/streamer/sbom.cdx.json \
        /opt/streamer \
    && /opt/streamer/bin/pip uninstall --yes pip setuptools \
    && rm -rf /opt/streamer/lib/python3.*/site-packages/streamer/demo/models \
    && find /opt/streamer/lib -type d -name tests -path '*/site-packages/*' -prune -exec rm -rf {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/streamer/lib

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="streamer" \
      org.opencontainers.image.description="Kafka topics of images and texts in, predictions out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/streamer /opt/streamer
ENV PATH=/opt/streamer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/cache \
    HOME=/tmp \
    STREAMER_LOG__FORMAT=json \
    STREAMER_MODELS__DIR=/models
RUN useradd --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin streamer \
    && mkdir /models && install -d -o streamer -g streamer /cache
USER 65532:65532
WORKDIR /etc/streamer
EXPOSE 8080
# Kubernetes has probes of its own and passes this over.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m \
    CMD ["python", "-c", "import os, urllib.request as web; web.build_opener(web.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ.get(\"STREAMER_HTTP__PORT\", \"8080\")}/livez', timeout=3)"]
ENTRYPOINT ["streamer"]
CMD ["--help"]
