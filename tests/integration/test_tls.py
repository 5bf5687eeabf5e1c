"""The API over TCP with mutual TLS: every client, attached streams, and what is said when a certificate does not fit."""

import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading

import docker
import pytest

from conftest import PROGRAMS, import_base
from harness import IMAGE, Daemon, clear, free_port, wait_until


def openssl(directory, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=directory, check=True, capture_output=True)


def authority(directory):
    openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")


def certificate(directory, name, extensions):
    openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (directory / f"{name}.ext").write_text(extensions)
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-extfile", f"{name}.ext", "-out", f"{name}-cert.pem")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A daemon behind mutual TLS, and the directory of a client's ca.pem, cert.pem and key.pem (DOCKER_CERT_PATH)."""
    files = tmp_path_factory.mktemp("tls")
    authority(files)
    certificate(files, "server", "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
    certificate(files, "client", "extendedKeyUsage=clientAuth\n")
    shutil.copy(files / "client-cert.pem", files / "cert.pem")
    shutil.copy(files / "client-key.pem", files / "key.pem")
    daemon = Daemon(f"clptls{os.getpid()}")
    port = free_port()
    daemon.options += ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", str(files / "ca.pem"),
                       "--tlscert", str(files / "server-cert.pem"), "--tlskey", str(files / "server-key.pem")]
    daemon.tcp, daemon.files = f"tcp://127.0.0.1:{port}", files
    try:
        daemon.start()
        import_base(daemon)
        yield daemon
    finally:
        clear(daemon)
        daemon.remove()


def test_a_client_that_is_silent_is_asked_whether_it_is_there(tls):
    """One that attached to a container which says nothing may have gone long ago: its descriptors are to be let go of."""
    port = int(tls.tcp.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        ends = f"0100007F:{port:04X} 0100007F:{client.getsockname()[1]:04X} "

        def timer():
            """tcp(5)'s `tr:tm->when` of the daemon's end: 02 is the keepalive timer, `when` hundredths of a second."""
            lines = [line for line in pathlib.Path("/proc/net/tcp").read_text().splitlines() if ends in line]
            return lines and lines[0].split()[5].split(":")
        kind, when = wait_until(lambda: (timer() or [""])[0] == "02" and timer())
        assert kind == "02" and int(when, 16) <= 1500


def call(tls, program, *arguments, files=None, input=b""):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CLIPPER_"))}
    environment |= {"DOCKER_HOST": tls.tcp, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files or tls.files),
                    "DOCKER_CONFIG": str(tls.scratch / "client")}
    return subprocess.run([PROGRAMS[program], *arguments], env=environment, input=input, capture_output=True, timeout=60)


CLIENTS = sorted(PROGRAMS)
DOCKERS = sorted(name for name in PROGRAMS if name.startswith("docker"))


@pytest.mark.parametrize("program", CLIENTS)
def test_streams_go_both_ways_and_half_close(tls, program):
    assert call(tls, program, "version").returncode == 0
    text = os.urandom(3 << 20)
    done = call(tls, program, "run", "--rm", "-i", IMAGE, "cat", input=text)
    assert done.returncode == 0 and done.stdout == text, done.stderr
    done = call(tls, program, "run", "--rm", "-i", IMAGE, "sh", "-c", "wc -c; echo end >&2; exit 3", input=text)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (3, str(len(text)).encode(), b"end")
    identifier = call(tls, program, "run", "-d", IMAGE, "sleep", "1000").stdout.decode().strip()
    done = call(tls, program, "exec", "-i", identifier, "md5sum", input=b"hello")
    assert done.stdout.startswith(b"5d41402abc4b2a76b9719d911017c592"), done
    assert call(tls, program, "rm", "-f", identifier).returncode == 0


def test_the_sdk_comes_in(tls, monkeypatch):
    # requests takes these before what it is told.
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    material = docker.tls.TLSConfig(
        client_cert=(str(tls.files / "cert.pem"), str(tls.files / "key.pem")), ca_cert=str(tls.files / "ca.pem"), verify=True)
    client = docker.DockerClient(base_url=tls.tcp, tls=material, version="auto")
    assert client.containers.run(IMAGE, ["echo", "hello"], remove=True) == b"hello\n"
    client.close()


