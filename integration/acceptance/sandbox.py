"""Sandboxes on a house's first agent, by the names of executors; that of a command task has its task's. Standard library only.

    class Checks(Sandboxes):
        def __init__(self, house):
            self.house = house
"""
import glob
import os

# Of a shell, until `go` is called.
WAIT_FOR_GO = "while ! test -e $MESOS_SANDBOX/go; do sleep 0.1; done"


class Sandboxes:
    """Of `self.house`."""

    def sandboxes_of(self, name):
        """One of each run. `latest`, which leads to one of them, has no dash in its name as containers have."""
        return glob.glob(f"{self.house.path('agent0')}/slaves/*/frameworks/*/executors/{name}/runs/*-*")

    def sandbox(self, name):
        """None where there is none."""
        return next(iter(self.sandboxes_of(name)), None)

    def output(self, name, file="stdout"):
        with open(os.path.join(self.sandbox(name), file), encoding="utf-8") as out:
            return out.read()

    def go(self, name, folder=""):
        """Lets go what waits in a sandbox, or in a folder within."""
        with open(os.path.join(self.sandbox(name), folder, "go"), "w", encoding="utf-8"):
            pass
