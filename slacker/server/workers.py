"""Bounded pools of worker threads for functions that may block.

Twisted's own ``deferToThread`` wakes a thread for each piece of work and the reactor for each result, which
costs several times what a short call costs. Here both go in batches: at most one thread is being woken at any
time, and it wakes the next one only if work is still waiting when it gets to run; results wait for the
reactor in one list, which it is told of once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import Lock, Thread
from typing import Protocol, cast

from attrs import frozen
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from slacker.errors import ConfigurationError

#: Bytes of outcomes that may wait for the reactor; threads that have more wait for it. Beside ten busy
#: threads the reactor comes to run rarely, and large outcomes would pile up meanwhile.
_MOST_UNDELIVERED = 16 * 1024 * 1024


#: A caller may hold so many times what is still free. However many callers there are that take all they can
#: get, something is left for the next one.
_SHARE = 4


class Job(Protocol):
    """Work for one thread, and what the reactor does with its outcome."""

    #: When it came into the queue, by the pool's clock; the pool sets it.
    queued_at: float

    @property
    def weight(self) -> int:
        """Bytes of the outcome, as soon as there is one."""

    def run(self) -> None:
        """Do the work, in a worker thread; keep the outcome, and raise nothing."""

    def finish(self) -> None:
        """Deliver the outcome, on the reactor."""


@frozen
class PoolStatus:
    """How busy a worker pool is.

    :ivar running: jobs that threads are at.
    :ivar queued: jobs that wait for a thread.
    :ivar oldest: seconds that the first of those has waited; 0 if there is none.
    """

    running: int
    queued: int
    oldest: float


class Workers(Protocol):
    """What a server wants of its workers; :class:`WorkerPool` says what each method does."""

    def submit(self, job: Job, held: int = 0) -> bool: ...
    def remove(self, job: Job) -> bool: ...
    def wake(self) -> None: ...
    def status(self) -> PoolStatus: ...
    def stop(self) -> None: ...


class WorkerPool:
    """``threads`` threads, started as they are needed, behind a queue of at most ``queue_size`` jobs.

    :param threads: the most jobs that run at the same time.
    :param queue_size: the most jobs that wait; one more is refused, so that callers hear at once that the
        server is busy instead of timing out later. 0 means that a job is taken only while a thread is free.
    :param after_batch: called on the reactor after the ``finish`` of one or more jobs.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        threads: int = 10,
        queue_size: int = 3000,
        *,
        name: str = "slacker",
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        if threads < 1:
            raise ConfigurationError(f"threads should be at least 1, not {threads}")
        if queue_size < 0:
            raise ConfigurationError(f"queue_size should be 0 or more, not {queue_size}")
        self._reactor = reactor
        self._seconds = cast(IReactorTime, reactor).seconds
        self._name = name
        self._after_batch = after_batch
        self._max_threads = threads
        self._capacity = threads + queue_size  # of all that is taken and not finished in its thread
        self._queue: deque[Job] = deque()
        self._done: deque[Job] = deque()
        self._reactor_told = False
        self._lock = Lock()  # guards what follows
        self._unfinished = 0
        self._threads: list[Thread] = []
        self._sleeping: list[Lock] = []  # one locked lock per idle thread; releasing it wakes the thread
        self._waking = False
        self._undelivered = 0  # bytes
        self._throttled: list[Lock] = []  # of threads that wait for the reactor
        self._stopped = False

    def status(self) -> PoolStatus:
        """How busy it is now."""
        with self._lock:
            waiting = list(islice(self._queue, 1))
            queued = len(self._queue)
            oldest = self._seconds() - waiting[0].queued_at if waiting else 0.0
            return PoolStatus(self._unfinished - queued, queued, oldest)

    def submit(self, job: Job, held: int = 0) -> bool:
        """Take the job, on the reactor, and :meth:`wake` afterwards.

        :param held: calls that its caller has in the server already. One caller gets four fifths of an
            otherwise idle pool and no more, so that there is room for the calls of others.
        :return: False if the pool is full, or stopped.
        """
        with self._lock:
            free = self._capacity - self._unfinished
            if free <= 0 or held > _SHARE * free or self._stopped:
                return False
            self._unfinished += 1
        job.queued_at = self._seconds()
        self._queue.append(job)
        return True

    def remove(self, job: Job) -> bool:
        """Take back a job that no thread has begun; False if one has."""
        try:
            self._queue.remove(job)
        except ValueError:
            return False
        with self._lock:
            self._unfinished -= 1
        return True

    def wake(self) -> None:
        """See that a thread looks at the queue."""
        with self._lock:
            if not self._queue or self._waking or self._stopped:
                return
            if self._sleeping:
                self._waking = True
                self._sleeping.pop().release()
            elif len(self._threads) < self._max_threads:
                self._waking = True
                thread = Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def stop(self) -> None:
        """Let idle threads end now and busy ones after their job; what is still queued never runs.

        Threads are daemons: a function that never returns does not keep the process alive.
        """
        with self._lock:
            self._stopped = True
            self._queue.clear()
            for sleeper in self._sleeping:
                sleeper.release()
            self._sleeping.clear()

    def _work(self) -> None:
        alarm = Lock()
        alarm.acquire()
        queue = self._queue
        awake = False
        while True:
            if not awake:  # just started or woken: the next one may be woken now
                awake = True
                with self._lock:
                    self._waking = False
            try:
                job = queue.popleft()
            except IndexError:
                with self._lock:
                    if self._stopped:
                        return
                    if queue:  # submitted between the look and the lock
                        continue
                    self._sleeping.append(alarm)
                alarm.acquire()
                awake = False
                continue
            if queue and not self._waking:
                self.wake()
            job.run()
            with self._lock:
                self._unfinished -= 1
                self._undelivered += job.weight
                if wait := self._undelivered > _MOST_UNDELIVERED:
                    self._throttled.append(alarm)
            self._done.append(job)
            del job  # an idle thread keeps nothing alive
            if not self._reactor_told:
                self._reactor_told = True
                self._reactor.callFromThread(self._deliver)
            if wait:
                alarm.acquire()

    def _deliver(self) -> None:
        self._reactor_told = False  # before the look: what is added from now on tells again
        done = self._done
        delivered = 0
        for _ in range(len(done)):
            job = done.popleft()
            delivered += job.weight
            job.finish()
        self._after_batch()
        with self._lock:
            self._undelivered -= delivered
            throttled, self._throttled = self._throttled, []
        for alarm in throttled:
            alarm.release()
