# avatar-relay in a container. Build: docker build -t avatar-relay .
# Run: docker run --env-file .env -p 8080:8080 -v avatar-relay:/data avatar-relay

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/avatar-relay
WORKDIR /src
COPY requirements/run.lock requirements/run.lock
RUN /opt/avatar-relay/bin/pip install --require-hashes -r requirements/run.lock
# After the dependencies, so that a change of the code does not install them again.
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY adapters adapters
COPY migrations migrations
RUN /opt/avatar-relay/bin/pip install --no-deps .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /data relay \
    && install --directory --owner relay --group relay --mode 0700 /data
COPY --from=build /opt/avatar-relay /opt/avatar-relay
ENV PATH=/opt/avatar-relay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATABASE_URL=sqlite:////data/avatar-relay.sqlite3 \
    WEB_HOST=0.0.0.0 \
    WEB_PORT=8080
USER relay
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"WEB_PORT\"]}/healthz', timeout=4)"]
# On SIGTERM the bot closes every open avatar and waits for the provider to confirm: give it `docker stop --time 30`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["avatar-relay"]
CMD ["run"]
