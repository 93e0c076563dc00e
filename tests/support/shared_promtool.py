#!/usr/bin/env python3
"""A promtool that runs the same rule tests once for all the tests that need the answer.

The real promtool runs. Its answer is kept for the rest of the test run, under a digest of the test file and of the rule
files that it names. So an answer is never given for other contents.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

REAL, ANSWERS = "SHARED_PROMTOOL_REAL", "SHARED_PROMTOOL_ANSWERS"


def main(arguments: list[str]) -> int:
    """Answer a call of promtool."""
    command = [*json.loads(os.environ[REAL]), *arguments]
    if arguments[:2] != ["test", "rules"] or len(arguments) != 3:
        os.execv(command[0], command)
    test = Path(arguments[2])
    try:
        key = digest(test)
    except OSError:
        os.execv(command[0], command)
    answer = Path(os.environ[ANSWERS]) / key
    with answer.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said = [done.returncode, *(text.replace(str(test), "{test}") for text in (done.stdout, done.stderr))]
            answer.write_text(json.dumps(said), encoding="utf-8")
    code, out, err = json.loads(answer.read_text(encoding="utf-8"))
    sys.stdout.write(out.replace("{test}", str(test)))
    sys.stderr.write(err.replace("{test}", str(test)))
    return int(code)


def digest(test: Path) -> str:
    """Return the digest of a test file and of the rule files that it names."""
    text = test.read_bytes()
    named = re.search(rb"^rule_files:\n((?: *- .*\n)+)", text, flags=re.MULTILINE)
    files = [line.strip(b" -").decode() for line in named[1].splitlines()] if named else []
    whole = hashlib.sha256(text)
    for file in files:
        whole.update((test.parent / file).read_bytes())
    # What it names in another way is not seen: such a test stands for itself.
    return whole.hexdigest() if files else hashlib.sha256(text + os.urandom(16)).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
