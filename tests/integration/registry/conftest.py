"""Fixtures of the registry's tests; harness.py tells how they are used."""

import itertools

import pytest

from registry.harness import BucketService, Registry, scratch_directory

numbers = itertools.count()


@pytest.fixture
def make_registry(request):
    """Makes registries that have started; afterwards they are gone."""
    made = request.node.registries = []

    def make(configuration=None, options=(), start=True):
        made.append(Registry(scratch_directory(f"{next(numbers)}"), configuration, options))
        return made[-1].start() if start else made[-1]

    yield make
    for one in made:
        one.remove()


def pytest_generate_tests(metafunc):
    """A file that names STORAGES is run on each of them."""
    if "shared_registry" in metafunc.fixturenames:
        metafunc.parametrize("shared_registry", getattr(metafunc.module, "STORAGES", ["files"]), indirect=True, scope="module")


@pytest.fixture(scope="session")
def bucket_service():
    """A service that speaks as S3 does."""
    service = BucketService(scratch_directory("s3"))
    yield service
    service.remove()


@pytest.fixture(scope="module")
def shared_registry(request):
    """One registry for a file of tests, each of which uses a repository of its own."""
    configuration = {}
    if request.param == "s3":
        configuration = request.getfixturevalue("bucket_service").configuration(f"shared{next(numbers)}", prefix="some where/ü&+=%")
    one = Registry(scratch_directory(f"shared{next(numbers)}"), configuration).start()
    yield one
    one.remove()


@pytest.fixture
def registry(shared_registry):
    return shared_registry


@pytest.fixture
def name(request):
    """A repository of this test's own."""
    plain = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())
    return "test/" + "-".join(part for part in plain.split("-") if part)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its registries' logs."""
    report = (yield).get_result()
    if report.failed:
        shared = getattr(item, "funcargs", {}).get("shared_registry")
        for one in [*getattr(item, "registries", []), *([shared] if shared else [])]:
            if one.errors.exists():
                report.sections.append((f"the log of {one.host}", one.log()[-2500:]))
