"""Heavy work beside the event loop."""

import asyncio
import threading

from deployments.serial_executor import SerialExecutor


def test_the_event_loop_goes_on_while_a_piece_of_work_runs():
    async def run() -> list[str]:
        executor, begun, end, told = SerialExecutor(), threading.Event(), threading.Event(), []
        heavy = asyncio.create_task(executor.run(lambda: (begun.set(), end.wait(10), told.append("heavy"))))
        await asyncio.to_thread(begun.wait, 10)
        told.append("light")
        end.set()
        await heavy
        return told

    assert asyncio.run(run()) == ["light", "heavy"]


def test_pieces_run_one_at_a_time_in_their_order():
    async def run() -> list[int]:
        executor, at_once, seen, order = SerialExecutor(), [], [], []

        def piece(number: int) -> None:
            at_once.append(number)
            seen.append(len(at_once))
            order.append(number)
            at_once.remove(number)

        await asyncio.gather(*(executor.run(lambda n=number: piece(n)) for number in range(20)))
        assert set(seen) == {1}
        return order

    assert asyncio.run(run()) == list(range(20))


def test_who_stops_waiting_does_not_let_anybody_change_what_the_thread_still_reads():
    async def run() -> list[str]:
        executor, begun, end, told = SerialExecutor(), threading.Event(), threading.Event(), []
        heavy = asyncio.create_task(executor.run(lambda: (begun.set(), end.wait(10), told.append("read"))))
        await asyncio.to_thread(begun.wait, 10)
        heavy.cancel()
        asyncio.get_running_loop().call_later(0.05, end.set)
        async with executor.idle:
            told.append("changed")
        await asyncio.gather(heavy, return_exceptions=True)
        return told

    assert asyncio.run(run()) == ["read", "changed"]


def test_an_error_is_that_of_the_work_and_the_next_piece_runs():
    async def run() -> tuple[object, int]:
        executor = SerialExecutor()
        failed = await asyncio.gather(executor.run(lambda: 1 // 0), return_exceptions=True)
        return failed[0], await executor.run(lambda: 2)

    error, after = asyncio.run(run())

    assert isinstance(error, ZeroDivisionError)
    assert after == 2
