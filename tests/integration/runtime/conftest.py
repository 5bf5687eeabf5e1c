"""Fixtures of the runtime's tests; harness.py tells how they are used."""

import signal

import pytest

from .harness import PROBER, PROGRAM, Container, session_scope


@pytest.fixture(scope="session")
def scope():
    """The session's prefix, scratch directory and list of things to undo."""
    if not PROGRAM.exists():
        pytest.fail(f"there is no {PROGRAM}: `make build`, or set CLIPPER_RUNTIME")
    made = session_scope()
    # A run that is ended from outside (timeout(1)) cleans up as one that is interrupted by hand.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield made
    made.close()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def undo(scope):
    """Takes functions that are called, the last first, when the test has ended."""
    before = len(scope.undo)
    yield scope.undo.append
    failures = []
    while len(scope.undo) > before:
        try:
            scope.undo.pop()()
        except Exception as error:  # The rest must be undone too.
            failures.append(error)
    if failures:
        raise failures[0]


@pytest.fixture
def clipper(scope):
    """clipper-runtime."""
    return scope.runtime("clipper")


def installed(scope, name):
    found = scope.runtime(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(params=["clipper", "runc", "crun"])
def engine(request, scope):
    """clipper-runtime, and its peers to test the test."""
    return installed(scope, request.param)


@pytest.fixture(params=["clipper", "runc"])
def runtime(request, scope):
    """clipper-runtime and the one whose command line it has."""
    return installed(scope, request.param)


@pytest.fixture
def make_container(scope, undo, request):
    """make_container(runtime, args, edit=None): a container on a busybox bundle of its own.

    `edit` gets the config of `clipper-runtime spec` to change or to replace. What is left of it is removed afterwards.
    """

    def make(runtime, args=("true",), edit=None):
        name = scope.name(request.node.name)
        bundle = scope.bundle(name, args, edit)
        if runtime.name == "crun":  # It refuses versions newer than itself.
            bundle.config["ociVersion"] = "1.0.2"
        undo(bundle.remove)
        made = Container(runtime, name, bundle)
        undo(made.remove)
        return made

    return make


@pytest.fixture
def container(make_container, clipper):
    """container(args, edit=None): the same for clipper-runtime."""
    return lambda args=("true",), edit=None: make_container(clipper, args, edit)


@pytest.fixture
def probe(make_container):
    """probe(runtime, edit=None, arguments=[]): what the prober (Tests/Prober) reports from a new container.

    `how` is for `call`; `options` are the options of `run`.
    """
    if not PROBER.exists():
        pytest.fail(f"there is no {PROBER}: `swift build --product clipper-prober`, or set CLIPPER_PROBER")

    def report(runtime, edit=None, arguments=(), options=(), **how):
        made = make_container(runtime, ["/clipper-prober", *arguments], edit)
        made.add_prober()
        result = made.run(*options, **how)
        assert result.code == 0, result
        return result.json

    return report