@pytest.mark.parametrize("program", CLIENTS)
def test_strangers_stay_outside_and_hear_why(tls, program, tmp_path):
    authority(tmp_path)
    certificate(tmp_path, "client", "extendedKeyUsage=clientAuth\n")
    shutil.copy(tmp_path / "client-cert.pem", tmp_path / "cert.pem")
    shutil.copy(tmp_path / "client-key.pem", tmp_path / "key.pem")
    shutil.copy(tls.files / "ca.pem", tmp_path / "ca.pem")
    done = call(tls, program, "ps", files=tmp_path)
    # Go's words for the alert, and OpenSSL's.
    assert done.returncode == 1 and (b"unknown certificate authority" in done.stderr or b"alert unknown ca" in done.stderr), done.stderr
    mark = tls.log.stat().st_size
    url = tls.tcp.replace("tcp://", "https://")
    done = subprocess.run(["curl", "-sS", "--cacert", tls.files / "ca.pem", f"{url}/_ping"], capture_output=True, text=True)
    assert done.returncode != 0 and "certificate required" in done.stderr
    wait_until(lambda: "TLS handshake error" in tls.log_tail(mark), 5, "a word in the log")
    done = subprocess.run(["curl", "-sS", url.replace("https", "http") + "/_ping"], capture_output=True, text=True)
    assert "Client sent an HTTP request to an HTTPS server." in done.stdout


def clipper(tls, *arguments, **environment):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CLIPPER_"))}
    environment = {**inherited, "DOCKER_CONFIG": str(tls.scratch / "client"), **environment}
    return subprocess.run([PROGRAMS["clipper"], *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60)


def test_flags_of_the_client(tls, tmp_path):
    files = ["--tlscacert", tls.files / "ca.pem", "--tlscert", tls.files / "cert.pem", "--tlskey", tls.files / "key.pem"]
    assert clipper(tls, "-H", tls.tcp, "--tlsverify", *files, "ps").returncode == 0
    assert clipper(tls, "-H", tls.tcp.replace("127.0.0.1", "localhost"), "--tlsverify", *files, "ps").returncode == 0
    # A server of another authority, and one whose certificate is for another name.
    authority(tmp_path)
    done = clipper(tls, "-H", tls.tcp, "--tlsverify", "--tlscacert", tmp_path / "ca.pem", *files[2:], "ps")
    assert done.returncode == 1 and "failed to verify the certificate of 127.0.0.1: " in done.stderr
    certificate(tls.files, "other", "subjectAltName=DNS:other\nextendedKeyUsage=serverAuth\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.files / "other-cert.pem", tls.files / "other-key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(listener.accept()[0], server_side=True)

        server = threading.Thread(target=serve)
        server.start()
        done = clipper(tls, "-H", f"tcp://127.0.0.1:{listener.getsockname()[1]}", "--tlsverify", *files, "ps")
        server.join()
    assert done.returncode == 1 and "failed to verify the certificate of 127.0.0.1: IP address mismatch" in done.stderr
    # Without verification anybody's certificate will do, also none.
    assert clipper(tls, "-H", tls.tcp, "--tls", *files[2:], "ps").returncode == 0
    done = clipper(tls, "-H", tls.tcp, "--tlsverify", "--tlscacert", "/none.pem", "ps")
    assert done.returncode == 1 and "open /none.pem: no such file or directory" in done.stderr
    done = clipper(tls, "-H", tls.tcp, "ps")
    assert done.returncode == 1 and "HTTPS server" in done.stderr


def test_output_of_the_client_ends_with_it(tls):
    """The child that speaks TLS holds nothing open that others wait for."""
    environment = {**os.environ, "DOCKER_HOST": tls.tcp, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tls.files)}
    done = subprocess.run(f"{PROGRAMS['clipper']} info 2>&1 | cat", shell=True, env=environment, capture_output=True, timeout=20)
    assert b"Server Version" in done.stdout


@pytest.mark.skipif(not DOCKERS, reason="no docker client")
def test_a_context_with_tls_files(tls):
    settings = f"host={tls.tcp},ca={tls.files}/ca.pem,cert={tls.files}/cert.pem,key={tls.files}/key.pem"
    environment = {**os.environ, "DOCKER_CONFIG": str(tls.scratch / "client")}
    environment.pop("DOCKER_HOST", None)
    subprocess.run([PROGRAMS[DOCKERS[0]], "context", "create", "secure", "--docker", settings], env=environment, check=True, capture_output=True)
    done = clipper(tls, "--context", "secure", "version", "--format", "{{.Server.Version}}")
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
