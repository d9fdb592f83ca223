"""The command line as a person runs it: nothing of the check's own settings reaches it. Standard library only.

    status, out, err = tepui("agents", "--master", house.address)
"""
import os
import subprocess

from daemons import environment

LIMIT_S = 60


def tepui(*words, **more):
    """(exit status, stdout, stderr); `more` is for subprocess.run."""
    how = {"stdin": subprocess.DEVNULL, "env": environment(), "text": True, "timeout": LIMIT_S, **more}
    done = subprocess.run([os.environ["TEPUI_BIN"], *words], capture_output=True, check=False, **how)
    return done.returncode, done.stdout, done.stderr


def tepui_in_bytes(*words, given=None, **more):
    """As `tepui`; `given` is piped in."""
    piped = {"stdin": None, "input": given} if given is not None else {}
    return tepui(*words, text=False, **piped, **more)
