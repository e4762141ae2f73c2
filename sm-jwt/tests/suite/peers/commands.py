"""The loop of the peers that are written in Python: a command a line, an answer a line."""

import sys


def unhex(word):
    return b"" if word == "-" else bytes.fromhex(word)


def serve(commands):
    """Calls `commands[name](*words)` for each line; mod.rs beside this file says what they mean."""
    for line in sys.stdin:
        name, *words = line.split()
        try:
            answer = "ok " + commands[name](*words)
        except Exception as error:  # whatever it is, the test is told
            text = f"{type(error).__name__}: {error}"
            answer = "error " + " ".join(text.split())
        print(answer, flush=True)
