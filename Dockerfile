# syntax=docker/dockerfile:1
# makima-relay as a container image; see docs/container.md.
#
#   docker build --tag makima-relay .
#
# All that is installed is in requirements.lock, with its hash; of Debian's packages there are those of the base image.
# Name that by its digest (--build-arg PYTHON=python:3.13-slim@sha256:...), and the same comes out each time.
ARG PYTHON=python:3.13-slim

# ------------------------------------------------------------------------------------------------ what it is made of
FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
# By itself, so that a change of the source fetches nothing.
COPY requirements.lock ./
RUN python -m venv /opt/makima-relay && \
    /opt/makima-relay/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY LICENSE README.md pyproject.toml setup.py ./
COPY twisted twisted
COPY makima_relay makima_relay
# Nothing is fetched here: setuptools, which builds the package, is locked as well. Twisted writes down now which plugins
# there are, because later it may not. What builds and installs is left out in the end.
RUN /opt/makima-relay/bin/pip install --no-deps --no-build-isolation --no-index . && \
    /opt/makima-relay/bin/twistd --help >/dev/null && \
    /opt/makima-relay/bin/pip uninstall --yes setuptools pip

# --------------------------------------------------------------------------------------------------- what it becomes
FROM ${PYTHON}
COPY --from=build /opt/makima-relay /opt/makima-relay
# A user by number, so that an orchestrator can tell that it is not root. It owns its data, and nothing else.
RUN install -d -m 0700 -o 10001 -g 10001 /data
ENV PATH=/opt/makima-relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAKIMA_RELAY_DATABASE=/data/makima-relay.sqlite3 \
    MAKIMA_RELAY_LISTEN=tcp:8787
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8787
# The relay ends within 4 s, with status 0.
STOPSIGNAL SIGTERM
# By no proxy, whatever variables for other programs name one.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as To; to = To('127.0.0.1', 8787, timeout=4); to.request('GET', '/livez'); exit(to.getresponse().status != 200)"]
# No PID file: there is one process, and it may write to its data alone.
ENTRYPOINT ["twistd", "--nodaemon", "--pidfile=", "makima-relay"]
