# The service as an image: locked packages, no compiler, no root.
# Build: docker build --tag tallystick .      Run it with docker-compose.yml.

FROM python:3.13-slim AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tallystick
ENV PATH=/opt/tallystick/bin:$PATH
# The packages first: they change less often than the code, and their layer is kept.
COPY requirements/run.txt requirements/run.txt
RUN pip install --no-deps --require-hashes --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY examples examples
COPY src src
RUN pip install --no-deps --no-build-isolation . && pip check

FROM python:3.13-slim
# Statements show Chinese, Japanese and Korean names in it (docs/exports.md).
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-droid-fallback \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 tallystick \
    && useradd --uid 10001 --gid tallystick --no-create-home --home-dir /var/lib/tallystick \
        --shell /usr/sbin/nologin tallystick \
    && install --directory --owner tallystick --group tallystick --mode 0700 /var/lib/tallystick
COPY --from=build /opt/tallystick /opt/tallystick
ENV PATH=/opt/tallystick/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TALLYSTICK_STATE_DIRECTORY=/var/lib/tallystick \
    TALLYSTICK_HOST=0.0.0.0 \
    TALLYSTICK_PORT=8000
USER tallystick
WORKDIR /var/lib/tallystick
# Signing keys and exports: keep it, and keep it to yourself.
VOLUME /var/lib/tallystick
EXPOSE 8000
# SIGTERM lets requests that are under way finish.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"TALLYSTICK_PORT\"]}/readyz', timeout=4)"]
ENTRYPOINT ["tallystick"]
CMD ["serve"]
