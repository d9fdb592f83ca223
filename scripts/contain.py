#!/usr/bin/env python3
"""contain.py CMD…: runs CMD, exits with its status, and leaves no process of it behind.

Containers outlive a killed agent on purpose, so ending the daemons of a test is not enough. This process makes itself the reaper of
orphaned descendants (prctl PR_SET_CHILD_SUBREAPER); when CMD has ended, whatever still hangs below is killed by its pid.
"""
import ctypes
import os
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def descendants():
    """Returns the pids below this process, read from /proc (a command name may hold spaces and brackets: the fields follow the last one)."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, ahead = [], [os.getpid()]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def kill_rest():
    while True:
        for pid in descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.wait()
        except ChildProcessError:
            return


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: child.send_signal(got))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the whole group; CMD decides
    status = child.wait()
    kill_rest()
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
