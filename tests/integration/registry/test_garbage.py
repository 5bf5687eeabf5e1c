"""Garbage collection, above all what it must not take: while the server serves, and while somebody pushes."""

import json
import os
import threading
import time

import pytest

from harness import wait_until
from registry.harness import IMAGE, descriptor, digest, image, index


def age(registry, seconds=7200):
    """Makes everything under the root older."""
    then = time.time() - seconds
    for directory, _, files in os.walk(registry.root):
        for file in files:
            os.utime(os.path.join(directory, file), (then, then))


def content(registry, name):
    """The digests of all that lies in a repository."""
    blobs = registry.root / f"repositories/{name}/_layout/blobs"
    return {f"{algorithm.name}:{file.name}" for algorithm in blobs.iterdir() for file in algorithm.iterdir()}


def test_what_no_manifest_names_goes(make_registry):
    registry = make_registry()
    manifest = registry.push_image("r", "v1", layers=[b"used"])
    unused = registry.push_blob("r", b"unused")
    young = registry.push_blob("other", b"unused in another repository")
    assert registry.collect() == "0 manifests, 0 blobs, 0 uploads, 0 bytes"
    age(registry)
    assert registry.push_blob("other", b"unused in another repository") == young, "pushed again, it is young"
    assert registry.collect("--dry-run") == "0 manifests, 1 blobs, 0 uploads, 6 bytes"
    assert registry.get(f"/v2/r/blobs/{unused}").status == 200
    assert registry.collect() == "0 manifests, 1 blobs, 0 uploads, 6 bytes"
    assert registry.get(f"/v2/r/blobs/{unused}").status == 404 and registry.get(f"/v2/other/blobs/{young}").status == 200
    assert content(registry, "r") == {digest(c) for c in (manifest, b"used", b"{}")}
    assert not (registry.root / "blobs/sha256" / unused.split(":")[1]).exists(), "nor does the pool keep it"


def test_equal_content_is_stored_once_and_kept_while_one_needs_it(make_registry):
    registry = make_registry()
    layer = os.urandom(1 << 20)
    registry.push_image("a", "v1", layers=[layer])
    manifest = registry.push_image("b", "v1", layers=[layer])
    hexadecimal = digest(layer).split(":")[1]
    paths = [registry.root / f"repositories/{name}/_layout/blobs/sha256/{hexadecimal}" for name in "ab"]
    assert len({path.stat().st_ino for path in [*paths, registry.root / "blobs/sha256" / hexadecimal]}) == 1
    assert registry.delete(f"/v2/b/manifests/{digest(manifest)}").status == 202
    age(registry)
    # The layer in b goes, its bytes stay for a.
    said = registry.collect()
    assert said.startswith("0 manifests, 3 blobs, 0 uploads, ") and int(said.split()[-2]) < len(layer)
    assert registry.get(f"/v2/a/blobs/{digest(layer)}").body == layer and registry.get(f"/v2/b/blobs/{digest(layer)}").status == 404


def test_untagged_manifests_go_on_request(make_registry):
    registry = make_registry()
    old = registry.push_image("r", "moved", layers=[b"old"])
    registry.push_image("r", "moved", layers=[b"new"])
    inside = registry.push_image("r", "tmp", layers=[b"inside"])
    assert registry.put_manifest("r", "all", index(inside)).status == 201
    assert registry.delete("/v2/r/manifests/tmp").status == 202
    signature = image(subject=descriptor(inside, IMAGE))
    orphan = image(subject=descriptor(old, IMAGE))
    for referrer in (signature, orphan):
        assert registry.put_manifest("r", digest(referrer), referrer).status == 201
    age(registry)
    assert registry.collect().startswith("0 manifests, 0 blobs"), "not by itself"
    assert registry.collect("--untagged", "--dry-run").startswith("2 manifests, ")
    assert registry.collect("--untagged").startswith("2 manifests, ")
    for gone in (old, orphan):
        assert registry.get(f"/v2/r/manifests/{digest(gone)}").status == 404
        assert digest(gone) not in content(registry, "r")
    assert registry.get(f"/v2/r/blobs/{digest(b'old')}").status == 404
    for kept in (inside, signature):
        assert registry.get(f"/v2/r/manifests/{digest(kept)}").status == 200
    assert registry.get(f"/v2/r/blobs/{digest(b'inside')}").status == 200


