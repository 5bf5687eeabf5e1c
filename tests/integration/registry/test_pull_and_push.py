"""Pulling and pushing (distribution-spec 1.1, "Pull" and "Push"), request by request."""

import http.client
import json
import os
import socket
import time

import pytest

from harness import wait_until
from registry.harness import CONFIG, IMAGE, INDEX, descriptor, digest, image, index

STORAGES = ["files", "s3"]
CONTENT = b"0123456789"


def test_the_base_says_what_it_is(registry):
    reply = registry.get("/v2/")
    assert (reply.status, reply.json, reply.headers["Docker-Distribution-Api-Version"]) == (200, {}, "registry/2.0")
    assert registry.get("/v1/").status == 404 and registry.get("/").status == 404


# Pull.

def test_a_blob_is_pulled_with_its_headers(registry, name):
    found = registry.push_blob(name, CONTENT)
    target = f"/v2/{name}/blobs/{found}"
    reply = registry.get(target)
    assert (reply.status, reply.body) == (200, CONTENT)
    head = registry.head(target)
    assert (head.status, head.body) == (200, b"")
    for answer in (reply, head):
        assert answer.headers["Content-Length"] == "10"
        assert answer.headers["Docker-Content-Digest"] == found
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Etag"] == f'"{found}"'


@pytest.mark.parametrize("asked, part, answered", [
    ("2-4", b"234", "2-4"), ("7-", b"789", "7-9"), ("-3", b"789", "7-9"), ("0-0", b"0", "0-0"), ("5-99", b"56789", "5-9"),
    ("-99", CONTENT, "0-9"),
])
def test_a_range_is_pulled(registry, asked, part, answered):
    target = f"/v2/test/ranges/blobs/{registry.push_blob('test/ranges', CONTENT)}"
    reply = registry.get(target, {"Range": f"bytes={asked}"})
    assert (reply.status, reply.body, reply.headers["Content-Range"]) == (206, part, f"bytes {answered}/10")
    assert reply.headers["Content-Length"] == str(len(part))


@pytest.mark.parametrize("asked", ["10-", "99-100", "5-4", "-0", "x-y"])
def test_a_range_outside_is_told_the_size(registry, asked):
    target = f"/v2/test/ranges/blobs/{registry.push_blob('test/ranges', CONTENT)}"
    reply = registry.get(target, {"Range": f"bytes={asked}"})
    assert (reply.status, reply.code, reply.headers["Content-Range"]) == (416, "RANGE_INVALID", "bytes */10")


def test_ranges_that_are_not_taken_give_the_whole(registry, name):
    found = registry.push_blob(name, CONTENT)
    target = f"/v2/{name}/blobs/{found}"
    assert registry.get(target, {"Range": "bytes=0-1,4-5"}).body == CONTENT
    assert registry.get(target, {"Range": "lines=0-1"}).body == CONTENT
    assert registry.get(target, {"Range": "bytes=0-1", "If-Range": '"other"'}).body == CONTENT
    assert registry.get(target, {"Range": "bytes=0-1", "If-Range": f'"{found}"'}).body == b"01"


def test_what_the_client_has_is_not_sent_again(registry, name):
    manifest = registry.push_image(name, "v1")
    for target, found in [(f"/v2/{name}/manifests/v1", digest(manifest)), (f"/v2/{name}/blobs/{digest(b'layer')}", digest(b"layer"))]:
        for given in [f'"{found}"', f'"x", W/"{found}"', "*"]:
            for method in ("GET", "HEAD"):
                reply = registry.request(method, target, headers={"If-None-Match": given})
                assert (reply.status, reply.body, reply.headers["Etag"]) == (304, b"", f'"{found}"')
        assert registry.get(target, {"If-None-Match": '"other"'}).status == 200


def test_megabytes_come_back_whole_and_in_parts(registry, name):
    content = os.urandom(5 << 20)
    target = f"/v2/{name}/blobs/{registry.push_blob(name, content)}"
    assert registry.get(target).body == content
    assert registry.get(target, {"Range": "bytes=1048570-4194310"}).body == content[1048570:4194311]


