"""Storage in a bucket, where it differs from storage in files. The protocol's own tests run on both (STORAGES)."""

import json
import os
import shutil
import subprocess
import time

import boto3

from harness import BIN, wait_until
from registry.harness import BucketService, digest, image, index, scratch_directory


def hexadecimal(content):
    return digest(content).split(":")[1]


def test_what_lies_in_the_bucket(make_registry, bucket_service):
    registry = make_registry(bucket_service.configuration("layout", prefix="a/b"))
    layer = os.urandom(1000)
    manifest = registry.push_image("team/app", "v1", layers=[layer])
    registry.push_image("team/app/sub", "v1", layers=[layer])
    expected = {f"a/b/blobs/sha256/{hexadecimal(content)}": len(content) for content in (layer, b"{}", manifest)}
    for name in ("team/app", "team/app/sub"):
        expected |= {f"a/b/links/{name}/_/sha256/{hexadecimal(content)}": 0 for content in (layer, b"{}", manifest)}
        expected |= {f"a/b/names/{name}/_": 0, f"a/b/indexes/{name}/_index.json": None}
    found = bucket_service.keys("layout")
    assert {key: None if expected.get(key, 0) is None else size for key, size in found.items()} == expected
    document = json.loads(bucket_service.content("layout", "a/b/indexes/team/app/_index.json"))
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in document["manifests"]] == ["v1"]


def test_a_new_server_finds_it_all(make_registry, bucket_service):
    registry = make_registry(bucket_service.configuration("again"))
    manifest = registry.push_image("r", "v1")
    registry.kill()
    shutil.rmtree(registry.root)
    registry.start()
    assert registry.get("/v2/r/manifests/v1").body == manifest
    assert registry.get(f"/v2/r/blobs/{digest(b'layer')}").body == b"layer"
    assert registry.get("/v2/_catalog").json == {"repositories": ["r"]}


def test_large_blobs_go_in_parts(make_registry, bucket_service):
    registry = make_registry(bucket_service.configuration("parts", part=5 << 20))
    for size in (5 << 20, (5 << 20) + 1, 23 << 20):
        content = os.urandom(size)
        found = registry.push_blob("r", content)
        reply = registry.get(f"/v2/r/blobs/{found}")
        assert reply.body == content and reply.headers["Content-Length"] == str(size)
        assert registry.get(f"/v2/r/blobs/{found}", {"Range": f"bytes={size - 10}-"}).body == content[-10:]
        assert registry.get(f"/v2/r/blobs/{found}", {"Range": "bytes=3000000-5000000"}).body == content[3000000:5000001]
    assert bucket_service.uploads("parts") == []
    # Many pages of a list.
    names = [f"r{number:04}" for number in range(12)]
    for name in names:
        registry.push_image(name, "v1")
    assert registry.get("/v2/_catalog").json["repositories"] == names
    parts = [key for key in bucket_service.keys("parts") if key.startswith("blobs/")]
    assert len(parts) == 3 + 3


def test_collection(make_registry, bucket_service):
    registry = make_registry(bucket_service.configuration("garbage", part=5 << 20))
    unused, shared = os.urandom(5000), os.urandom(300)
    registry.push_blob("r", unused)
    old = registry.push_image("r", "moved", layers=[b"old"])
    registry.push_image("r", "moved", layers=[shared])
    registry.push_image("other", "v1", layers=[shared])
    inside = registry.push_image("r", "tmp", layers=[b"inside"])
    assert registry.put_manifest("r", "all", index(inside)).status == 201
    registry.delete("/v2/r/manifests/tmp")
    assert registry.collect("--untagged") == "0 manifests, 0 blobs, 0 uploads, 0 bytes", "all is young"
    # An upload of parts that broke off with its server; moto says of each that it began in 2010.
    bucket_service.client.create_multipart_upload(Bucket="garbage", Key="blobs/sha256/" + "0" * 64)
    time.sleep(1.1)  # A bucket counts in seconds.
    said = registry.collect("--grace", "0", "--untagged", "--dry-run")
    assert said.startswith("1 manifests, ") and len(bucket_service.uploads("garbage")) == 1
    said = registry.collect("--grace", "0", "--untagged")
    assert said.startswith("1 manifests, ") and int(said.split()[-2]) == len(unused) + len(old) + len(b"old")
    for gone in (unused, b"old"):
        assert registry.get(f"/v2/r/blobs/{digest(gone)}").status == 404
    assert registry.get(f"/v2/r/manifests/{digest(inside)}").status == 200
    assert registry.get(f"/v2/other/blobs/{digest(shared)}").body == shared
    pool = {key for key in bucket_service.keys("garbage") if key.startswith("blobs/")}
    assert not pool & {f"blobs/sha256/{hexadecimal(gone)}" for gone in (unused, old, b"old")}
    assert bucket_service.uploads("garbage") == []


