"""Decorator for tests that are coroutines."""

import asyncio
import functools


def asynchronous(test):
    """Run a coroutine as a test, in an event loop of its own; pytest sees its fixtures."""

    @functools.wraps(test)
    def run(*arguments, **named):
        return asyncio.run(test(*arguments, **named))

    return run
