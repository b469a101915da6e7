# The service in a container: docker build --tag lightfm-serve:0.1.0 .
# compose.yaml runs it on one machine, deploy/kuberay.yaml and deploy/cluster.yaml on many.

FROM python:3.11-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# LightFM is built from source, for the processor of this machine unless told otherwise; an image travels
ENV LIGHTFM_NO_CFLAGS=1
WORKDIR /build
# First what others wrote, which seldom changes. What was built of the empty packages must go: setuptools would keep
# it where it is younger than the files that are copied.
COPY pyproject.toml constraints.txt LICENSE ./
RUN mkdir recommender deployments lightfm_serve \
    && touch README.md recommender/__init__.py deployments/__init__.py lightfm_serve/__init__.py \
    && python -m pip install --no-cache-dir --prefix=/installed --constraint constraints.txt '.[batch,otlp,s3,signing]' \
    && rm -rf recommender deployments lightfm_serve build *.egg-info
COPY README.md ./
COPY recommender recommender
COPY deployments deployments
COPY lightfm_serve lightfm_serve
RUN python -m pip install --no-cache-dir --prefix=/installed --no-deps .

FROM python:3.11-slim
# libgomp1: LightFM's threads; wget: the probes that KubeRay makes
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 wget \
    && rm -rf /var/lib/apt/lists/*
# under /usr/local, so that ray and serve are on the PATH of every shell, KubeRay's included
COPY --from=build /installed /usr/local
# /tmp/ray is here so that a volume over it belongs to the user
RUN useradd --create-home --uid 1000 recommender \
    && mkdir --parents /state /tmp/ray \
    && chown recommender:recommender /state /tmp/ray
WORKDIR /app
COPY deployments/serve_config.yaml ./
# what is published leaves this machine; then the service answers nobody without a key
RUN sed --in-place 's/host: 127\.0\.0\.1 .*/host: 0.0.0.0/' serve_config.yaml
USER 1000:1000
# what `recommender serve` sets by itself; here it is for the nodes that KubeRay and Ray's launcher start. A test compares it
# with deployments/ray_runtime/environment.py.
ENV PYTHONUNBUFFERED=1 \
    RECOMMENDER_STATE_DIR=/state \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1 \
    RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S=30 \
    RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH=268435456 \
    RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=2 \
    RAY_SERVE_HAPROXY_BINARY_PATH=/usr/local/bin/recommender-haproxy \
    RAY_worker_niceness=0 \
    OMP_NUM_THREADS=1 \
    RAY_metrics_report_interval_ms=1000 \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_ENABLE_UV_RUN_RUNTIME_ENV=0
VOLUME ["/state"]
EXPOSE 8000
# the first start fetches data and trains; only then is a failure one
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["recommender", "serve", "serve_config.yaml"]
