"""grpcio: its asyncio API on both sides, one channel, protobuf messages."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

from benchmarks import plain
from benchmarks.workloads import Tally, Workload, echo, rand_ints

_OPTIONS = [("grpc.max_receive_message_length", 1 << 24), ("grpc.max_send_message_length", 1 << 24)]
_SERVICE = "benchmark.Example"


def _ints() -> Any:
    """A message of integers, as protoc would make it."""
    file = descriptor_pb2.FileDescriptorProto(name="ints.proto", package="benchmark", syntax="proto3")
    message = file.message_type.add(name="Ints")
    message.field.add(
        name="values",
        number=1,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("benchmark.Ints"))


_Ints = _ints()
_Text, _Bytes, _Int = wrappers_pb2.StringValue, wrappers_pb2.BytesValue, wrappers_pb2.Int32Value


async def _echo_text(request: Any, _: Any) -> Any:
    return _Text(value=echo(request.value))


async def _echo_bytes(request: Any, _: Any) -> Any:
    return _Bytes(value=echo(request.value))


async def _rand_ints(request: Any, _: Any) -> Any:
    return _Ints(values=rand_ints(request.value))


#: By the type of the argument: the method, what is asked and what is answered, and where the result is in it.
_METHODS: dict[type, tuple[str, Any, Any, Any, str]] = {
    str: ("EchoText", _echo_text, _Text, _Text, "value"),
    bytes: ("EchoBytes", _echo_bytes, _Bytes, _Bytes, "value"),
    int: ("RandInts", _rand_ints, _Int, _Ints, "values"),
}

_running: list[Any] = []  # a server that nobody holds stops


def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def serve() -> int:
    async def start() -> int:
        server = grpc.aio.server(options=_OPTIONS)
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                method,
                request_deserializer=asked.FromString,
                response_serializer=answered.SerializeToString,
            )
            for name, method, asked, answered, _ in _METHODS.values()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        port: int = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        _running.append(server)
        return port

    return asyncio.run_coroutine_threadsafe(start(), _loop()).result()


def connect(where: Any) -> plain.Load:
    loop = _loop()

    async def open_channel() -> Any:
        return grpc.aio.insecure_channel(f"127.0.0.1:{where}", options=_OPTIONS)

    channel = asyncio.run_coroutine_threadsafe(open_channel(), loop).result()
    methods = {
        kind: channel.unary_unary(
            f"/{_SERVICE}/{name}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        for kind, (name, _, asked, answered, _) in _METHODS.items()
    }

    async def keep_calling(what: Workload, depth: int, seconds: float) -> dict[str, float]:
        (value,) = what.args
        method, (_, _, asked, _, result) = methods[type(value)], _METHODS[type(value)]
        plain.check(what, getattr(await method(asked(value=value)), result))
        tally = Tally(seconds)

        async def run() -> None:
            started = tally.began
            while started:
                getattr(await method(asked(value=value)), result)
                started = tally.ended(started)

        await asyncio.gather(*(run() for _ in range(depth)))
        return tally.result()

    def load(what: Workload, depth: int, seconds: float) -> dict[str, float]:
        return asyncio.run_coroutine_threadsafe(keep_calling(what, depth, seconds), loop).result()

    return load


if __name__ == "__main__":
    plain.main(serve, connect)
