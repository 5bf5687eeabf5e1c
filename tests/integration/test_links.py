"""Links on the default network, as Docker has them: names in /etc/hosts, variables, and names of the linked container."""

from harness import IMAGE


def hosts(cli, container, name):
    lines = cli("exec", container, "cat", "/etc/hosts").splitlines()
    return [line.split() for line in lines if name in line.split()]


def address(cli, container):
    return cli.inspect(container)["NetworkSettings"]["IPAddress"]


def test_a_linked_container_is_known(cli, name):
    db, web = f"{name}-db", f"{name}-web"
    identifier = cli("run", "-d", "--name", db, "-e", "PASSWORD=x=y", "--expose", "5432-5434", IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", web, "--link", f"{db}:my-store", IMAGE, "sleep", "1000")
    own = address(cli, db)
    assert hosts(cli, web, "my-store") == [[own, "my-store", identifier[:12], db]]
    variables = cli("exec", web, "env").splitlines()
    assert {
        f"MY_STORE_NAME=/{web}/my-store", "MY_STORE_ENV_PASSWORD=x=y", f"MY_STORE_PORT=tcp://{own}:5432",
        f"MY_STORE_PORT_5432_TCP=tcp://{own}:5432", f"MY_STORE_PORT_5432_TCP_ADDR={own}", "MY_STORE_PORT_5432_TCP_PORT=5432",
        "MY_STORE_PORT_5433_TCP_PROTO=tcp", f"MY_STORE_PORT_5432_TCP_START=tcp://{own}:5432", "MY_STORE_PORT_5432_TCP_PORT_END=5434",
    } <= set(variables)
    assert not any(line.startswith("MY_STORE_ENV_PATH") for line in variables)
    assert cli.inspect(web)["HostConfig"]["Links"] == [f"/{db}:/{web}/my-store"]
    assert cli("exec", web, "ping", "-c", "1", "-W", "5", "my-store").count("1 packets received") == 1


def test_own_variables_come_first(cli, name):
    cli("run", "-d", "--name", f"{name}-db", IMAGE, "sleep", "1000")
    said = cli("run", "--rm", "--link", f"{name}-db:db", "-e", "DB_NAME=mine", IMAGE, "sh", "-c", "echo $DB_NAME")
    assert said == "mine"


def test_a_new_address_is_told(cli, name):
    db, web, other = f"{name}-db", f"{name}-web", f"{name}-other"
    cli("run", "-d", "--name", db, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", web, "--link", f"{db}:db", IMAGE, "sleep", "1000")
    before = address(cli, db)
    cli("stop", "-t", "0", db)
    cli("run", "-d", "--name", other, IMAGE, "sleep", "1000")
    cli("start", db)
    after = address(cli, db)
    assert before != after and [line[0] for line in hosts(cli, web, "db")] == [after]


def test_it_starts_with_those_that_run_only(cli, name):
    db, web = f"{name}-db", f"{name}-web"
    cli("create", "--name", db, IMAGE, "sleep", "1000")
    cli("create", "--name", web, "--link", db, IMAGE, "sleep", "1000")
    result = cli.run("start", web)
    assert result.code == 1 and f"Cannot link to a non running container: /{db} AS /{web}/{db}" in result.err, result
    cli("start", db)
    cli("start", web)
    cli("rm", "-f", db)
    # What it was linked to is gone: it starts without.
    cli("restart", "-t", "0", web)
    assert hosts(cli, web, db) == []


def test_the_links_name(cli, daemon, name):
    db, web = f"{name}-db", f"{name}-web"
    identifier = cli("run", "-d", "--name", db, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", web, "--link", f"{db}:store", IMAGE, "sleep", "1000")
    shown = [one["Names"] for one in daemon.request("GET", "/containers/json")[1] if one["Id"] == identifier]
    assert shown == [[f"/{db}", f"/{web}/store"]]
    assert cli.inspect(f"{web}/store")["Id"] == identifier
    cli("rm", "--link", f"{web}/store")
    assert hosts(cli, web, "store") == [] and not cli.inspect(web)["HostConfig"]["Links"]
    assert cli.inspect(db)["State"]["Running"]
    assert cli.run("rm", "--link", f"{web}/store").code == 1


def test_what_cannot_be_linked(cli, name):
    cli("run", "-d", "--name", name, "--network", "host", IMAGE, "sleep", "1000")
    for flags, words in [
        (["--link", "nobody:x"], "could not get container for nobody: No such container: nobody"),
        (["--link", f"{name}:x"], "conflicting options: host type networking can't be used with links"),
        (["--link", "a:b:c"], "bad format for links: a:b:c"),
    ]:
        result = cli.run("create", *flags, IMAGE, "true")
        assert result.code != 0 and words in result.err, result
