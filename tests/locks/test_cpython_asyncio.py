"""CPython's own tests of asyncio's locks, run against our locks in a copy of the test module.

The tests come with the interpreter, so each version of Python compares our locks with its own asyncio.
"""

from __future__ import annotations

import asyncio
import importlib.util
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace

import pytest

import mnemoscope as scope

pytestmark = pytest.mark.lock_order(check=False)  # many of these tests end with a lock held

# Which of CPython's test cases are about locks; those of Event, Barrier and of the syntax are not.
CASES = {
    "test.test_asyncio.test_locks": ("LockTests", "ConditionTests", "SemaphoreTests"),
    "test.test_asyncio.test_pep492": ("LockTests",),
}
OURS: dict[str, type] = {
    "Lock": scope.AsyncLock,
    "Condition": scope.AsyncCondition,
    "Semaphore": scope.AsyncSemaphore,
    "BoundedSemaphore": scope.AsyncBoundedSemaphore,
}


def counting(name: str, primitive: type, made: Counter[str]) -> type:
    """Return a class with the name of one of asyncio, counted when made, so that no test uses asyncio's by mistake."""

    def __new__(cls: type, *_args: object, **_kwargs: object) -> object:
        made[name] += 1
        return object.__new__(cls)

    return type(name, (primitive,), {"__new__": __new__})


def copy_of(name: str, replacements: dict[str, type]) -> ModuleType:
    """Return CPython's test module, loaded again, with these in place of asyncio's names."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, "this Python came without its tests; install its test suite"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["asyncio"] = SimpleNamespace(**{**vars(asyncio), **replacements})
    return module


def every_test() -> Iterator[tuple[str, str, str]]:
    """Return module, class and method of each test."""
    for module, classes in CASES.items():
        loaded = copy_of(module, {})
        for case in classes:
            for method in unittest.defaultTestLoader.getTestCaseNames(getattr(loaded, case)):
                yield module, case, method


def outcome(module: ModuleType, case: str, method: str) -> str:
    """Return the traceback of a test that failed, or nothing."""
    result = unittest.TestResult()
    test: Callable[[unittest.TestResult], object] = getattr(module, case)(method)
    test(result)
    assert result.testsRun == 1
    assert not result.skipped
    return "".join(text for _, text in [*result.failures, *result.errors])


@pytest.mark.parametrize(("module", "case", "method"), [pytest.param(*t, id=".".join(t[1:])) for t in every_test()])
def test_it_passes_with_our_locks(module: str, case: str, method: str) -> None:
    made: Counter[str] = Counter()
    replacements = {name: counting(name, primitive, made) for name, primitive in OURS.items()}

    assert outcome(copy_of(module, replacements), case, method) == ""
    assert made, "the test used none of our locks"


def test_a_lock_that_breaks_the_rules_fails_them() -> None:
    class Unfair(scope.AsyncLock):
        async def acquire(self) -> bool:  # type: ignore[override]  # broken on purpose
            return True

    failed = outcome(copy_of("test.test_asyncio.test_locks", {"Lock": Unfair}), "LockTests", "test_acquire")

    assert "AssertionError" in failed


def test_there_are_as_many_tests_as_the_oldest_supported_python_has() -> None:
    assert len(list(every_test())) >= 44
