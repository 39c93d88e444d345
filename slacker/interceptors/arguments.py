"""A line in the log for each call that failed, with its arguments."""

from __future__ import annotations

from twisted.logger import Logger

from slacker.interceptors.call import Call, Interceptor

_LONGEST = 1_000  # characters of the arguments, so that a large one does not fill the log


class FailedArguments(Interceptor):
    """Logs function, arguments and error of every call that failed. Mind what arguments may contain."""

    log = Logger()

    def post(self, call: Call) -> None:
        if call.error is not None:
            text = repr(call.args)
            if len(text) > _LONGEST:
                text = f"{text[:_LONGEST]}… ({len(text):,} characters)"
            self.log.warn(
                "{function!r} failed with arguments {arguments}: {error!r}",
                function=call.name,
                arguments=text,
                error=str(call.error),
            )