def test_a_push_that_finds_its_blobs_keeps_them(make_registry):
    """Everything is old and unused when the push begins; it asks for one blob, mounts another, and the collector runs."""
    registry = make_registry()
    for name, blob in [("r", b"asked for"), ("r", b"{}"), ("elsewhere", b"mounted"), ("r", b"forgotten")]:
        registry.push_blob(name, blob)
    age(registry)
    for found in (b"asked for", b"{}"):
        assert registry.head(f"/v2/r/blobs/{digest(found)}").status == 200
    assert registry.request("POST", f"/v2/r/blobs/uploads/?mount={digest(b'mounted')}&from=elsewhere", b"").status == 201
    assert registry.collect().startswith("0 manifests, 1 blobs")
    assert registry.put_manifest("r", "v1", image(layers=[b"asked for", b"mounted"])).status == 201
    assert registry.get(f"/v2/r/blobs/{digest(b'forgotten')}").status == 404


def test_an_upload_in_flight_survives_and_one_forgotten_does_not(make_registry):
    registry = make_registry()
    flying, forgotten = registry.start_upload("r"), registry.start_upload("r")
    for where in (flying, forgotten):
        assert registry.request("PATCH", where, b"01234").status == 202
    then = time.time() - 2 * 86_400
    os.utime(registry.root / "uploads" / forgotten.rsplit("/", 1)[1] / "data", (then, then))
    registry.kill()
    registry.start()
    assert registry.collect("--grace", "0") == "0 manifests, 0 blobs, 1 uploads, 0 bytes"
    assert registry.get(forgotten).status == 404
    assert registry.request("PUT", f"{flying}?digest={digest(b'0123456789')}", b"56789").status == 201


def test_the_server_collects_by_itself(make_registry):
    registry = make_registry({"garbageCollection": {"interval": "1s", "grace": "1s", "uploads": "60s", "untagged": True}, "metrics": True})
    unused = registry.push_blob("r", b"unused")
    registry.push_image("r", "v1")
    wait_until(lambda: registry.get(f"/v2/r/blobs/{unused}").status == 404, 20, "the collection")
    assert registry.get("/v2/r/manifests/v1").status == 200
    assert "clipper_registry_collections_total" in registry.get("/metrics").body.decode()


@pytest.mark.parametrize("beside", [False, True], ids=["inside", "beside"])
def test_collecting_while_pushing_loses_nothing(make_registry, beside):
    """Many pushes that share old blobs, more at once than the server has threads, and a collector that runs all the time with a
    short grace."""
    registry = make_registry({"garbageCollection": {"interval": "0" if beside else "1s", "grace": "2s"}})
    shared = [os.urandom(2000) for _ in range(4)]
    stop = threading.Event()
    failures, pushed = [], []

    def collector():
        while not stop.is_set():
            if beside:
                registry.collect("--grace", "2")
            stop.wait(0.05)

    def pusher(number):
        try:
            for turn in range(15):
                layers = [shared[(number + turn) % 4], f"{number} {turn}".encode()]
                for blob in [b"{}", *layers]:
                    if registry.head(f"/v2/r{number % 3}/blobs/{digest(blob)}").status != 200:
                        registry.push_blob(f"r{number % 3}", blob)
                manifest = image(layers=layers)
                reply = registry.put_manifest(f"r{number % 3}", f"t{number}-{turn}", manifest)
                assert reply.status == 201, reply
                pushed.append((f"r{number % 3}", f"t{number}-{turn}", manifest))
                if turn % 3 == 0:  # What it needs is garbage again.
                    name, tag, manifest = pushed.pop()
                    assert registry.delete(f"/v2/{name}/manifests/{digest(manifest)}").status == 202
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=pusher, args=(n,)) for n in range(16)]
    collecting = threading.Thread(target=collector)
    collecting.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    collecting.join()
    assert not failures, failures[0]
    for name, tag, manifest in pushed:
        assert registry.get(f"/v2/{name}/manifests/{tag}").body == manifest
        for layer in json.loads(manifest)["layers"]:
            assert registry.head(f"/v2/{name}/blobs/{layer['digest']}").status == 200, (name, tag)