def start(configuration, tmp_path, environment=None):
    """Starts a registry that is to fail; what it says."""
    (tmp_path / "registry.yaml").write_text(json.dumps(configuration))
    done = subprocess.run(
        [BIN / "clipper-registry", "serve", "--config", tmp_path / "registry.yaml", "--root", tmp_path / "root", "--address", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], **(environment or {})})
    assert done.returncode == 1
    return done.stderr


def test_a_bucket_that_cannot_be_used_is_told_at_the_start(bucket_service, tmp_path):
    s3 = bucket_service.configuration("there")["s3"]
    assert "NoSuchBucket" in start({"s3": {**s3, "bucket": "nowhere"}}, tmp_path)
    assert "127.0.0.1:1" in start({"s3": {**s3, "endpoint": "http://127.0.0.1:1"}}, tmp_path)
    assert "s3.accessKey is missing, and AWS_ACCESS_KEY_ID" in start({"s3": {k: v for k, v in s3.items() if "Key" not in k}}, tmp_path)
    assert "s3.endpoint must be http://HOST[:PORT]" in start({"s3": {**s3, "endpoint": "s3.example.com"}}, tmp_path)
    assert "s3.part must be a number from 5242880" in start({"s3": {**s3, "part": 1}}, tmp_path)
    assert "s3.secretKey or s3.secretKeyFile is missing" in start({"s3": {k: v for k, v in s3.items() if k != "secretKey"}}, tmp_path)


def test_a_service_that_goes_away(make_registry):
    service = BucketService(scratch_directory("away"))
    try:
        registry = make_registry(service.configuration("bucket"))
        found = registry.push_blob("r", b"x")
        service.stop()
        for reply in (registry.get(f"/v2/r/blobs/{found}"), registry.get("/v2/r/manifests/v1"),
                      registry.request("POST", f"/v2/r/blobs/uploads/?digest={digest(b'y')}", b"y")):
            assert (reply.status, reply.code) == (503, "UNKNOWN") and "storage" in reply.json["errors"][0]["message"]
        assert registry.get("/v2/").status == 200 and "request failed" in registry.log()
    finally:
        service.remove()


def test_signatures_hold(make_registry, tmp_path, monkeypatch):
    """A service that looks at signatures and rights: only who has the secret gets in, from the file or the environment."""
    service = BucketService(scratch_directory("signed"))
    try:
        options = {"endpoint_url": service.endpoint, "region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        iam = boto3.client("iam", **options)
        iam.create_user(UserName="registry")
        keys = iam.create_access_key(UserName="registry")["AccessKey"]
        iam.put_user_policy(UserName="registry", PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))
        s3 = service.configuration("odd.bucket", prefix="plain", region="eu-west-1", part=5 << 20)["s3"]
        s3 |= {"accessKey": keys["AccessKeyId"], "secretKey": keys["SecretAccessKey"]}
        assert service.request("POST", "/moto-api/reset-auth", "0")[0] == 200
        assert "SignatureDoesNotMatch" in start({"s3": {**s3, "secretKey": "wrong"}}, tmp_path)
        assert "InvalidAccessKeyId" in start({"s3": {**s3, "accessKey": "nobody"}}, tmp_path)
        registry = make_registry({"s3": s3})
        content = os.urandom(11 << 20)
        found = registry.push_blob("r", content)
        manifest = registry.push_image("r", "v1")
        assert registry.get(f"/v2/r/blobs/{found}").body == content
        registry.stop()
        del s3["accessKey"], s3["secretKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
        registry.configuration = {"s3": s3}
        registry.start()
        assert registry.get("/v2/r/manifests/v1").body == manifest
        # No lists: moto computes the signature of a query from its decoded form. The examples of Amazon's own reference are
        # among the unit tests.
        assert registry.delete(f"/v2/r/manifests/{digest(manifest)}").status == 202
    finally:
        service.remove()


def test_it_can_be_a_cache(make_registry, bucket_service):
    remote = make_registry()
    manifest = remote.push_image("r", "v1", layers=[b"cached"])
    cache = make_registry({**bucket_service.configuration("cache"), "proxy": {"remote": f"http://{remote.host}"}})
    assert cache.get("/v2/r/manifests/v1").body == manifest and cache.get(f"/v2/r/blobs/{digest(b'cached')}").body == b"cached"
    wait_until(lambda: f"links/r/_/sha256/{hexadecimal(b'cached')}" in bucket_service.keys("cache"), 10, "the blob in the bucket")
    remote.kill()
    assert cache.get(f"/v2/r/blobs/{digest(b'cached')}").body == b"cached"


def test_uploads_go_on_after_a_kill(make_registry, bucket_service):
    registry = make_registry(bucket_service.configuration("flying"))
    where = registry.start_upload("r")
    assert registry.request("PATCH", where, b"01234").status == 202
    registry.kill()
    registry.start()
    assert registry.request("PUT", f"{where}?digest={digest(b'0123456789')}", b"56789").status == 201
    assert registry.put_manifest("r", "v1", image(b"0123456789")).status == 201
