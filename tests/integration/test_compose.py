"""A project of two services with docker-compose 1.29 (Debian's), which speaks to the API by the Python SDK of its day."""

import os
import shutil
import subprocess
import urllib.request

import pytest

from harness import IMAGE, wait_until

PROJECT = f"""
version: "2.4"
services:
  web:
    build: {{context: ., args: {{GREETING: hello from the build}}}}
    ports: ["127.0.0.1::80"]
    environment: {{MODE: test}}
    depends_on: {{db: {{condition: service_healthy}}}}
    networks: [front, back]
    volumes: ["data:/data"]
    mem_limit: 32m
    restart: unless-stopped
  db:
    image: {IMAGE}
    command: ["sh", "-c", "mkdir -p /www; echo rows >/www/index.html; sleep 1; touch /ready; exec httpd -f -p 80 -h /www"]
    healthcheck: {{test: ["CMD", "test", "-e", "/ready"], interval: 200ms, timeout: 5s, retries: 50}}
    networks: {{back: {{aliases: [store]}}}}
networks: {{front: {{}}, back: {{internal: true}}}}
volumes: {{data: {{}}}}
"""

DOCKERFILE = f"""FROM {IMAGE}
ARG GREETING=none
RUN mkdir /www && echo $GREETING >/www/index.html
CMD ["sh", "-c", "wget -q -O /data/rows http://store/; echo started; exec httpd -f -p 80 -h /www"]
"""


@pytest.fixture
def compose(daemon, tmp_path, name):
    program = shutil.which("docker-compose")
    if not program:
        pytest.fail("docker-compose is missing: scripts/install-packages installs it")
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    project = "clptcompose" + str(os.getpid())
    environment = {**os.environ, "DOCKER_HOST": daemon.host, "COMPOSE_PROJECT_NAME": project, "COMPOSE_API_VERSION": "auto"}

    def run(*arguments, code=0):
        result = subprocess.run([program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90)
        assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
        return result.stdout
    try:
        yield run
    finally:
        subprocess.run([program, "down", "-v", "--rmi", "local", "-t", "0"], cwd=tmp_path, env=environment, capture_output=True, timeout=90)


def test_project(compose, clipper):
    compose("up", "-d")
    assert "(healthy)" in compose("ps")
    port = compose("port", "web", "80").strip()
    page = wait_until(lambda: fetch(port), what="the page")
    assert page == "hello from the build\n"
    assert compose("exec", "-T", "web", "cat", "/data/rows") == "rows\n"
    assert "started" in compose("logs", "web")
    compose("up", "-d", "--scale", "db=2")
    assert len(compose("ps", "-q", "db").split()) == 2
    assert compose("exec", "-T", "web", "sh", "-c", "nslookup store | grep -c ^Address").strip() == "3"
    compose("stop", "-t", "0", "web")
    compose("start", "web")
    compose("restart", "-t", "0", "web")
    assert wait_until(lambda: fetch(compose("port", "web", "80").strip())) == page
    compose("exec", "-T", "web", "sh", "-c", "exit 7", code=7)
    assert compose("run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "echo $MODE") == "test\n"
    compose("down", "-v", "-t", "0")
    assert compose("ps", "-q") == ""


def fetch(address):
    try:
        return urllib.request.urlopen(f"http://{address}/", timeout=2).read().decode()
    except OSError:
        return None
