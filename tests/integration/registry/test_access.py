"""Who gets in, and who may do what: passwords, tokens, access rules, TLS and client certificates."""

import base64
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import bcrypt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness import wait_until
from registry.harness import unverified
from test_tls import authority, certificate


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ALICE, BOB = basic("alice", "wonder:land"), basic("bob", "b")


def passwords(path, **users):
    """Writes what `htpasswd -B` writes."""
    path.write_text("".join(
        f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(5, b'2a')).decode().replace('$2a$', '$2y$')}\n"
        for user, password in users.items()))
    return str(path)


# Passwords.

def test_passwords(make_registry, tmp_path):
    file = passwords(tmp_path / "htpasswd", alice="wonder:land")
    registry = make_registry({"htpasswd": {"file": file, "realm": "Wonderland"}})
    for target in ("/v2/", "/v2/a/tags/list", "/v2/_catalog"):
        reply = registry.get(target)
        assert (reply.status, reply.code, reply.headers["WWW-Authenticate"]) == (401, "UNAUTHORIZED", 'Basic realm="Wonderland"')
    for wrong in (basic("alice", "x"), basic("mallory", "wonder:land"), BOB, "Basic !", "Bearer x"):
        assert registry.get("/v2/", auth=wrong).status == 401, wrong
    assert registry.get("/v2/", auth=ALICE).status == 200
    assert registry.get("/v2/", auth=ALICE.replace("Basic", "bASIC")).status == 200
    found = registry.push_blob("a", b"x", auth=ALICE)
    assert registry.get(f"/v2/a/blobs/{found}", auth=ALICE).body == b"x" and registry.get(f"/v2/a/blobs/{found}").status == 401
    # The file is read again when it has changed; who has been let in by a password that is no longer right stays outside.
    passwords(tmp_path / "htpasswd", bob="b", alice="changed")
    assert registry.get("/v2/", auth=BOB).status == 200
    assert registry.get("/v2/", auth=ALICE).status == 401 and registry.get("/v2/", auth=basic("alice", "changed")).status == 200
    assert "wonder" not in registry.log() and registry.access_lines()[-1]["user"] == "alice"


def test_access_rules(make_registry, tmp_path):
    registry = make_registry({
        "htpasswd": {"file": passwords(tmp_path / "htpasswd", alice="wonder:land", bob="b"), "challengeBase": False},
        "access": [
            {"repositories": ["public/**"], "users": ["anonymous"], "actions": ["pull"]},
            {"repositories": ["*/shared"], "users": ["*"], "actions": ["pull", "push"]},
            {"users": ["alice"], "actions": ["pull", "push", "delete"]},
        ]})
    registry.push_blob("public/deep/er", b"x", auth=ALICE)
    manifests = {}
    for name in ("public/app", "team/shared", "private"):
        registry.push_blob(name, b"{}", auth=ALICE)
        manifests[name] = registry.put_manifest(name, "v1", b'{"schemaVersion":2,"config":{"digest":"sha256:'
            b'44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}',
            "application/vnd.oci.image.manifest.v1+json", auth=ALICE)
        assert manifests[name].status == 201

    def may(method, name, auth):
        """Status of pulling ("GET"), pushing ("POST") or deleting."""
        if method == "POST":
            return registry.request("POST", f"/v2/{name}/blobs/uploads/", b"", auth=auth).status
        if method == "DELETE":
            return registry.delete(f"/v2/{name}/manifests/none", auth=auth).status
        return registry.get(f"/v2/{name}/tags/list", auth=auth).status

    assert registry.get("/v2/").status == 200, "challengeBase is off"
    expected = {
        ("public/app", None): (200, 401, 401), ("public/app", BOB): (200, 403, 403), ("public/app", ALICE): (200, 202, 404),
        ("team/shared", None): (401, 401, 401), ("team/shared", BOB): (200, 202, 403), ("a/team/shared", BOB): (403, 403, 403),
        ("private", None): (401, 401, 401), ("private", BOB): (403, 403, 403), ("private", ALICE): (200, 202, 404),
    }
    assert {key: tuple(may(method, *key) for method in ("GET", "POST", "DELETE")) for key in expected} == expected
    assert registry.get("/v2/private/tags/list", auth=BOB).code == "DENIED"
    # The catalog shows what one may pull.
    for auth, names in [(None, ["public/app"]), (BOB, ["public/app", "team/shared"]), (ALICE, ["private", "public/app", "team/shared"])]:
        assert registry.get("/v2/_catalog", auth=auth).json["repositories"] == names
    # Nor does a mount reveal what one may not read.
    blob = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    for query, status in [(f"?mount={blob}&from=private", 202), (f"?mount={blob}&from=public/app", 201)]:
        assert registry.request("POST", f"/v2/bobs/shared/blobs/uploads/{query}", b"", auth=BOB).status == status


