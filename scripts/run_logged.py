"""Run a command with its output in a log file, and print a line every ten seconds while it runs.

Usage: run_logged.py LABEL LOG COMMAND...
With LITELLM_SPEND_HEARTBEAT=off only the first line is printed, because another program shows the progress.
A build prints hundreds of lines that matter only if it fails. If the command fails, the end of the log is printed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HEARTBEAT_SECONDS = 10
LINES_SHOWN_ON_FAILURE = 40


def say(text: str) -> None:
    started = int(os.environ.get("LITELLM_SPEND_T0", time.time()))
    print(f"[{int(time.time()) - started:3d} s] {text}", file=sys.stderr, flush=True)


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def main(label: str, log_path: str, command: list[str]) -> int:
    log = Path(log_path)
    say(f"{label} ...")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        while True:
            try:
                code = process.wait(timeout=HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if os.environ.get("LITELLM_SPEND_HEARTBEAT") != "off":
                    say(f"  ... {label}: {last_line(log)[:70]}")
            except KeyboardInterrupt:
                process.send_signal(signal.SIGTERM)
                process.wait()
                return 130
    if code != 0:
        tail = log.read_text(errors="replace").splitlines()[-LINES_SHOWN_ON_FAILURE:]
        print("\n".join(tail), file=sys.stderr)
        print(f"error: {label} failed (exit code {code}). The full output is in {log}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
