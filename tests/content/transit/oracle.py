"""Reads transit with another library and writes it again; run by the Python that has it, see test_oracle.py.

Each line of the input is ``json`` or ``msgpack`` and bytes in hexadecimal; each of the output is ``ok`` and
the bytes of the same value, or ``error`` and what the library said.
"""

import io
import sys
from importlib import import_module


def main() -> None:
    reader, writer = import_module("transit.reader").Reader, import_module("transit.writer").Writer
    for line in sys.stdin:
        form, data = line.split()
        written = io.StringIO() if form == "json" else io.BytesIO()
        text = bytes.fromhex(data)
        try:
            value = reader(form).read(io.StringIO(text.decode()) if form == "json" else io.BytesIO(text))
            writer(written, form).write(value)
        except Exception as error:
            print("error", repr(error).encode("unicode_escape").decode())
            continue
        result = written.getvalue()
        print("ok", (result.encode() if isinstance(result, str) else result).hex())


if __name__ == "__main__":
    main()
