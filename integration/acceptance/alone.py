"""Namespaces of a test's own. Needs root, util-linux and iproute2."""
import os
import subprocess
import sys

MARK = "TEPUI_TEST_ALONE"


def alone():
    """Starts this program anew in a network, of a loopback alone, and a mount namespace that end with it: bridges, rules and mounts are
    nobody else's, and none is left however the test ends. There it returns."""
    if os.environ.get(MARK) != str(os.getpid()):
        os.environ[MARK] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