def test_a_manifest_is_pulled_by_tag_and_by_digest(registry, name):
    manifest = registry.push_image(name, "v1")
    for reference in ("v1", digest(manifest)):
        target = f"/v2/{name}/manifests/{reference}"
        reply, head = registry.get(target), registry.head(target)
        assert (reply.status, reply.body, head.status, head.body) == (200, manifest, 200, b"")
        for answer in (reply, head):
            assert answer.headers["Content-Type"] == IMAGE
            assert answer.headers["Docker-Content-Digest"] == digest(manifest)
            assert answer.headers["Content-Length"] == str(len(manifest))


# Push.

def test_post_then_put(registry, name):
    where = registry.start_upload(name)
    reply = registry.request("PUT", f"{where}?digest={digest(CONTENT)}", CONTENT)
    assert (reply.status, reply.headers["Location"]) == (201, f"/v2/{name}/blobs/{digest(CONTENT)}")
    assert registry.get(reply.headers["Location"]).body == CONTENT
    # Docker's clients send the bytes with PATCH, without saying where they lie, and end with an empty PUT.
    where = registry.start_upload(name)
    assert registry.request("PATCH", where, b"other").status == 202
    reply = registry.request("PUT", f"{where}?digest={digest(b'other')}", b"")
    assert reply.status == 201 and registry.get(reply.headers["Location"]).body == b"other"


def test_chunks_follow_each_other(registry, name):
    where = registry.start_upload(name)
    reply = registry.request("PATCH", where, b"01234", {"Content-Range": "0-4"})
    assert (reply.status, reply.headers["Range"], reply.headers["Location"]) == (202, "0-4", where)
    for wrong in ("0-4", "6-9", "nonsense"):
        reply = registry.request("PATCH", where, b"01234", {"Content-Range": wrong})
        assert (reply.status, reply.code) == (416, "BLOB_UPLOAD_INVALID"), wrong
    status = registry.get(where)
    assert (status.status, status.headers["Range"], status.headers["Docker-Upload-UUID"]) == (204, "0-4", where.rsplit("/", 1)[1])
    assert registry.request("PATCH", where, b"567", {"Content-Range": "5-7"}).status == 202
    reply = registry.request("PUT", f"{where}?digest={digest(CONTENT)}", b"89", {"Content-Range": "8-9"})
    assert reply.status == 201 and registry.get(reply.headers["Location"]).body == CONTENT
    assert registry.get(where).code == "BLOB_UPLOAD_UNKNOWN"


def test_a_chunk_has_the_size_it_says(registry, name):
    where = registry.start_upload(name)
    reply = registry.request("PATCH", where, b"012", {"Content-Range": "0-4"})
    assert (reply.status, reply.code) == (400, "SIZE_INVALID")
    # Nothing of it counts.
    assert registry.request("PATCH", where, b"01234", {"Content-Range": "0-4"}).status == 202


def test_a_body_that_breaks_off_is_kept_so_far(registry, name):
    where = registry.start_upload(name)
    with socket.create_connection(("127.0.0.1", registry.port)) as sock:
        sock.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123".encode())
    wait_until(lambda: registry.get(where).headers.get("Range") == "0-3", 10, "the first bytes")
    reply = registry.request("PUT", f"{where}?digest={digest(CONTENT)}", b"456789", {"Content-Range": "4-9"})
    assert reply.status == 201, reply


def test_one_request_at_a_time_works_on_an_upload(registry, name):
    where = registry.start_upload(name)
    with socket.create_connection(("127.0.0.1", registry.port)) as sock:
        sock.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123".encode())

        # It has to be there first: of two that come together either may be refused.
        time.sleep(0.5)

        def refused():
            reply = registry.request("PATCH", where, b"")
            return reply.status == 409 and reply
        assert wait_until(refused, 10, "a refusal").code == "BLOB_UPLOAD_INVALID"
        sock.sendall(b"456789")
        assert b" 202 " in sock.recv(4096).split(b"\r\n")[0]
    assert registry.request("PUT", f"{where}?digest={digest(CONTENT)}", b"").status == 201


