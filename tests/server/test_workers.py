"""Worker pools, with real threads and a manual reactor."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, current_thread

from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.server import workers
from slacker.server.workers import PoolStatus, WorkerPool
from slacker.testing import MemoryReactor

PATIENCE = 30.0  # seconds that a test waits for a thread before it fails


class Work:
    """A job that ends when told, and says what became of it."""

    def __init__(self, gate: Event | None = None) -> None:
        self.gate = gate
        self.begun = Event()
        self.ran = Event()
        self.thread = ""
        self.finished = 0
        self.weight = 0
        self.queued_at = 0.0

    def run(self) -> None:
        self.thread = current_thread().name
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        self.ran.set()

    def finish(self) -> None:
        self.finished += 1


class WorkerPoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.batches = 0

    def pool(self, threads: int, queue_size: int) -> WorkerPool:
        def count() -> None:
            self.batches += 1

        pool = WorkerPool(self.reactor, threads, queue_size, name="test", after_batch=count)
        self.addCleanup(pool.stop)
        return pool

    def deliver(self, *jobs: Work) -> None:
        """Let the reactor run until these are finished."""
        for job in jobs:
            while not job.ran.wait(0.001):
                self.reactor.advance(0)
        for _ in range(100_000):
            self.reactor.advance(0)
            if all(job.finished for job in jobs):
                return
        self.fail("the reactor was not told")

    def test_a_job_runs_in_a_thread_and_finishes_on_the_reactor_once(self) -> None:
        pool = self.pool(2, 5)
        job = Work()
        self.assertTrue(pool.submit(job))
        pool.wake()
        self.assertTrue(job.ran.wait(PATIENCE))
        self.assertTrue(job.thread.startswith("test-"))
        self.deliver(job)
        self.assertEqual(job.finished, 1)
        self.assertGreaterEqual(self.batches, 1)

    def test_jobs_that_block_do_not_keep_others_waiting(self) -> None:
        pool = self.pool(3, 5)
        gate = Event()
        blocked = [Work(gate), Work(gate)]
        quick = [Work() for _ in range(3)]
        for job in [*blocked, *quick]:
            self.assertTrue(pool.submit(job))
        pool.wake()
        self.deliver(*quick)
        self.assertFalse(any(job.ran.is_set() for job in blocked))
        gate.set()
        self.deliver(*blocked)

    def test_no_more_than_threads_and_queue_hold_are_taken(self) -> None:
        pool = self.pool(1, 2)
        gate = Event()
        jobs = [Work(gate) for _ in range(4)]
        self.assertEqual([pool.submit(job) for job in jobs], [True, True, True, False])
        pool.wake()
        gate.set()
        self.deliver(*jobs[:3])
        self.assertTrue(pool.submit(jobs[3]))
        pool.wake()
        self.deliver(jobs[3])

    def test_one_caller_does_not_get_all_of_it(self) -> None:
        pool = self.pool(1, 99)
        taken = 0
        while pool.submit(Work(), held=taken):
            taken += 1
        self.assertEqual(taken, 81)
        other = 0
        while pool.submit(Work(), held=other):
            other += 1
        self.assertEqual(other, 16)
        self.assertTrue(pool.submit(Work(), held=0))

    def test_a_queue_of_none_takes_a_job_while_a_thread_is_free(self) -> None:
        pool = self.pool(1, 0)
        gate = Event()
        first, second = Work(gate), Work()
        self.assertTrue(pool.submit(first))
        self.assertFalse(pool.submit(second))
        pool.wake()
        gate.set()
        self.deliver(first)
        self.assertTrue(pool.submit(second))
        pool.wake()
        self.deliver(second)

    def test_a_job_that_waits_can_be_taken_back_and_one_that_runs_cannot(self) -> None:
        pool = self.pool(1, 1)
        gate = Event()
        running, waiting = Work(gate), Work()
        pool.submit(running)
        pool.wake()
        self.assertTrue(running.begun.wait(PATIENCE))
        pool.submit(waiting)
        self.reactor.advance(2)
        self.assertEqual(pool.status(), PoolStatus(running=1, queued=1, oldest=2.0))
        self.assertTrue(pool.remove(waiting))
        self.assertFalse(pool.remove(waiting))
        self.assertFalse(pool.remove(running))
        self.assertTrue(pool.submit(waiting))
        gate.set()
        pool.wake()
        self.deliver(running, waiting)

    def test_many_jobs_are_all_done_with_few_words_to_the_reactor(self) -> None:
        pool = self.pool(4, 2000)
        jobs = [Work() for _ in range(2000)]
        for job in jobs:
            self.assertTrue(pool.submit(job))
        pool.wake()
        self.deliver(*jobs)
        self.assertEqual({job.finished for job in jobs}, {1})
        self.assertLess(self.batches, 2000)

    def test_while_one_thread_is_on_its_way_no_other_is_sent_for(self) -> None:
        """It sends for the next one itself, if it finds more than it can do."""
        begun: list[Callable[[], None]] = []

        class SlowThread:
            def __init__(self, target: Callable[[], None], **_: object) -> None:
                self.target = target

            def start(self) -> None:
                begun.append(self.target)

        self.patch(workers, "Thread", SlowThread)
        pool = self.pool(4, 10)
        for _ in range(3):
            pool.submit(Work())
            pool.wake()
        self.assertEqual(len(begun), 1)

    def test_large_outcomes_wait_for_the_reactor_before_more_are_made(self) -> None:
        pool = self.pool(1, 10)
        jobs = [Work() for _ in range(4)]
        for job in jobs:
            job.weight = 10 * 1024 * 1024
            pool.submit(job)
        pool.wake()
        self.assertTrue(jobs[1].ran.wait(PATIENCE))
        self.assertFalse(jobs[2].begun.wait(0.05))
        self.deliver(*jobs)

    def test_a_stopped_pool_takes_and_begins_nothing(self) -> None:
        pool = self.pool(1, 5)
        gate = Event()
        running, waiting = Work(gate), Work()
        pool.submit(running)
        pool.wake()
        self.assertTrue(running.begun.wait(PATIENCE))
        pool.submit(waiting)
        pool.stop()
        self.assertFalse(pool.submit(Work()))
        pool.wake()
        gate.set()
        self.deliver(running)
        self.assertFalse(waiting.begun.is_set())

    def test_sizes_that_make_no_sense_are_refused(self) -> None:
        self.assertRaises(ConfigurationError, WorkerPool, self.reactor, 0, 1)
        self.assertRaises(ConfigurationError, WorkerPool, self.reactor, 1, -1)
