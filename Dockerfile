# avatar-relay in a container. Build: docker build -t avatar-relay .
# Run: docker run --env-file .env --read-only --tmpfs /tmp -p 8080:8080 -v avatar-relay:/data avatar-relay
# tests/packaging/test_dockerfile.py runs these steps without Docker; deploy/README.md says more.

# The full image, for `strip`; nothing of it but the environment gets into the second stage.
FROM python:3.12.13-bookworm AS build
# `image` has Discord, Slack and PostgreSQL; `run` has LiveKit and voice too, and takes 163 MB more: 78 MB of them are PyAV, which encodes rooms.
ARG LOCK=image
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements requirements
# Wheels carry debug symbols that nobody reads here: 29 MB. The libraries of numpy do not survive `strip`.
RUN python -m venv --without-pip /opt/avatar-relay \
    && pip --python /opt/avatar-relay/bin/python install --no-compile --require-hashes -r "requirements/$LOCK.lock" \
    && find /opt/avatar-relay -type f -name '*.so*' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
# After the dependencies, so that a change of the code does not install them again.
COPY pyproject.toml README.md LICENSE THIRD_PARTY_NOTICES.md ./
COPY bot bot
COPY adapters adapters
COPY migrations migrations
RUN pip --python /opt/avatar-relay/bin/python install --no-compile --no-deps .

FROM python:3.12.13-slim-bookworm
RUN install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/avatar-relay /opt/avatar-relay
ENV PATH=/opt/avatar-relay/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATABASE_URL=sqlite:////data/avatar-relay.sqlite3 \
    WEB_HOST=0.0.0.0 \
    WEB_PORT=8080
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"WEB_PORT\"]}/healthz', timeout=4)"]
# On SIGTERM the bot closes every open avatar and waits for the provider to confirm: give it `docker stop --time 30`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["avatar-relay"]
CMD ["run"]
