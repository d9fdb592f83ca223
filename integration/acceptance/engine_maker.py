"""Debian's Docker engine, of its own socket and data, in the network namespace this process is in. Standard library only.

    engine = Engine("/some/folder").start()
    engine.load(Image(cmd=["true"]).layer(busybox()), "box:1")
    engine.get("/containers/json?all=1")
    engine.stop()
"""
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import urllib.parse

from image_maker import Image, busybox  # noqa: F401 - for those who load images
from report import wait
from unix_http import UnixConnection

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
READY_LIMIT_S = 60


def own_network():
    """Leaves the machine's network for one of its own, of a loopback alone: what an engine makes there goes with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


class Engine:
    # They name the folder on their command lines.
    HELPERS = (b"containerd", b"/usr/bin/containerd", b"dockerd")

    def __init__(self, folder):
        self.folder, self.socket = folder, os.path.join(folder, "docker.sock")
        self.process = None

    def start(self):
        """Again, too: with the same data."""
        os.makedirs(self.folder, exist_ok=True)
        # Of an engine that was killed; its number may be that of a zombie, which the new one would wait for.
        for name in ("pid", "exec/containerd/containerd.pid"):
            if os.path.exists(os.path.join(self.folder, name)):
                os.remove(os.path.join(self.folder, name))
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(self.words(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        if not wait(lambda: self.call("GET", "/_ping")[0] == 200, READY_LIMIT_S):
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"the engine is not ready after {READY_LIMIT_S} s: {log.read()[-2000:]}")
        return self

    def words(self):
        return ["dockerd", "-H", f"unix://{self.socket}", "--data-root", os.path.join(self.folder, "data"), "--exec-root", os.path.join(self.folder, "exec"),
                "--pidfile", os.path.join(self.folder, "pid"), "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]

    def environment(self):
        return None

    def call(self, method, path, body=None, kind="application/json", timeout=60):
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path):
        status, body = self.call("GET", path)
        return json.loads(body) if status == 200 else None

    def load(self, image, name):
        path = os.path.join(self.folder, "image.tar")
        image.save(path, name)
        with open(path, "rb") as file:
            status, body = self.call("POST", "/images/load", file.read(), "application/x-tar")
        if status != 200:
            raise RuntimeError(f"{name}: {status} {body!r}")

    def names(self, running=False):
        """Of all containers, or of those that run."""
        return {name for one in self.get(f"/containers/json?all={int(not running)}") for name in one["Names"]}

    def labelled(self, label):
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        return self.get(f"/containers/json?all=1&filters={filters}")

    def kill(self):
        """SIGKILL for the engine alone."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Leaves nothing of it: neither containers nor mounts nor helpers."""
        if self.process and self.process.poll() is None:
            for one in self.get("/containers/json?all=1") or []:
                self.call("DELETE", f"/containers/{one['Id']}?force=1")
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        for pid in self.helpers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            points = [line.split()[1] for line in mounts if line.split()[1].startswith(self.folder + "/")]
        for point in sorted(points, reverse=True):
            subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def helpers(self):
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as line:
                        words = line.read()
                except OSError:
                    continue
                if words.startswith(self.HELPERS) and self.folder.encode() in words:
                    found.append(int(entry))
        return found


class Podman(Engine):
    """Debian's Podman, which has no daemon but for its API, in the same way."""
    HELPERS = (b"podman", b"/usr/bin/podman", b"conmon", b"/usr/bin/conmon")

    def words(self):
        # Its own choice, crun, takes no machine with both kinds of cgroups.
        return ["podman", "--root", os.path.join(self.folder, "data"), "--runroot", os.path.join(self.folder, "run"), "--tmpdir", os.path.join(self.folder, "tmp"),
                "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs", "system", "service", "--time=0", f"unix://{self.socket}"]

    def environment(self):
        settings = os.path.join(self.folder, "containers.conf")
        with open(settings, "w", encoding="utf-8") as file:
            # The machine's limits may be lower than what it would give.
            file.write("[containers]\ndefault_ulimits = []\n")
        return {**os.environ, "CONTAINERS_CONF": settings}


if __name__ == "__main__":
    sys.exit(__doc__)
