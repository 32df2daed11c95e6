# Compiles sources for venvoy. Run by the target's interpreter with -S -s -B, for ever until stdin ends.
# Arguments: what the interpreter compares a .pyc file with (unchecked, checked, timestamp), and the time of
# every source. Lengths are four bytes, little-endian. First comes the interpreter's version, in two bytes.
# On stdin: the length of a name, the name, the length of a source, the source. On stdout for each: 1 or 0,
# the length of what follows, and the .pyc file or the reason why there is none.
import sys

# Nothing is imported from the current directory.
sys.path[:] = [place for place in sys.path if place]

import gc  # noqa: E402
import importlib.util  # noqa: E402
import marshal  # noqa: E402
import struct  # noqa: E402
import warnings  # noqa: E402


def compiled(name, source, mode, mtime):
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER
    if mode == "timestamp":
        head += struct.pack("<III", 0, mtime & 0xFFFFFFFF, len(source) & 0xFFFFFFFF)
    else:
        head += struct.pack("<I", 3 if mode == "checked" else 1) + importlib.util.source_hash(source)
    return head + marshal.dumps(code)


def main(mode, mtime):
    warnings.simplefilter("ignore")
    gc.disable()
    read, write, flush = sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush
    write(bytes(sys.version_info[:2]))
    flush()
    while True:
        length = read(4)
        if not length:
            return
        name = read(*struct.unpack("<I", length)).decode()
        source = read(*struct.unpack("<I", read(4)))
        try:
            done, answer = 1, compiled(name, source, mode, mtime)
        # Whatever the compiler has against a source, it is only passed over.
        except Exception as error:
            text = "%s: %s" % (type(error).__name__, error)
            done, answer = 0, text.encode("utf-8", "backslashreplace")
        write(struct.pack("<BI", done, len(answer)))
        write(answer)
        flush()


main(sys.argv[1], int(sys.argv[2]))
