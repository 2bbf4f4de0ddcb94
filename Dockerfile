# One image for web, worker, dispatcher, watchdog and migrate: the argument says which (see compose.yaml).

FROM python:3.13-slim AS build
ENV PREFIX=/opt/invoicing TOOLS=/opt/tools PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
WORKDIR /build
COPY deploy/image.sh deploy/
COPY requirements/registry.sh requirements/build.lock requirements/image.lock requirements/
RUN sh deploy/image.sh dependencies
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY migrations migrations
COPY src src
RUN sh deploy/image.sh project

FROM python:3.13-slim
LABEL org.opencontainers.image.title="invoicing" \
      org.opencontainers.image.description="Asynchronous e-invoice and back-office job service" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin invoicing
COPY --from=build /opt/invoicing /opt/invoicing
ENV PATH=/opt/invoicing/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    INVOICING_HOST=0.0.0.0 \
    INVOICING_PORT=8000 \
    INVOICING_HOME=/tmp/invoicing
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
# Every process drains on SIGTERM: web answers what it accepted, a worker hands its attempts back.
STOPSIGNAL SIGTERM
# For web, the default. The others have no port; compose.yaml says how they are watched.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"INVOICING_PORT\"]}/readyz', timeout=2)"]
ENTRYPOINT ["invoicing"]
CMD ["web"]
