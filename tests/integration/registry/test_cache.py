"""A pull-through cache: clipper-registry behind clipper-registry."""

import http.client
import http.server
import os
import threading

import pytest

from harness import wait_until
from registry.harness import digest, index
from registry.test_access import ALICE, passwords


@pytest.fixture
def remote(make_registry):
    return make_registry()


@pytest.fixture
def make_cache(make_registry, remote):
    def make(revalidate="0s", **more):
        return make_registry({"proxy": {"remote": f"http://{remote.host}", "revalidate": revalidate, **more}})
    return make


WARNING = '299 - "remote registry gave no answer, served from cache"'


def test_what_is_pulled_is_kept(remote, make_cache):
    cache = make_cache()
    layer = os.urandom(2 << 20)
    manifest = remote.push_image("team/app", "v1", layers=[layer])
    reply = cache.get("/v2/team/app/manifests/v1")
    assert (reply.status, reply.body) == (200, manifest) and "Warning" not in reply.headers
    head = cache.head(f"/v2/team/app/blobs/{digest(layer)}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(layer)))
    reply = cache.get(f"/v2/team/app/blobs/{digest(layer)}")
    assert reply.body == layer and reply.headers["Docker-Content-Digest"] == digest(layer)
    assert cache.get(f"/v2/team/app/blobs/{digest(b'{}')}").body == b"{}"
    wait_until(lambda: (cache.root / "blobs/sha256" / digest(layer).split(":")[1]).exists(), 10, "the blob in the cache")
    remote.kill()
    reply = cache.get("/v2/team/app/manifests/v1")
    assert (reply.status, reply.body, reply.headers["Warning"]) == (200, manifest, WARNING)
    assert cache.get(f"/v2/team/app/manifests/{digest(manifest)}").body == manifest
    assert cache.get(f"/v2/team/app/blobs/{digest(layer)}", {"Range": "bytes=5-9"}).body == layer[5:10]
    assert cache.get("/v2/team/app/tags/list").json["tags"] == ["v1"]
    assert cache.get("/v2/_catalog").json["repositories"] == ["team/app"]
    # What isn't here can't be had.
    assert cache.get("/v2/team/app/manifests/v2").status == 504
    assert cache.get(f"/v2/team/app/blobs/{digest(b'other')}").status == 504
    remote.start()
    assert "Warning" not in cache.get("/v2/team/app/manifests/v1").headers
    assert cache.get("/v2/team/app/manifests/v2").code == "MANIFEST_UNKNOWN"
    assert cache.get(f"/v2/team/app/blobs/{digest(b'other')}").code == "BLOB_UNKNOWN"


def test_a_tag_follows_the_remote(remote, make_cache):
    cache = make_cache()
    first = remote.push_image("r", "v1", layers=[b"1"])
    assert cache.get("/v2/r/manifests/v1").body == first
    second = remote.push_image("r", "v1", layers=[b"2"])
    assert cache.get("/v2/r/manifests/v1").body == second
    assert cache.get(f"/v2/r/manifests/{digest(first)}").body == first
    whole = index(first, second)
    assert remote.put_manifest("r", "all", whole).status == 201
    assert cache.get("/v2/r/manifests/all").body == whole
    assert cache.get("/v2/r/tags/list").json["tags"] == ["all", "v1"], "tags come from the remote"
    assert remote.delete("/v2/r/manifests/v1").status == 202
    assert cache.get("/v2/r/manifests/v1").code == "MANIFEST_UNKNOWN"


def test_a_tag_is_not_asked_for_again_at_once(remote, make_cache):
    cache = make_cache(revalidate="1h")
    first = remote.push_image("r", "v1", layers=[b"1"])
    assert cache.get("/v2/r/manifests/v1").body == first
    remote.push_image("r", "v1", layers=[b"2"])
    reply = cache.get("/v2/r/manifests/v1")
    assert reply.body == first and "Warning" not in reply.headers


def test_nothing_is_pushed_to_a_cache(remote, make_cache):
    cache = make_cache()
    for method, target in [("POST", "/v2/r/blobs/uploads/"), ("PUT", "/v2/r/manifests/v1"), ("DELETE", "/v2/r/manifests/v1")]:
        reply = cache.request(method, target, b"")
        assert (reply.status, reply.code) == (405, "UNSUPPORTED")


def test_many_clients_share_one_fetch(remote, make_cache):
    cache = make_cache()
    layer = os.urandom(8 << 20)
    remote.push_blob("r", layer)
    got = []
    threads = [threading.Thread(target=lambda: got.append(cache.get(f"/v2/r/blobs/{digest(layer)}").body == layer)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 10
    fetches = [line for line in remote.access_lines() if line["method"] == "GET" and "/blobs/" in line["target"]]
    assert len(fetches) == 1


def test_credentials_are_given_to_the_remote_only(make_registry, tmp_path):
    remote = make_registry({"htpasswd": {"file": passwords(tmp_path / "htpasswd", alice="wonder:land")}})
    found = remote.push_blob("r", b"x", auth=ALICE)
    (tmp_path / "password").write_text("wonder:land\n")
    proxy = {"remote": f"http://{remote.host}", "username": "alice", "passwordFile": str(tmp_path / "password")}
    assert make_registry({"proxy": proxy}).get(f"/v2/r/blobs/{found}").body == b"x"
    wrong = make_registry({"proxy": {"remote": f"http://{remote.host}", "username": "alice", "password": "x"}})
    assert wrong.get(f"/v2/r/blobs/{found}").status == 502


class Liar:
    """A registry whose blobs are not what they are called."""

    def __init__(self, content):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)
            do_HEAD = do_GET

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_nobody_gets_a_wrong_blob_whole(make_registry):
    liar = Liar(b"wrong content")
    try:
        cache = make_registry({"proxy": {"remote": f"http://127.0.0.1:{liar.server.server_address[1]}"}})
        wanted = digest(b"right content")
        with pytest.raises(http.client.IncompleteRead) as caught:
            cache.get(f"/v2/r/blobs/{wanted}")
        assert len(caught.value.partial) < len(b"wrong content"), "the last byte is held back"
        assert not (cache.root / "blobs/sha256" / wanted.split(":")[1]).exists()
        assert cache.get(f"/v2/r/manifests/{wanted}").status == 502
    finally:
        liar.server.shutdown()
        liar.server.server_close()
