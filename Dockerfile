# The base image. If it cannot be pulled, `inv build` passes one made from Debian packages.
ARG BASE=python:3.14-slim@sha256:a2b82f3c48559aa0a8446d9af49826b6e2b2016f4cd2afabfe6013ec53729170

FROM ${BASE} AS packages
LABEL app.kubernetes.io/managed-by=simple-server-tasks
COPY requirements/server.txt /
RUN python3 -m venv /installer \
    && /installer/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
        --only-binary=:all: --require-hashes --target=/app -r /server.txt

FROM packages AS root
LABEL app.kubernetes.io/managed-by=simple-server-tasks
COPY images/app/assemble.py /
RUN python3 /assemble.py /root-file-system /app

FROM scratch
ARG BASE
LABEL app.kubernetes.io/managed-by=simple-server-tasks \
    org.opencontainers.image.title=simple-server \
    org.opencontainers.image.description="A small web server that counts the requests it has served" \
    org.opencontainers.image.licenses=MIT \
    org.opencontainers.image.base.name=${BASE}
COPY --from=root /root-file-system /
WORKDIR /app
ENV PATH=/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python3", "-m", "simple_server", "--host=0.0.0.0"]

ARG BUILD_ID=source
# What an edit changes comes last: each of these steps is one more for every build
COPY simple_server /app/simple_server
ENV BUILD_ID=${BUILD_ID}
