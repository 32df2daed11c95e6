"""Writes how Python's `shlex.split` splits many texts into words.

    python3 tests/expected/words.py > src/project/lock/expected_words.json

Each line of the list is a text and its words, or null where it cannot be split.
"""

import json
import random
import shlex

BY_HAND = [
    "", " ", "a", "a b", " a\tb\nc\r", "'a b'", '"a b"', "a'b'c", "''", '""', "a ''", "'", '"', "\\", "a\\", "'\\'",
    "'\\''", '"\\"', '"\\""', '"\\\\"', '"\\n"', "\\n", "a\\ b", "a\\\nb", '"a\\\nb"', "#a", "a #b", "a#b", "# 'x",
    "echo 'a b' \"c  d\" #x", "FOO='hello world' python -c \"x\"", "a;b", "a&&b", "a|b", "$A ${B}", "`a`", "é 'ü'",
    "python -c \"print('foo')\"", "a\u00a0b", "a\x0bb", "a\x0cb", "*", "~", "a\"b'c\"d", "'a\"b'",
]  # fmt: skip
PIECES = [
    "a", "b", "#", " ", "  ", "\t", "\n", "'", "'", '"', '"', "\\", "\\\\", "\\'", '\\"', "\\n", "é", "$A", ";", "=",
    "'x y'", '"x y"', "\r",
]  # fmt: skip


def words(text):
    try:
        return shlex.split(text)
    except ValueError:
        return None


def main():
    chance = random.Random(7)
    made = ["".join(chance.choices(PIECES, k=chance.randint(1, 9))) for _ in range(400)]
    lines = [json.dumps([text, words(text)]) for text in dict.fromkeys(BY_HAND + made)]
    print("[\n" + ",\n".join(lines) + "\n]")


main()