def test_content_must_have_its_digest(registry, name):
    wrong = digest(b"something else")
    reply = registry.request("POST", f"/v2/{name}/blobs/uploads/?digest={wrong}", CONTENT)
    assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
    where = registry.start_upload(name)
    assert registry.request("PUT", f"{where}?digest={wrong}", CONTENT).code == "DIGEST_INVALID"
    assert registry.get(f"/v2/{name}/blobs/{wrong}").code == "BLOB_UNKNOWN"
    assert registry.get(where).code == "BLOB_UPLOAD_UNKNOWN", "the upload has ended"
    assert registry.request("PUT", registry.start_upload(name), CONTENT).code == "DIGEST_INVALID"


def test_an_upload_is_cancelled(registry, name):
    where = registry.start_upload(name)
    assert registry.request("PATCH", where, CONTENT).status == 202
    assert registry.delete(where).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert registry.request(method, where, b"x" if method == "PATCH" else None).code == "BLOB_UPLOAD_UNKNOWN"
    assert registry.request("PATCH", where.replace(name, "test/other"), CONTENT).code == "BLOB_UPLOAD_UNKNOWN"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_upload_goes_on_after_a_restart(make_registry, end):
    registry = make_registry()
    where = registry.start_upload("r", "?digest-algorithm=sha512")
    assert registry.request("PATCH", where, CONTENT[:6]).status == 202
    getattr(registry, end)()
    registry.start()
    assert registry.get(where).headers["Range"] == "0-5"
    assert registry.request("PATCH", where, b"x", {"Content-Range": "0-0"}).status == 416
    assert registry.request("PATCH", where, CONTENT[6:8], {"Content-Range": "6-7"}).status == 202
    found = digest(CONTENT, "sha512")
    assert registry.request("PUT", f"{where}?digest={found}", CONTENT[8:]).status == 201
    assert registry.get(f"/v2/r/blobs/{found}").body == CONTENT


def test_mounts(registry, name):
    found = registry.push_blob(f"{name}/source", os.urandom(100))
    target = f"/v2/{name}/target/blobs/uploads/?mount={found}"
    missing = digest(os.urandom(10))
    for query in (f"{target}&from={name}/nowhere", f"/v2/{name}/target/blobs/uploads/?mount={missing}&from={name}/source",
                  f"/v2/{name}/target/blobs/uploads/?mount={missing}"):
        reply = registry.request("POST", query, b"")
        assert reply.status == 202 and "/blobs/uploads/" in reply.headers["Location"], reply
    assert registry.head(f"/v2/{name}/target/blobs/{found}").status == 404
    reply = registry.request("POST", f"{target}&from={name}/source", b"")
    assert (reply.status, reply.headers["Location"]) == (201, f"/v2/{name}/target/blobs/{found}")
    assert registry.head(reply.headers["Location"]).status == 200
    # From any repository that has it.
    reply = registry.request("POST", target.replace("/target/", "/third/"), b"")
    assert reply.status == 201 and registry.head(f"/v2/{name}/third/blobs/{found}").status == 200
    # What is deleted in one stays in the others.
    assert registry.delete(f"/v2/{name}/source/blobs/{found}").status == 202
    assert registry.get(f"/v2/{name}/third/blobs/{found}").status == 200


def test_sha512(registry, name):
    layer, config = os.urandom(1000), b"{}"
    for content in (layer, config):
        registry.push_blob(name, content, "sha512")
    # The client says its algorithm only at the end.
    where = registry.start_upload(name)
    assert registry.request("PATCH", where, b"late").status == 202
    assert registry.request("PUT", f"{where}?digest={digest(b'late', 'sha512')}", b"").status == 201
    manifest = json.loads(image(config, [layer]))
    manifest["config"]["digest"], manifest["layers"][0]["digest"] = digest(config, "sha512"), digest(layer, "sha512")
    content = json.dumps(manifest).encode()
    reference = digest(content, "sha512")
    reply = registry.put_manifest(name, reference, content)
    assert (reply.status, reply.headers["Docker-Content-Digest"]) == (201, reference)
    assert registry.get(f"/v2/{name}/manifests/{reference}").body == content
    assert registry.get(f"/v2/{name}/blobs/{digest(layer, 'sha512')}").body == layer


