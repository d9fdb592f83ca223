"""Counts and prints the results of one acceptance check. Standard library only.

    report = Report()
    report.check("what holds", condition, "what was seen instead")
    sys.exit(report.end())
"""
import http.client
import time

POLL_S = 0.02


class Stop(Exception):
    """What the rest of a check stands on is missing; the check ends here."""


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, holds, seen=""):
        """Prints one line and returns whether it holds."""
        if holds:
            self.passed += 1
            print(f"PASS {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {name} -- {' '.join(str(seen).split())[:600]}", flush=True)
        return bool(holds)

    def equal(self, name, found, expected):
        return self.check(name, found == expected, f"found {found!r}, expected {expected!r}")

    def need(self, name, holds, seen=""):
        """As `check`, but what follows makes no sense without it."""
        if not self.check(name, holds, seen):
            raise Stop(name)

    def run(self, *parts):
        """Runs each part (a function); one that raises counts as failed and the next one still runs."""
        for part in parts:
            try:
                part()
            except Stop:
                pass
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the other parts still run
                self.check(part.__name__.replace("_", " "), False, f"{type(error).__name__}: {error}")

    def end(self):
        """Prints the sum; returns the exit status."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def wait(look, limit_s, every_s=POLL_S):
    """The first true value of `look()` within the limit, else the last one. Connection errors count as not yet."""
    end = time.monotonic() + limit_s
    while True:
        try:
            found = look()
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            found = None
        if found or time.monotonic() > end:
            return found
        time.sleep(every_s)
