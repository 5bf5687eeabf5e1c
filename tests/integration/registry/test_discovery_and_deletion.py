"""Content discovery and content management (distribution-spec 1.1), request by request."""

import json
import os

from registry.harness import EMPTY, IMAGE, INDEX, descriptor, digest, image, index, pages


STORAGES = ["files", "s3"]


def test_tags_come_sorted_and_in_pages(registry, name):
    tags = ["Z", "a", "a-1", "a.1", "b", "v1.0", "v1.10", "v1.9"]
    manifest = registry.push_image(name, "b")
    for tag in reversed(tags):
        assert registry.put_manifest(name, tag, manifest).status == 201
    target = f"/v2/{name}/tags/list"
    assert registry.get(target).json == {"name": name, "tags": tags}
    for count in (1, 3, 8, 100):
        assert pages(registry, f"{target}?n={count}", "tags") == (tags, -(-len(tags) // count))
    assert registry.get(f"{target}?last=a.1").json["tags"] == tags[4:]
    assert registry.get(f"{target}?last=aa&n=2").json["tags"] == ["b", "v1.0"]
    assert registry.get(f"{target}?n=0").json["tags"] == [] and registry.get(f"{target}?n=0").next is None
    for wrong in ("x", "-1"):
        assert (registry.get(f"{target}?n={wrong}").status, registry.get(f"{target}?n={wrong}").code) == (400, "PAGINATION_NUMBER_INVALID")


def test_the_catalog_comes_in_pages(make_registry):
    registry = make_registry()
    assert registry.get("/v2/_catalog").json == {"repositories": []}
    names = ["a", "a/b", "b/c/d", "team/app"]
    for name in names:
        registry.push_image(name, "v1")
    registry.push_blob("only-blobs", b"x")
    assert registry.get("/v2/_catalog").json == {"repositories": names}
    assert pages(registry, "/v2/_catalog?n=3", "repositories") == (names, 2)
    assert registry.get("/v2/_catalog?last=a/b").json["repositories"] == names[2:]


def refer(registry, name, subject, artifact_type=None, **more):
    """Pushes an artifact that refers to a manifest, by digest. Its bytes."""
    config = b"{}"
    registry.push_blob(name, config)
    if artifact_type:
        more["artifactType"] = artifact_type
    content = image(config, config_type=EMPTY if artifact_type else "application/vnd.example.config", subject=descriptor(subject, IMAGE), **more)
    assert registry.put_manifest(name, digest(content), content).status == 201
    return content


def test_referrers_are_listed(registry, name):
    subject = registry.push_image(name, "v1")
    target = f"/v2/{name}/referrers/{digest(subject)}"
    reply = registry.get(target)
    assert (reply.status, reply.headers["Content-Type"]) == (200, INDEX)
    assert reply.json == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    signature = refer(registry, name, subject, "application/vnd.example.signature", annotations={"who": "me"})
    bill = refer(registry, name, subject)
    several = index(subject, subject=descriptor(subject, IMAGE), artifactType="application/vnd.example.index")
    assert registry.put_manifest(name, digest(several), several).headers["OCI-Subject"] == digest(subject)
    found = {d["digest"]: d for d in registry.get(target).json["manifests"]}
    assert found == {
        digest(signature): descriptor(signature, IMAGE, artifactType="application/vnd.example.signature", annotations={"who": "me"}),
        # An image without artifactType has its config's.
        digest(bill): descriptor(bill, IMAGE, artifactType="application/vnd.example.config"),
        digest(several): descriptor(several, INDEX, artifactType="application/vnd.example.index"),
    }
    reply = registry.get(f"{target}?artifactType=application/vnd.example.signature")
    assert [d["digest"] for d in reply.json["manifests"]] == [digest(signature)]
    assert reply.headers["OCI-Filters-Applied"] == "artifactType"
    assert registry.get(f"{target}?artifactType=none").json["manifests"] == []
    # A referrer that is deleted is listed no more.
    assert registry.delete(f"/v2/{name}/manifests/{digest(bill)}").status == 202
    assert digest(bill) not in {d["digest"] for d in registry.get(target).json["manifests"]}


def test_referrers_are_known_before_and_after_their_subject(registry, name):
    subject = image(layers=[b"layer"])
    early = refer(registry, name, subject, "application/vnd.example.early")
    target = f"/v2/{name}/referrers/{digest(subject)}"
    assert [d["digest"] for d in registry.get(target).json["manifests"]] == [digest(early)]
    assert registry.push_image(name, "v1") == subject
    assert registry.delete(f"/v2/{name}/manifests/{digest(subject)}").status == 202
    assert [d["digest"] for d in registry.get(target).json["manifests"]] == [digest(early)]
    assert registry.get(f"/v2/{name}/referrers/{digest(b'unknown')}").json["manifests"] == []


def test_referrers_pushed_under_a_referrers_tag_are_listed(registry, name):
    """Clients of registries without the referrers API keep an index under a tag made of the digest."""
    subject = registry.push_image(name, "v1")
    artifact = refer(registry, name, subject, "application/vnd.example.signature")
    fallback = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        descriptor(artifact, IMAGE, artifactType="application/vnd.example.signature")]}
    tag = digest(subject).replace(":", "-")
    content = json.dumps(fallback).encode()
    assert registry.put_manifest(name, tag, content).status == 201
    assert registry.get(f"/v2/{name}/manifests/{tag}").body == content
    assert registry.get(f"/v2/{name}/referrers/{digest(subject)}").json == fallback