def test_a_manifest_gets_tags(registry, name):
    first = registry.push_image(name, "v1")
    reply = registry.put_manifest(name, "v2", first)
    assert (reply.status, reply.headers["Location"], reply.headers["Docker-Content-Digest"]) == (
        201, f"/v2/{name}/manifests/v2", digest(first))
    reply = registry.put_manifest(name, f"{digest(first)}?tag=v3&tag=v4", first)
    assert reply.status == 201 and reply.headers.get_all("OCI-Tag") == ["v3", "v4"], reply
    assert registry.get(f"/v2/{name}/tags/list").json == {"name": name, "tags": ["v1", "v2", "v3", "v4"]}
    # A tag moves; what it named stays reachable by digest.
    second = registry.push_image(name, "v1", layers=[b"new"])
    assert registry.get(f"/v2/{name}/manifests/v1").body == second
    assert registry.get(f"/v2/{name}/manifests/{digest(first)}").body == first


def test_what_a_manifest_names_must_be_there(registry, name):
    registry.push_blob(name, b"{}")
    reply = registry.put_manifest(name, "v1", image(layers=[b"not pushed", b"nor this"]))
    assert (reply.status, reply.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert set(reply.json["errors"][0]["detail"]["digests"]) == {digest(b"not pushed"), digest(b"nor this")}
    reply = registry.put_manifest(name, "v1", index(b"not pushed"))
    assert (reply.status, reply.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert registry.get(f"/v2/{name}/manifests/v1").code == "MANIFEST_UNKNOWN"
    # A layer with addresses of its own is kept elsewhere.
    foreign = json.loads(image())
    foreign["layers"] = [descriptor(b"elsewhere", urls=["https://example.com/layer"])]
    assert registry.put_manifest(name, "v1", json.dumps(foreign).encode()).status == 201
    # A subject may come later.
    reply = registry.put_manifest(name, "v2", image(subject=descriptor(b"later", IMAGE)))
    assert (reply.status, reply.headers["OCI-Subject"]) == (201, digest(b"later"))


def test_indexes_name_manifests(registry, name):
    manifests = [registry.push_image(name, tag, layers=[tag.encode()]) for tag in ("a", "b")]
    whole = index(*manifests)
    assert registry.put_manifest(name, "all", whole).status == 201
    reply = registry.get(f"/v2/{name}/manifests/all")
    assert (reply.body, reply.headers["Content-Type"]) == (whole, INDEX)


DOCKER = "application/vnd.docker.distribution.manifest."


@pytest.mark.parametrize("content, media_type, reason", [
    (b"{", IMAGE, "invalid manifest"), (b"[]", IMAGE, "no JSON object"), (b'{"schemaVersion":1}', IMAGE, "schemaVersion must be 2"),
    (b'{"schemaVersion":1}', f"{DOCKER}v1+prettyjws", "schemaVersion must be 2"),
    (b'{"schemaVersion":2}', IMAGE, "no config or no layers"), (b'{"schemaVersion":2}', INDEX, "no manifests"),
    (b'{"schemaVersion":2}', "text/plain", "unsupported media type text/plain"),
    (image(), INDEX, "Content-Type application/vnd.oci.image.index.v1+json but mediaType application/vnd.oci.image.manifest.v1+json"),
    (b'{"schemaVersion":2,"config":{"digest":"sha256:12"},"layers":[]}', IMAGE, "sha256:12"),
    (b'{"schemaVersion":2,"manifests":[],"layers":[]}', INDEX, "an index with config or layers"),
])
def test_no_manifest_is_refused(registry, content, media_type, reason):
    reply = registry.put_manifest("test/bad", "v1", content, media_type)
    assert (reply.status, reply.code) == (400, "MANIFEST_INVALID") and reason in reply.json["errors"][0]["message"], reply


def test_dockers_own_media_types(registry, name):
    for content in (b"{}", b"layer"):
        registry.push_blob(name, content)
    manifest = json.loads(image(layers=[b"layer"]))
    manifest["mediaType"] = f"{DOCKER}v2+json"
    content = json.dumps(manifest).encode()
    assert registry.put_manifest(name, "v1", content).status == 201
    assert registry.get(f"/v2/{name}/manifests/v1").headers["Content-Type"] == f"{DOCKER}v2+json"
    several = {"schemaVersion": 2, "mediaType": f"{DOCKER}list.v2+json", "manifests": [descriptor(content, f"{DOCKER}v2+json")]}
    assert registry.put_manifest(name, "all", json.dumps(several).encode()).status == 201


def test_a_manifest_has_the_digest_it_is_put_under(registry, name):
    registry.push_image(name, "v1")
    reply = registry.put_manifest(name, digest(b"other"), image(layers=[b"layer"]))
    assert (reply.status, reply.code) == (400, "DIGEST_INVALID")


def test_a_manifest_is_at_most_four_mebibytes(registry, name):
    registry.push_image(name, "v1")
    bare = len(image(annotations={"a": ""}))
    limit = 4 << 20
    reply = registry.put_manifest(name, "large", image(annotations={"a": "x" * (limit - bare)}))
    assert reply.status == 201, reply
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
    connection.request("PUT", f"/v2/{name}/manifests/larger", image(annotations={"a": "x" * (limit - bare + 1)}), {"Content-Type": IMAGE})
    reply = connection.getresponse()
    assert (reply.status, json.loads(reply.read())["errors"][0]["code"]) == (413, "MANIFEST_INVALID")
    connection.close()


@pytest.mark.parametrize("method, target, status, code", [
    ("GET", "/v2/UPPER/tags/list", 400, "NAME_INVALID"), ("GET", "/v2/a..b/tags/list", 400, "NAME_INVALID"),
    ("GET", "/v2/-a/tags/list", 400, "NAME_INVALID"), ("GET", f"/v2/{'a' * 256}/tags/list", 400, "NAME_INVALID"),
    ("GET", "/v2/a/%2e%2e/%2e%2e/etc/tags/list", 400, "NAME_INVALID"), ("GET", "/v2/_layout/tags/list", 400, "NAME_INVALID"),
    ("GET", "/v2/a/manifests/.hidden", 400, "TAG_INVALID"), ("GET", f"/v2/a/manifests/{'t' * 129}", 400, "TAG_INVALID"),
    ("GET", "/v2/a/manifests/..%2f..%2findex.json", 400, "TAG_INVALID"),
    ("GET", "/v2/a/manifests/sha256:12", 400, "DIGEST_INVALID"), ("GET", "/v2/a/manifests/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
    ("GET", "/v2/a/blobs/latest", 400, "DIGEST_INVALID"), ("GET", "/v2/a/blobs/sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
    ("GET", "/v2/a/blobs/sha256:" + "0" * 64, 404, "BLOB_UNKNOWN"), ("GET", "/v2/a/manifests/none", 404, "MANIFEST_UNKNOWN"),
    ("GET", "/v2/nothing/here/tags/list", 404, "NAME_UNKNOWN"), ("GET", "/v2/a/blobs/uploads/nope", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("GET", "/v2/a/blobs/uploads/..%2f..%2fetc", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"),
    ("POST", "/v2/a/blobs/uploads/?mount=x", 400, "DIGEST_INVALID"), ("PATCH", "/v2/a/manifests/v1", 405, "UNSUPPORTED"),
    ("POST", "/v2/a/tags/list", 405, "UNSUPPORTED"), ("GET", "/v2/a/nonsense", 404, "UNSUPPORTED"),
])
def test_errors_have_the_specifications_codes(registry, method, target, status, code):
    reply = registry.request(method, target, b"" if method != "GET" else None)
    assert (reply.status, reply.code) == (status, code), reply
    assert reply.headers["Content-Type"] == "application/json" and reply.json["errors"][0]["message"]


def test_the_config_is_a_blob_like_others(registry, name):
    manifest = registry.push_image(name, "v1", config=b'{"architecture":"amd64"}')
    assert json.loads(manifest)["config"]["mediaType"] == CONFIG
    assert registry.get(f"/v2/{name}/blobs/{json.loads(manifest)['config']['digest']}").body == b'{"architecture":"amd64"}'
