"""Writes what `python-dotenv` reads from many `.env` files.

    python3 -m pip install python-dotenv==1.2.4
    python3 tests/expected/env_files.py > src/project/lock/expected_dotenv.json

Each line of the list is a file's text, the variables it sets, and how many statements cannot be read.
The environment around it holds OUT, EMPTY and A.
"""

import json
import logging
import os
import random
import tempfile

from dotenv import dotenv_values
from dotenv.parser import parse_stream

BY_HAND = [
    "A= # c", "A=#c", "A=x #c", "A=x#c", "A=x\t#c", "A='x'#c", "A='x' #c", 'A="x"y', "A=x=y", "A==x",
    "\ufeffA=1", "'abc\nB=2", "'a b'=1", "''=1\nB=1", "export 'A'=1", "é=1", "A.b-c=1", "A:1\nB=2",
    'A="x\r\ny"\r\nB=1', "A=1\rB=2", "A\nB=${A:-d}", "A=1\nA", "A=1\nB=${A}\nA\nC=${A}",
    "export\nA=1", "exportA=1", "export  A = 'x' # y", "export=1", "export =1", "export export=1",
    'A="x" y\nB=1', "A='x\ny' z\nB=1", 'A="\\x41\\u0041\\101"', 'A="\\a\\b\\f\\n\\r\\t\\v\\\'\\"\\\\"',
    "A='\\a\\b\\f\\n\\r\\t\\v\\'\\\\'", 'A="\\', 'A="\\\\"', 'A="\\\\\\"" # x', "A=a\\nb", 'A="a\\\nb"',
    "B=${A}\nA=2\nC=${A}", "A='${OUT}'", "A=\"${OUT}\"", "A=${OUT", "A=$OUT", "A=${}", "A=${:-d}",
    "A=${NONE:-${OUT}}", "A=${a:b${OUT}}", "A=${a:b:-c}", "A=${${OUT}}", "A=${EMPTY:-d}", "A=${NONE-d}",
    "A=${NONE:-a:-b}", "A=1 \x1c#c", "A=\x1cx", "=x\nB=1", "A=\n=\nB=1", "# c\n\n A=1", "A=`x`", "A=$(x)",
    'A="open\nB=1\nC="x"', "A\t=\t1", "A=1\n\n\n", "", "\n \n", "#",
]  # fmt: skip
PIECES = [
    "A", "B", "OUT", "export ", "=", "=", " = ", "\n", "\n", "\r\n", "\r", "'", "'", '"', '"', "#", " #",
    "\\", "\\n", "\\'", '\\"', "${A}", "${B:-d}", "${", "}", ":", ":-", "é", "\t", " ", "x", "\x0b", "\x1f",
    "A=1", 'B="q"', "C='s'", "${EMPTY:-z}", "\u00a0",
]  # fmt: skip


def made_up(choice):
    line = lambda: choice(["A", "B", "export D", " E", "'F G'"]) + choice(["=", " = ", "= ", ""]) + choice(
        ["%", '"%"', "'%'", "% # c", '"%" # c', '"%" z', "# %"]
    ).replace("%", "".join(choice(PIECES) for _ in range(choice(range(5)))))
    return "\n".join(line() for _ in range(choice(range(1, 4))))


def read(text):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".env") as file:
        file.write(text)
        file.flush()
        values = dotenv_values(file.name, encoding="utf-8")
        with open(file.name, encoding="utf-8") as stream:
            unreadable = sum(binding.error for binding in parse_stream(stream))
    return [text, {name: value for name, value in values.items() if value is not None}, unreadable]


logging.disable()
os.environ.clear()
os.environ.update(OUT="outer", EMPTY="", A="around")
choice = random.Random(1).choice
texts = BY_HAND + ["".join(choice(PIECES) for _ in range(12)) for _ in range(150)] + [made_up(choice) for _ in range(150)]
print("[\n" + ",\n".join(json.dumps(read(text)) for text in texts) + "\n]")