def test_many_referrers_come_in_pages(make_registry):
    registry = make_registry({"limits": {"manifest": 2048}})
    subject = registry.push_image("r", "v1")
    pushed = {digest(refer(registry, "r", subject, "application/vnd.example.note", annotations={"n": f"{n}" * 400})) for n in range(8)}
    other = digest(refer(registry, "r", subject, "application/vnd.example.other"))
    found, count = pages(registry, f"/v2/r/referrers/{digest(subject)}", "manifests")
    assert {d["digest"] for d in found} == {*pushed, other} and len(found) == 9 and count > 2
    found, count = pages(registry, f"/v2/r/referrers/{digest(subject)}?artifactType=application/vnd.example.note", "manifests")
    assert {d["digest"] for d in found} == pushed and len(found) == 8 and count > 2


def test_a_tag_is_deleted(registry, name):
    manifest = registry.push_image(name, "v1")
    registry.put_manifest(name, "v2", manifest)
    assert registry.delete(f"/v2/{name}/manifests/v1").status == 202
    assert registry.delete(f"/v2/{name}/manifests/v1").code == "MANIFEST_UNKNOWN"
    assert registry.get(f"/v2/{name}/manifests/v1").status == 404
    for reference in ("v2", digest(manifest)):
        assert registry.get(f"/v2/{name}/manifests/{reference}").status == 200


def test_a_manifest_is_deleted_with_its_tags(registry, name):
    manifest = registry.push_image(name, "v1")
    registry.put_manifest(name, "v2", manifest)
    assert registry.delete(f"/v2/{name}/manifests/{digest(manifest)}").status == 202
    for reference in ("v1", "v2", digest(manifest)):
        assert registry.get(f"/v2/{name}/manifests/{reference}").code == "MANIFEST_UNKNOWN"
    assert registry.delete(f"/v2/{name}/manifests/{digest(manifest)}").code == "MANIFEST_UNKNOWN"
    assert registry.get(f"/v2/{name}/tags/list").json == {"name": name, "tags": []}
    # Pushed once more, it is back.
    assert registry.put_manifest(name, "v3", manifest).status == 201
    assert registry.get(f"/v2/{name}/tags/list").json["tags"] == ["v3"]


def test_a_blob_is_deleted(registry, name):
    found = registry.push_blob(name, os.urandom(64))
    assert registry.delete(f"/v2/{name}/blobs/{found}").status == 202
    for method in ("GET", "HEAD", "DELETE"):
        assert registry.request(method, f"/v2/{name}/blobs/{found}").status == 404
    manifest = registry.push_image(name, "v1")
    assert registry.delete(f"/v2/{name}/blobs/{digest(manifest)}").code == "BLOB_UNKNOWN", "a manifest is no blob to delete"
    assert registry.get(f"/v2/{name}/manifests/v1").status == 200


def test_another_tools_layout_is_served(make_registry):
    """A layout that something else has written below the root is read as it is, referrers too."""
    registry = make_registry()
    subject = registry.push_image("mine", "v1")
    refer(registry, "mine", subject, "application/vnd.example.signature")
    path = registry.root / "repositories/mine/_layout/index.json"
    document = json.loads(path.read_text())
    for entry in document["manifests"]:
        entry["annotations"] = {k: v for k, v in entry.get("annotations", {}).items() if k.startswith("org.opencontainers.")}
        entry.pop("artifactType", None)
    path.unlink()
    path.write_text(json.dumps(document))
    assert registry.get("/v2/mine/manifests/v1").body == subject
    found = registry.get(f"/v2/mine/referrers/{digest(subject)}").json["manifests"]
    assert [d["artifactType"] for d in found] == ["application/vnd.example.signature"]
