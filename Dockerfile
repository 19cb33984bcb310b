# docker build -t streamer .                       for CPUs
# docker build -t streamer:gpu --build-arg DEVICE=gpu .   for NVIDIA GPUs: CUDA and cuDNN inside
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG DEVICE=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/streamer
COPY requirements/build.txt requirements/image-${DEVICE}.txt /src/requirements/
RUN pip install --require-hashes -r /src/requirements/build.txt \
    && /opt/streamer/bin/pip install --no-deps --only-binary :all: \
        --require-hashes -r /src/requirements/image-${DEVICE}.txt
COPY . /src
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /src \
    && /opt/streamer/bin/pip install --no-deps /wheels/*.whl \
    && /opt/streamer/bin/pip uninstall --yes pip

FROM python:${PYTHON}-slim
COPY --from=build /opt/streamer /opt/streamer
ENV PATH=/opt/streamer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STREAMER_LOG__FORMAT=json \
    STREAMER_MODELS__DIR=/models
RUN mkdir /models && useradd --uid 65532 --no-create-home --shell /usr/sbin/nologin streamer
USER 65532
WORKDIR /etc/streamer
EXPOSE 8080
ENTRYPOINT ["streamer"]
CMD ["--help"]
