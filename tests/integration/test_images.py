"""Images: in, out, named, shown and removed."""

import gzip
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
import urllib.parse

import docker.errors
import pytest

from conftest import PROGRAMS
from harness import IMAGE, Client


def tar_of(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_import(cli):
    identifier = cli("import", "-c", "ENV A=b", "-c", 'CMD ["x"]', "-m", "by hand", "-", "clpt/imported:1", input=tar_of({"hello": b"hi"}))
    shown = cli.inspect("clpt/imported:1")
    assert shown["Id"] == identifier.splitlines()[-1]
    assert shown["Config"]["Cmd"] == ["x"] and "A=b" in shown["Config"]["Env"]
    assert shown["RootFS"]["Type"] == "layers" and len(shown["RootFS"]["Layers"]) == 1
    assert cli("history", "--format", "{{.Comment}}", "clpt/imported:1") == "by hand"


@pytest.fixture
def web():
    """A web server: what lies under /files is a tar archive, /moved leads there, all else is not there."""
    content = gzip.compress(tar_of({"hello": b"from the web", "noise": os.urandom(3 << 20)}))

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/files/root.tar.gz")
                self.end_headers()
                return
            found = self.path == "/files/root.tar.gz"
            body = content if found else b"nothing here\n"
            self.send_response(200 if found else 403 if self.path == "/secret" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_import_from_the_web(cli, web):
    told = cli("import", "-c", "ENV A=b", f"http://{web}/moved", "clpt/web:1")
    assert told.splitlines()[0] == f"Downloading from http://{web}/moved"
    shown = cli.inspect("clpt/web:1")
    assert shown["Id"] == told.splitlines()[-1] and "A=b" in shown["Config"]["Env"]
    assert shown["Comment"] == f"Imported from http://{web}/moved"
    with open(shown["GraphDriver"]["Data"]["UpperDir"] + "/hello") as file:
        assert file.read() == "from the web"
    cli("rmi", "clpt/web:1")


@pytest.mark.parametrize(("path", "status", "words"), [
    ("/none", 404, "failed to GET http://HOST/none with status 404 Not Found: nothing here"),
    ("/secret", 403, "failed to GET http://HOST/secret with status 403 Forbidden: nothing here")])
def test_import_of_what_the_web_does_not_give(daemon, web, path, status, words):
    answer = daemon.request("POST", f"/images/create?fromSrc=http://{web}{path}&repo=clpt/web")
    assert answer == (status, {"message": words.replace("HOST", web)})


def test_import_from_nowhere(daemon):
    status, answer = daemon.request("POST", "/images/create?fromSrc=127.0.0.1:1/x&repo=clpt/web")
    assert status == 500 and answer["message"] == 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'
    assert daemon.request("POST", "/images/create?fromSrc=ftp://x/y")[0] == 400


def platform(architecture):
    return urllib.parse.quote(json.dumps({"os": "linux", "architecture": architecture}))


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/images/NAME/json"), ("GET", "/images/NAME/history"), ("GET", "/images/NAME/get"), ("GET", "/images/get?names=NAME")])
def test_platform_of_an_image(daemon, method, path):
    """An image here is of one platform: that may be asked for, and no other."""
    path = path.replace("NAME", IMAGE) + ("&" if "?" in path else "?")
    status, answer = daemon.request(method, f"{path}platform={platform('s390x')}")
    words = f"image with reference {IMAGE} was found but does not provide the specified platform (linux/s390x)"
    assert (status, answer) == (404, {"message": words})
    if "get" not in path:
        assert daemon.request(method, f"{path}platform={platform('amd64')}")[0] == 200
    assert daemon.request(method, f"{path}platform=linux/amd64")[0] == 400


def test_push_of_another_platform(daemon):
    status, answer = daemon.request("POST", f"/images/{IMAGE}/push?platform={platform('arm')}", headers={"X-Registry-Auth": "e30="})
    assert status == 404 and "does not provide the specified platform (linux/arm)" in answer["message"]


def test_push_of_all_tags_checks_each(daemon, clipper):
    rootfs = io.BytesIO()
    tarfile.open(fileobj=rootfs, mode="w").close()
    clipper("import", "--platform", "linux/s390x", "-", "clpt/each:other", input=rootfs.getvalue())
    headers = {"X-Registry-Auth": "e30="}
    # There is no `latest`, and then one that is for the platform while the other is not.
    for wanted, refused in [("amd64", "clpt/each:other"), ("s390x", "clpt/each:latest"), ("amd64", "clpt/each:other")]:
        if wanted == "s390x":
            clipper("tag", IMAGE, "clpt/each:latest")
        status, answer = daemon.request("POST", f"/images/clpt/each/push?platform={platform(wanted)}", headers=headers)
        words = f"image with reference {refused} was found but does not provide the specified platform (linux/{wanted})"
        assert (status, answer) == (404, {"message": words})
    clipper("rmi", "clpt/each:latest", "clpt/each:other")


def test_client_names_platforms(clipper):
    assert clipper.run("image", "inspect", "--platform", "linux/amd64", IMAGE).code == 0
    assert clipper("history", "-q", "--platform", "amd64", IMAGE)
    for command in ["history", "save", "push"]:
        done = clipper.run(command, "--platform", "linux/arm64/v8", IMAGE)
        assert done.code == 1 and "does not provide the specified platform (linux/arm64/v8)" in done.err
    assert clipper.run("history", "--platform", "linux//", IMAGE).err == (
        'invalid platform: "" is an invalid component of "linux//": platform specifier component must match "^[A-Za-z0-9_.-]+$": '
        "invalid argument\n")


@pytest.mark.parametrize(("wanted", "status"), [
    ([("linux", "arm64", None)], 404), ([("linux", "amd64", "v2")], 200), ([("linux", "amd64", None), ("linux", "arm64", None)], 400)])
def test_removal_of_a_platform(daemon, clipper, wanted, status):
    """The image goes when it is for the platform, as it does by its name alone. Before 1.50 nobody could name one."""
    platforms = [json.dumps({"os": os, "architecture": architecture, **({"variant": variant} if variant else {})})
                 for os, architecture, variant in wanted]
    query = urllib.parse.urlencode([("platforms", platform) for platform in platforms])
    clipper("tag", IMAGE, "clpt/gone:1")
    got, answer = daemon.request("DELETE", f"/images/clpt/gone:1?{query}")
    assert got == status
    if status == 200:
        assert answer == [{"Untagged": "clpt/gone:1"}]
        return
    assert answer == {"message": "multiple platforms are not supported" if status == 400 else (
        "image with reference clpt/gone:1 was found but does not provide the specified platform (linux/arm64)")}
    assert daemon.request("DELETE", f"/v1.49/images/clpt/gone:1?{query}") == (200, [{"Untagged": "clpt/gone:1"}])


def test_removal_of_what_is_no_platform(daemon):
    for text, words in [("linux/amd64", "failed to parse platform"), ('{"os":"linux"}', "both OS and Architecture must be provided")]:
        status, answer = daemon.request("DELETE", f"/images/{IMAGE}?platforms={urllib.parse.quote(text)}")
        assert status == 400 and words in answer["message"]


@pytest.mark.parametrize("program", ["clipper", "docker-28.2"])
def test_clients_remove_a_platform(daemon, program):
    if program not in PROGRAMS:
        pytest.skip(f"{program} is not here")
    cli = Client(program, PROGRAMS[program], daemon)
    cli("tag", IMAGE, "clpt/gone:1")
    done = cli.run("image", "rm", "--platform", "linux/arm64/v8", "clpt/gone:1")
    assert done.code == 1 and done.err == "Error response from daemon: image with reference clpt/gone:1 was found but does not provide " \
        "the specified platform (linux/arm64/v8)\n"
    assert cli.run("image", "rm", "--platform", "nonsense", "clpt/gone:1").err == (
        '"nonsense": unknown operating system or architecture: invalid argument\n')
    done = cli.run("rmi", "--platform", "linux/amd64,linux/arm64", "clpt/gone:1")
    assert done.code == 1 and done.err == "Error response from daemon: multiple platforms are not supported\n"
    assert cli("image", "rm", "--platform", "amd64", "clpt/gone:1") == "Untagged: clpt/gone:1"


def test_a_load_tells_whose_name_it_takes(cli, tmp_path):
    archive = tmp_path / "image.tar"
    cli("tag", IMAGE, "clpt/moved:1")
    cli("save", "-o", archive, "clpt/moved:1")
    assert cli("load", "-i", archive) == "Loaded image: clpt/moved:1"
    other = cli("import", "-", "clpt/moved:1", input=tar_of({"other": cli.name.encode()})).splitlines()[-1]
    assert cli("load", "-i", archive).splitlines() == [
        f"The image clpt/moved:1 already exists, renaming the old one with ID {other} to empty string", "Loaded image: clpt/moved:1"]
    cli("rmi", "clpt/moved:1", other)


@pytest.mark.parametrize("arguments", [["--filter", "dangling=false"], ["-a", "--filter", "dangling=true"]])
def test_a_prune_that_contradicts_itself(cli, arguments):
    done = cli.run("image", "prune", "-f", *arguments)
    assert done.code == 1 and "invalid filter 'dangling=[false true]'" in done.err


def test_an_image_for_less_fits(daemon, clipper):
    """An image of 386 runs where amd64 was asked for, as with dockerd, and not the other way round."""
    rootfs = io.BytesIO()
    tarfile.open(fileobj=rootfs, mode="w").close()
    clipper("import", "--platform", "linux/i386", "-", "clpt/less:1", input=rootfs.getvalue())
    assert daemon.request("GET", f"/images/clpt/less:1/json?platform={platform('amd64')}")[1]["Architecture"] == "386"
    assert daemon.request("GET", f"/images/{IMAGE}/json?platform={platform('386')}")[0] == 404
    assert daemon.request("POST", f"/images/clpt/less:1/tag?repo=clpt/less&tag=2")[0] == 201
    clipper("rmi", "--platform", "linux/amd64", "clpt/less:1")
    clipper("rmi", "clpt/less:2")


def test_load_of_one_platform(clipper, tmp_path):
    archive = tmp_path / "image.tar"
    clipper("tag", IMAGE, "clpt/one:1")
    clipper("save", "--platform", "linux/amd64", "-o", archive, "clpt/one:1")
    clipper("rmi", "clpt/one:1")
    done = clipper.run("load", "--platform", "linux/arm64", "-i", archive)
    assert done.code == 1 and "no image for linux/arm64" in done.err
    assert "Loaded image: clpt/one:1" in clipper("load", "--platform", "linux/amd64", "-i", archive)
    clipper("rmi", "clpt/one:1")


def test_manifests_of_an_image(daemon):
    status, shown = daemon.request("GET", f"/images/{IMAGE}/json?manifests=1")
    assert status == 200
    (manifest,) = shown["Manifests"]
    assert manifest["ID"] == manifest["Descriptor"]["digest"] == shown["Descriptor"]["digest"]
    assert manifest["Kind"] == "image" and manifest["Available"] and manifest["ImageData"]["Platform"]["architecture"] == "amd64"
    assert manifest["ImageData"]["Size"]["Unpacked"] == shown["Size"]
    assert manifest["Size"]["Total"] == manifest["Size"]["Content"] + shown["Size"]
    (listed,) = [image for image in daemon.request("GET", "/images/json?manifests=1")[1] if image["Id"] == shown["Id"]]
    assert listed["Manifests"] == shown["Manifests"] and listed["Descriptor"] == shown["Descriptor"]
    assert "Manifests" not in daemon.request("GET", f"/images/{IMAGE}/json")[1]
    assert daemon.request("GET", f"/images/{IMAGE}/json?manifests=1&platform={platform('amd64')}")[0] == 400


def test_an_image_whose_manifest_cannot_be_read(daemon, clipper):
    """It is shown without what is told of its content."""
    rootfs = io.BytesIO()
    tarfile.open(fileobj=rootfs, mode="w").close()
    clipper("import", "-m", str(time.time_ns()), "-", "clpt/torn:1", input=rootfs.getvalue())
    shown = daemon.request("GET", "/images/clpt/torn:1/json")[1]
    manifest = daemon.scratch / "data/blobs/sha256" / shown["Descriptor"]["digest"].removeprefix("sha256:")
    content = manifest.read_bytes()
    for torn in [content[:-1], None]:
        manifest.unlink() if torn is None else manifest.write_bytes(torn)
        without = {name: value for name, value in shown.items() if name != "Descriptor"}
        assert daemon.request("GET", "/images/clpt/torn:1/json") == (200, without)
        assert daemon.request("GET", "/v1.47/images/clpt/torn:1/json")[0] == 200
        assert daemon.request("GET", "/images/clpt/torn:1/json?manifests=1")[0] == 500
        (listed,) = [image for image in daemon.request("GET", "/images/json?manifests=1")[1] if image["Id"] == shown["Id"]]
        assert not {"Descriptor", "Manifests"} & listed.keys()
    clipper("rmi", "clpt/torn:1")


def test_list_and_columns(cli):
    cli("tag", IMAGE, "clpt/list:v1")
    rows = cli("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    assert f"{IMAGE}:latest" in rows and "clpt/list:v1" in rows
    assert cli("images").splitlines()[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert set(cli("images", "-q", "--no-trunc", "-f", "reference=clpt/*:v1").split()) == {cli.inspect(IMAGE)["Id"]}
    assert cli("images", "-q", "-f", "dangling=true") == ""


def test_reference_filter_shows_matching_names_only(cli):
    cli("tag", IMAGE, "clpt/list:v1")
    assert cli("images", "--format", "{{.Tag}}", "clpt/list") == "v1"


def test_save_and_load(cli, tmp_path):
    cli("tag", IMAGE, "clpt/saved:1")
    before = cli.inspect("clpt/saved:1")
    archive = tmp_path / "image.tar"
    cli("save", "-o", archive, "clpt/saved:1")
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
    assert manifest[0]["RepoTags"] == ["clpt/saved:1"]
    cli("rmi", "clpt/saved:1")
    assert "Loaded image: clpt/saved:1" in cli("load", "-i", archive)
    after = cli.inspect("clpt/saved:1")
    assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])
    assert cli("run", "--rm", "clpt/saved:1", "echo", "works") == "works"


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_round_trip_through_skopeo(clipper, tmp_path):
    """Another program reads what is saved, and what it writes is loaded: docker-archive and OCI."""
    clipper("save", "-o", tmp_path / "a.tar", IMAGE)
    copy = ["skopeo", "--insecure-policy", "copy", "-q"]
    subprocess.run([*copy, f"docker-archive:{tmp_path}/a.tar", f"oci-archive:{tmp_path}/oci.tar:clpt/oci:1"], check=True, capture_output=True)
    subprocess.run([*copy, f"oci-archive:{tmp_path}/oci.tar", f"docker-archive:{tmp_path}/b.tar:clpt/skopeo:1"], check=True, capture_output=True)
    clipper("load", "-i", tmp_path / "b.tar")
    assert clipper.inspect("clpt/skopeo:1")["RootFS"] == clipper.inspect(IMAGE)["RootFS"]
    assert clipper("run", "--rm", "clpt/skopeo:1", "echo", "there and back") == "there and back"
    assert clipper.run("load", "-i", tmp_path / "oci.tar").code == 0


def test_tag_and_untag(cli):
    cli("tag", IMAGE, "clpt/one:a")
    cli("tag", "clpt/one:a", "clpt/two:b")
    assert {"clpt/one:a", "clpt/two:b"} <= set(cli.inspect(IMAGE)["RepoTags"])
    assert cli("rmi", "clpt/one:a") == "Untagged: clpt/one:a"
    assert cli.run("inspect", "--type", "image", "clpt/one:a").code == 1
    assert cli.run("tag", IMAGE, "Bad:Tag").code == 1
    assert cli.run("tag", "nothere", "clpt/x").code == 1


def test_image_in_use(cli, name):
    cli("import", "-", "clpt/used", input=subprocess.run(["tar", "-C", "/usr/bin", "-c", "busybox"], capture_output=True).stdout)
    container = cli("run", "-d", "--name", name, "clpt/used", "/busybox", "sleep", "1000")
    identifier = cli.inspect("clpt/used")["Id"]
    result = cli.run("rmi", identifier)
    assert result.code == 1 and "conflict" in result.err and container[:12] in result.err
    assert cli.run("rmi", "-f", identifier).code == 1, "a running container holds its image even against force"
    cli("rm", "-f", name)
    out = cli("rmi", identifier)
    assert "Untagged: clpt/used:latest" in out and f"Deleted: {identifier}" in out


def test_not_there(cli):
    result = cli.run("rmi", "clpt/none")
    assert result.code == 1 and "No such image" in result.err
    assert cli.run("save", "clpt/none").code == 1
    assert cli.run("history", "clpt/none").code == 1


def test_inspect_and_history(cli):
    shown = cli.inspect(IMAGE)
    assert shown["Os"] == "linux" and shown["Architecture"] in ("amd64", "arm64") and shown["Size"] > 100_000
    assert len(cli("history", "-q", IMAGE).splitlines()) == 1
    assert cli.inspect(shown["Id"])["Id"] == cli.inspect(shown["Id"][7:19])["Id"] == shown["Id"]


def test_whiteouts_and_modes_survive(clipper, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"""FROM {IMAGE}
RUN mkdir -m 1751 /d && echo x >/d/f && chown 33:1 /d/f && chmod 4755 /d/f && ln -s f /d/l && ln /d/f /d/h
RUN rm /d/f /etc/os-release
""")
    clipper("build", "-t", "clpt/modes", tmp_path)
    clipper("save", "-o", tmp_path / "m.tar", "clpt/modes")
    clipper("rmi", "clpt/modes")
    clipper("load", "-i", tmp_path / "m.tar")
    out = clipper("run", "--rm", "clpt/modes", "sh", "-c", "stat -c '%a %u %g' /d /d/h; readlink /d/l; ls /d /etc/os-release 2>&1 | sort").splitlines()
    assert out[:3] == ["1751 0 0", "4755 33 1", "f"] and "f" not in out[3:] and any("os-release: No such" in line for line in out)


def test_sdk(sdk):
    image = sdk.images.get(IMAGE)
    assert image.tag("clpt/sdk", "x")
    data = b"".join(sdk.images.get("clpt/sdk:x").save(named=True))
    sdk.images.remove("clpt/sdk:x")
    assert [i.id for i in sdk.images.load(data)] == [image.id]
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get("clpt/nothing")
