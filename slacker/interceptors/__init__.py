"""What looks at calls on their way, and may change what comes of them.

::

    class Audit(Interceptor):
        def before(self, call):
            log.info("{function} {args}", function=call.name, args=call.args)

    server = SlackerServer([myapp.api], interceptors=[Audit(), SlowCalls(threshold=1.0)])

The stages of a call, on a client: ``pre``, arguments are encoded, ``before``, the call is made, ``after``,
its answer is decoded, ``post``. On a server: ``pre``, arguments are decoded, ``before``, the function runs,
``after``, its result is encoded, ``post``. Interceptors run in the order in which they were given in the
first two stages, and in reverse in the last two. All stages run on the reactor.
"""

from slacker.interceptors.arguments import FailedArguments
from slacker.interceptors.call import Call, Interceptor
from slacker.interceptors.context import with_extensions
from slacker.interceptors.deadline import Deadline
from slacker.interceptors.slow import SlowCalls
from slacker.interceptors.statistics import CallStatistics

__all__ = [
    "Call",
    "CallStatistics",
    "Deadline",
    "FailedArguments",
    "Interceptor",
    "SlowCalls",
    "with_extensions",
]
