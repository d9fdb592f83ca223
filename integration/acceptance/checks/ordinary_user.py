#!/usr/bin/env python3
"""ordinary_user.py: other checks once more, with masters and agents of a user without any right: process groups in place of cgroups, no namespaces.

Wants TEPUI_BIN, and root to become somebody else. Ends with 0 or 1.
"""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
sys.path.insert(0, os.path.join(HERE, ".."))
from report import Report  # noqa: E402

CHECKS = ("hundred_tasks", "command_exec", "fetching", "agent_executors", "sessions")
LIMIT_S = 120
report = Report()


class Somebody:
    """A user with copies of programs and checks, since where they lie may be closed to others."""

    def __init__(self, folder):
        self.folder, self.user = folder, pwd.getpwnam("nobody")
        for path in ("integration/acceptance", "scripts"):
            shutil.copytree(os.path.join(ROOT, path), os.path.join(folder, path), ignore=shutil.ignore_patterns("__pycache__"))
        for program in ("tepui", "tepui-shim"):
            shutil.copy(os.path.join(os.path.dirname(os.environ["TEPUI_BIN"]), program), folder)
        self.home = os.path.join(folder, "home")
        os.mkdir(self.home)
        shutil.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        os.chmod(folder, 0o755)
        self.python = next((it for it in (sys.executable, "/usr/bin/python3") if self.can_run(it)), None)

    def can_run(self, python):
        try:
            return self.run([python, "-c", "import json"]).returncode == 0
        except OSError:
            return False

    def run(self, words):
        at = self.folder
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.home, "TMPDIR": self.home, "USER": self.user.pw_name, "PYTHONDONTWRITEBYTECODE": "1",
               "TEPUI_BIN": f"{at}/tepui", "PYTHONPATH": f"{at}/integration/acceptance:{at}/scripts"}
        return subprocess.run(words, env=env, cwd=self.home, user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False)

    def check(self, name):
        done = self.run([self.python, f"{self.folder}/integration/acceptance/checks/{name}.py"])
        said = done.stdout.decode(errors="replace").splitlines()
        failed = [line for line in said if line.startswith("FAIL")]
        report.check(f"{name}: {said[-1] if said else 'nothing was said'}", done.returncode == 0 and not failed, "\n".join(failed or said[-20:]))


def main():
    if os.geteuid() != 0:
        report.check("every check here runs as an ordinary user already", True)
        sys.exit(report.end())
    folder = tempfile.mkdtemp(prefix="tepui-acceptance.")
    try:
        somebody = Somebody(folder)
        if somebody.python is None:
            print("left out: no Python here can be run by others", flush=True)
            sys.exit(0)
        for name in CHECKS:
            somebody.check(name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
