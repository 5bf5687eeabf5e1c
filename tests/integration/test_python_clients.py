"""Clients that people write tests and tools with, unmodified from PyPI: testcontainers, python-on-whales, aiodocker."""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import textwrap
import urllib.request

import pytest
from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException, NoSuchContainer

from conftest import PROGRAMS
from harness import IMAGE, wait_until


def tar_of(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


# testcontainers reads its settings and finds its daemon when it is imported: each test is a program of its own.

def in_testcontainers(daemon, tmp_path, program):
    text = f"IMAGE = {IMAGE!r}\nHERE = {str(tmp_path)!r}\n" + textwrap.dedent(program)
    environment = {
        "PATH": "/usr/bin:/bin", "DOCKER_HOST": daemon.host, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path),
        # Its reaper would be an image from a registry.
        "TESTCONTAINERS_RYUK_DISABLED": "true", "TC_POOLING_INTERVAL": "0.05", "TC_MAX_TRIES": "400",
        # The daemon is a socket of this machine: published ports are at this address.
        "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
    }
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", text], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_testcontainers_waits_for_what_a_container_does(daemon, tmp_path):
    out = in_testcontainers(daemon, tmp_path, """
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.wait_strategies import (
            ExecWaitStrategy, FileExistsWaitStrategy, HealthcheckWaitStrategy, HttpWaitStrategy, LogMessageWaitStrategy, PortWaitStrategy)
        import urllib.request
        script = "echo starting; mkdir /www; echo page >/www/index.html; sleep 0.5; touch /ready; echo now ready; exec httpd -f -p 80 -h /www"
        for wait in (LogMessageWaitStrategy("now ready"), PortWaitStrategy(80), HttpWaitStrategy(80),
                     ExecWaitStrategy(["test", "-e", "/ready"])):
            with DockerContainer(IMAGE).with_command(["sh", "-c", script]).with_exposed_ports(80).waiting_for(wait) as container:
                url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(80)}/"
                print(type(wait).__name__, "ready" in container.get_logs()[0].decode())
                if not isinstance(wait, ExecWaitStrategy):
                    print(urllib.request.urlopen(url, timeout=5).read().decode().strip())
        check = {"test": ["CMD", "test", "-e", "/ready"], "interval": 100000000, "retries": 50}
        with DockerContainer(IMAGE, healthcheck=check).with_command(["sh", "-c", script]).waiting_for(HealthcheckWaitStrategy()) as container:
            print(container.get_wrapped_container().attrs["Config"]["Healthcheck"]["Test"])
    """)
    assert out.count("page") == 3 and "['CMD', 'test', '-e', '/ready']" in out


def test_testcontainers_runs_commands_and_joins_networks(daemon, tmp_path):
    out = in_testcontainers(daemon, tmp_path, """
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.network import Network
        from testcontainers.core.transferable import Transferable
        with Network() as network:
            server = DockerContainer(IMAGE).with_command("httpd -f -p 80 -h /etc").with_network(network).with_network_aliases("server")
            client = (DockerContainer(IMAGE).with_command("sleep 1000").with_network(network).with_env("MODE", "test")
                      .with_volume_mapping(HERE, "/here", "rw"))
            with server, client:
                result = client.exec(["sh", "-c", "wget -q -O - http://server/os-release; echo $MODE; echo err >&2; exit 3"])
                print(result.exit_code, result.output.decode())
                print(client.exec("touch /here/made").exit_code)
    """)
    assert out.startswith("3 ") and "Clipper base" in out and "test" in out and "err" in out
    assert (tmp_path / "made").exists()