def test_rules_without_authentication(make_registry):
    registry = make_registry({"access": [{"users": ["anonymous"], "actions": ["pull"]}]})
    assert registry.get("/v2/_catalog").status == 200
    reply = registry.request("POST", "/v2/a/blobs/uploads/", b"")
    assert (reply.status, reply.code) == (403, "DENIED")


# Tokens.

def encode(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A key pair, and JSON Web Tokens by it (RFC 7515, 7518)."""

    def __init__(self, algorithm):
        self.algorithm = algorithm
        self.hash = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[2:]]()
        if algorithm.startswith("RS"):
            self.key = rsa.generate_private_key(65537, 2048)
        else:
            self.key = ec.generate_private_key({"256": ec.SECP256R1, "384": ec.SECP384R1, "512": ec.SECP521R1}[algorithm[2:]]())

    def pem(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def jwk(self, identifier):
        numbers = self.key.public_key().public_numbers()

        def number(value, size=None):
            return encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))
        if self.algorithm.startswith("RS"):
            return {"kty": "RSA", "kid": identifier, "n": number(numbers.n), "e": number(numbers.e)}
        size = (self.key.curve.key_size + 7) // 8
        return {"kty": "EC", "kid": identifier, "crv": f"P-{self.key.curve.key_size}", "x": number(numbers.x, size), "y": number(numbers.y, size)}

    def token(self, header=None, **claims):
        now = int(time.time())
        claims = {"iss": "the issuer", "aud": "the service", "sub": "alice", "exp": now + 300, "nbf": now, "access": [], **claims}
        signed = f"{encode({'typ': 'JWT', 'alg': self.algorithm, **(header or {})})}.{encode(claims)}"
        if self.algorithm.startswith("RS"):
            signature = self.key.sign(signed.encode(), padding.PKCS1v15(), self.hash)
        else:
            size = (self.key.curve.key_size + 7) // 8
            signature = b"".join(n.to_bytes(size, "big") for n in decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(self.hash))))
        return f"{signed}.{encode(signature)}"


def grant(name, *actions):
    return {"type": "repository", "name": name, "actions": list(actions)}


def token_configuration(tmp_path, *signers, **more):
    for number, signer in enumerate(signers):
        (tmp_path / f"{number}.pem").write_bytes(signer.pem())
    return {"token": {"realm": "http://127.0.0.1:1/token", "service": "the service", "issuer": "the issuer",
                      "publicKeys": [str(tmp_path / f"{number}.pem") for number in range(len(signers))], **more}}


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "ES256", "ES384", "ES512"])
def test_tokens_are_taken(make_registry, tmp_path, algorithm):
    signer = Signer(algorithm)
    registry = make_registry(token_configuration(tmp_path, Signer("ES256"), signer))
    reply = registry.get("/v2/")
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="http://127.0.0.1:1/token",service="the service"')
    reply = registry.request("POST", "/v2/a/b/blobs/uploads/", b"")
    assert reply.headers["WWW-Authenticate"].endswith(',scope="repository:a/b:pull,push"')
    push = "Bearer " + signer.token(access=[grant("a/b", "pull", "push")])
    found = registry.push_blob("a/b", b"x", auth=push)
    pull = "Bearer " + signer.token(access=[grant("a/b", "pull")])
    assert registry.get(f"/v2/a/b/blobs/{found}", auth=pull).body == b"x"
    reply = registry.request("POST", "/v2/a/b/blobs/uploads/", b"", auth=pull)
    assert reply.status == 401 and 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    assert registry.get("/v2/a/c/tags/list", auth=pull).status == 401
    assert registry.get("/v2/_catalog", auth=pull).status == 401
    catalog = "Bearer " + signer.token(access=[{"type": "registry", "name": "catalog", "actions": ["*"]}])
    assert registry.get("/v2/_catalog", auth=catalog).status == 200


def test_tokens_that_do_not_hold_are_refused(make_registry, tmp_path):
    signer, stranger = Signer("ES256"), Signer("ES256")
    registry = make_registry(token_configuration(tmp_path, signer))
    now, access = int(time.time()), [grant("a", "pull")]

    def status(token):
        reply = registry.get("/v2/a/tags/list", auth=f"Bearer {token}")
        assert reply.status != 401 or 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
        return reply.status
    good = signer.token(access=access)
    assert status(good) == 404 and status(signer.token(access=access, aud=["other", "the service"])) == 404
    head, body, signature = good.split(".")
    forged = f"{encode({'alg': 'none'})}.{body}."
    other = encode({**json.loads(base64.urlsafe_b64decode(body + "==")), "sub": "mallory"})
    for bad in [
        stranger.token(access=access), forged, f"{head}.{other}.{signature}", f"{head}.{body}.", f"{head}.{body}", "x",
        signer.token({"alg": "RS256"}, access=access), signer.token({"crit": ["exp"]}, access=access),
        signer.token(access=access, iss="mallory"), signer.token(access=access, aud="other"), signer.token(access=access, aud=None),
        signer.token(access=access, exp=now - 61), signer.token(access=access, exp=None), signer.token(access=access, nbf=now + 100),
    ]:
        assert status(bad) == 401, bad
    # Clocks may differ by a minute.
    assert status(signer.token(access=access, exp=now - 30)) == 404 and status(signer.token(access=access, nbf=now + 30)) == 404


def test_a_key_set_names_its_keys(make_registry, tmp_path):
    signers = {"one": Signer("RS256"), "two": Signer("ES256")}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [signer.jwk(name) for name, signer in signers.items()]}))
    registry = make_registry({"token": {"realm": "http://x/", "service": "the service", "jwks": str(tmp_path / "jwks.json")}})
    for name, signer in signers.items():
        for header, status in [({"kid": name}, 404), ({}, 404), ({"kid": "two" if name == "one" else "one"}, 401)]:
            token = signer.token(header, access=[grant("a", "pull")])
            assert registry.get("/v2/a/tags/list", auth=f"Bearer {token}").status == status, (name, header)


class TokenServer:
    """Docker's token endpoint: a token for what Basic credentials may have of the scopes asked for."""

    def __init__(self, signer):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                asked.append((query, self.headers.get("Authorization")))
                access = []
                for scope in query.get("scope", []):
                    kind, name, actions = scope.split(":")
                    access.append({"type": kind, "name": name, "actions": actions.split(",")})
                if self.headers.get("Authorization") != ALICE:
                    access = [{**entry, "actions": [a for a in entry["actions"] if a == "pull"]} for entry in access]
                body = json.dumps({"token": signer.token(access=access)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_real_client_gets_its_token_and_pushes(make_registry, tmp_path, algorithm):
    signer = Signer(algorithm)
    server = TokenServer(signer)
    try:
        registry = make_registry(token_configuration(tmp_path, signer, realm=server.realm))
        layout = tmp_path / "layout"
        seed = make_registry()
        manifest = seed.push_image("seed", "v1", layers=[os.urandom(1000)])
        subprocess.run(["cp", "-r", seed.root / "repositories/seed/_layout", layout], check=True)
        policy = tmp_path / "policy.json"
        policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')

        def copy(*words):
            return subprocess.run(["skopeo", "--policy", policy, "copy", "--preserve-digests", *words], capture_output=True, text=True, timeout=60)
        target = f"docker://{registry.host}/team/app:v1"
        done = copy("--dest-tls-verify=false", f"oci:{layout}:v1", target)
        assert done.returncode != 0, "anonymous may not push"
        done = copy("--dest-tls-verify=false", "--dest-creds", "alice:wonder:land", f"oci:{layout}:v1", target)
        assert done.returncode == 0, done.stderr
        done = copy("--src-tls-verify=false", target, f"oci:{tmp_path / 'back'}:v1")
        assert done.returncode == 0, done.stderr
        token = signer.token(access=[grant("team/app", "pull")])
        assert registry.get("/v2/team/app/manifests/v1", auth=f"Bearer {token}").body == manifest
        assert any("push" in scope for query, _ in server.asked for scope in query.get("scope", []))
    finally:
        server.close()


# TLS.

@pytest.fixture
def authorities(tmp_path):
    authority(tmp_path)
    certificate(tmp_path, "server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    certificate(tmp_path, "client", "extendedKeyUsage=clientAuth\n")
    return tmp_path


def trusting(files):
    return ssl.create_default_context(cafile=str(files / "ca.pem"))


def test_tls(make_registry, authorities):
    registry = make_registry({"tls": {"certificate": str(authorities / "server-cert.pem"), "key": str(authorities / "server-key.pem")}})
    content = os.urandom(3 << 20)
    found = registry.push_blob("a", content, tls=trusting(authorities))
    assert registry.get(f"/v2/a/blobs/{found}", tls=trusting(authorities)).body == content
    assert registry.get(f"/v2/a/blobs/{found}", {"Range": "bytes=1000000-2999999"}, tls=trusting(authorities)).body == content[1000000:3000000]
    with pytest.raises(ssl.SSLCertVerificationError):
        registry.get("/v2/", tls=ssl.create_default_context())
    assert registry.request("GET", "/v2/").status == 400, "HTTP to an HTTPS port"


def test_client_certificates(make_registry, authorities, tmp_path_factory):
    registry = make_registry({"tls": {
        "certificate": str(authorities / "server-cert.pem"), "key": str(authorities / "server-key.pem"),
        "clientAuthorities": str(authorities / "ca.pem")}})
    known = trusting(authorities)
    known.load_cert_chain(authorities / "client-cert.pem", authorities / "client-key.pem")
    assert registry.get("/v2/", tls=known).status == 200
    elsewhere = tmp_path_factory.mktemp("strangers")
    authority(elsewhere)
    certificate(elsewhere, "client", "extendedKeyUsage=clientAuth\n")
    stranger = trusting(authorities)
    stranger.load_cert_chain(elsewhere / "client-cert.pem", elsewhere / "client-key.pem")
    for context in (trusting(authorities), stranger):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            registry.get("/v2/", tls=context)


def test_certificates_are_read_anew_on_sighup(make_registry, authorities):
    registry = make_registry({"tls": {"certificate": str(authorities / "server-cert.pem"), "key": str(authorities / "server-key.pem")}})

    def serial():
        with socket_to(registry) as sock:
            return sock.getpeercert(binary_form=True)

    def socket_to(registry):
        return unverified().wrap_socket(socket.create_connection(("127.0.0.1", registry.port), 10))
    before = serial()
    open_connection = registry.connection(unverified())
    open_connection.request("GET", "/v2/")
    assert open_connection.getresponse().read() == b"{}"
    certificate(authorities, "server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    assert serial() == before
    registry.process.send_signal(signal.SIGHUP)
    wait_until(lambda: serial() != before, 10, "the new certificate")
    open_connection.request("GET", "/v2/")
    assert open_connection.getresponse().read() == b"{}", "a connection that was open goes on"
    open_connection.close()
    # What can't be read changes nothing.
    now = serial()
    (authorities / "server-cert.pem").write_text("nonsense")
    registry.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "certificates stay as they are" in registry.log(), 10, "a word in the log")
    assert serial() == now
