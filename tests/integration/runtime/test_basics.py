"""The life of a container by the command line, and that the harness sees what it should see."""


def test_exit_code_and_streams(make_container, engine):
    result = make_container(engine, ["sh", "-c", "read line; echo $line; echo err >&2; exit 7"]).run(stdin=b"given\n")
    assert (result.code, result.out, result.err) == (7, "given\n", "err\n"), result


def test_create_start_exec_kill_delete(make_container, engine):
    made = make_container(engine, ["sleep", "1000"])
    assert made.status is None
    assert (created := made.create()).code == 0, created
    assert made.status == "created"
    assert made.start().code == 0
    assert made.status == "running"
    inside = made.exec("sh", "-c", "echo $PPID; exit 3")
    assert (inside.code, inside.out) == (3, "0\n"), inside
    assert engine.ids() == [made.id]
    assert made.delete().code != 0
    assert made.kill().code == 0
    made.wait_for("stopped")
    assert made.delete().code == 0
    assert made.status is None and engine.ids() == []


def test_delete_force(container):
    made = container(["sleep", "1000"]).up()
    assert made.delete(force=True).code == 0
    assert made.status is None