def test_testcontainers_builds_an_image(daemon, tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image/Dockerfile").write_text(f"FROM {IMAGE}\nARG WORD=none\nRUN echo $WORD >/word\nCMD cat /word\n")
    out = in_testcontainers(daemon, tmp_path, """
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.image import DockerImage
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy
        with DockerImage(path=HERE + "/image", tag="clpt-tc:1", buildargs={"WORD": "built"}) as image:
            with DockerContainer(str(image)).waiting_for(LogMessageWaitStrategy("built")) as container:
                print(container.get_logs())
    """)
    assert "built" in out
    assert daemon.request("GET", "/images/clpt-tc:1/json")[0] == 404


@pytest.fixture(params=sorted(PROGRAMS))
def whales(request, daemon, tmp_path):
    """python-on-whales runs a command line client: each in turn, Clipper's among them."""
    return DockerClient(host=daemon.host, config=str(tmp_path), client_call=[PROGRAMS[request.param]])


def test_python_on_whales_runs_containers(whales, name, tmp_path):
    assert whales.run(IMAGE, ["echo", "hello"], remove=True) == "hello"
    with whales.run(IMAGE, ["sh", "-c", "echo begun; sleep 1000"], name=name, detach=True, labels={"made": "by whales"}) as container:
        wait_until(lambda: "begun" in whales.logs(container), what="the log")
        assert container.state.running and container.config.labels["made"] == "by whales"
        assert [c.name for c in whales.ps(filters={"label": "made=by whales"})] == [name]
        assert container.execute(["sh", "-c", "echo $0 inside"]) == "sh inside"
        (tmp_path / "file").write_text("copied\n")
        container.copy_to(tmp_path / "file", "/tmp/file")
        assert container.execute(["cat", "/tmp/file"]) == "copied"
        container.copy_from("/tmp/file", tmp_path / "back")
        assert (tmp_path / "back").read_text() == "copied\n"
        assert {str(k): v for k, v in whales.container.diff(container).items()}["/tmp/file"] == "A"
        container.pause()
        assert whales.container.inspect(name).state.paused
        container.unpause()
        container.rename(f"{name}-new")
        container.reload()
        assert container.name == f"{name}-new"
        container.stop(time=0)
        assert whales.container.inspect(container.id).state.status == "exited"
    with pytest.raises(NoSuchContainer):
        whales.container.inspect(name)
    with pytest.raises(DockerException) as error:
        whales.run(IMAGE, ["sh", "-c", "exit 7"], remove=True)
    assert error.value.return_code == 7


def test_python_on_whales_manages_objects(whales, name):
    volume = whales.volume.create(name, labels={"kind": "test"})
    assert [v.name for v in whales.volume.list(filters={"label": "kind=test"})] == [name]
    network = whales.network.create(name)
    assert whales.network.inspect(name).driver == "bridge"
    container = whales.create(IMAGE, ["true"], volumes=[(volume, "/data")], networks=[network])
    assert container.mounts[0].name == name and name in container.network_settings.networks
    container.start()
    assert whales.wait(container) == 0
    container.remove()
    network.remove()
    volume.remove()
    whales.tag(IMAGE, f"{name}:1")
    assert f"{name}:1" in whales.image.inspect(f"{name}:1").repo_tags
    whales.image.remove(f"{name}:1")
    assert whales.system.info().os_type == "linux"


def test_aiodocker(daemon, name, tmp_path):
    import aiodocker

    async def everything():
        docker = aiodocker.Docker(url=f"unix://{daemon.socket}")
        try:
            assert (await docker.version())["Os"] == "linux"
            events = docker.events.subscribe(create_task=True)
            config = {"Image": IMAGE, "Cmd": ["sh", "-c", "read line; echo got $line; sleep 1000"], "OpenStdin": True,
                      "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}}
            container = await docker.containers.create(config, name=name)
            async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
                await container.start()
                await stream.write_in(b"a line\n")
                message = await asyncio.wait_for(stream.read_out(), 20)
                assert message.data == b"got a line\n"
            await container.show()
            assert await container.port(80)
            execution = await container.exec(["sh", "-c", "echo out; exit 4"])
            async with execution.start() as stream:
                assert (await stream.read_out()).data == b"out\n"
                assert await stream.read_out() is None
            assert (await execution.inspect())["ExitCode"] == 4
            await container.put_archive("/tmp", tar_of(file=b"content"))
            assert (await container.get_archive("/tmp/file")).extractfile("file").read() == b"content"
            assert await container.log(stdout=True) == ["got a line\n"]
            async for sample in container.stats(stream=True):
                assert sample["pids_stats"]["current"] >= 1
                break
            await container.kill(signal="SIGTERM")
            await container.kill(signal="SIGKILL")
            assert (await container.wait())["StatusCode"] in (137, 143)
            await container.delete(force=True)
            seen = []
            while "destroy" not in seen:
                event = await asyncio.wait_for(events.get(), 20)
                if event["Type"] == "container" and event["Actor"]["ID"] == container.id:
                    seen.append(event["Action"])
            # Whether it hears of the creation depends on when its subscription has begun.
            assert [a for a in seen if a in ("start", "die", "destroy")] == ["start", "die", "destroy"]
            lines = await docker.images.build(
                fileobj=io.BytesIO(tar_of(Dockerfile=f"FROM {IMAGE}\nRUN echo x >/x\n".encode())), encoding="identity", tag=f"{name}:1")
            assert any("Successfully tagged" in line.get("stream", "") for line in lines)
            assert (await docker.images.inspect(f"{name}:1"))["Os"] == "linux"
            await docker.images.delete(f"{name}:1")
            volume = await docker.volumes.create({"Name": name})
            assert (await volume.show())["Driver"] == "local"
            await volume.delete()
            network = await docker.networks.create({"Name": name})
            assert (await network.show())["Name"] == name
            await network.delete()
            with pytest.raises(aiodocker.DockerError) as error:
                await docker.containers.get("nosuch-container")
            assert error.value.status == 404
        finally:
            await docker.close()

    asyncio.run(everything())
