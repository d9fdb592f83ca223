"""A master and agents as processes of their own, on free ports, with their own work directories. Standard library only.

    with House(agents=1, resources="cpus:4;mem:4096") as house:
        house.master.kill()                     # SIGKILL
        house.master.start()                    # same directory, same port
        house.get("/slaves")                    # parsed JSON of the master
"""
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from report import wait

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))
from free_port import free_ranges  # noqa: E402

READY_LIMIT_S = 20
STOP_LIMIT_S = 5
RUNTIME_ROOT = "/run/tepui"


def request(port, method, path, body=None, headers=None, timeout=10):
    """One request on a connection of its own; returns (status, headers, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def get(port, path):
    """The parsed JSON of a GET that must be answered with 200."""
    status, _, body = request(port, "GET", path)
    if status != 200:
        raise ValueError(f"GET {path}: {status} {body[:200]!r}")
    return json.loads(body)


def post(port, call, path="/api/v1"):
    """The parsed JSON answer to an operator call that must be answered with 200."""
    status, _, body = request(port, "POST", path, json.dumps(call), {"Content-Type": "application/json", "Accept": "application/json"})
    if status != 200:
        raise ValueError(f"POST {path} {call['type']}: {status} {body[:200]!r}")
    return json.loads(body)


def alive(pid):
    """Whether a process lives; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of(folder):
    """The pids that work in `folder` or name it on their command line, this one not among them."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as line:
                words = line.read()
            if os.readlink(f"/proc/{entry}/cwd").startswith(folder) or folder.encode() in words:
                found.append(int(entry))
        except OSError:
            continue
    return found


def process_called(*words):
    """The pid of a process with just this command line; None where there is none."""
    wanted = "".join(f"{word}\0" for word in words).encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as line:
                if line.read() == wanted:
                    return int(entry)
        except OSError:
            continue
    return None


def kill_all(look, limit_s):
    """Kills the pids that `look()` finds, until it finds none."""
    def ended():
        left = look()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left
    wait(ended, limit_s)


def environment(**more):
    """That of this process without what sets programs of Tepui or Mesos."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith(("TEPUI_", "MESOS_"))}, **more}


class Daemon:
    """One process, started as often as wanted with the same arguments."""

    def __init__(self, words, port, log, env=None):
        self.command, self.port, self.log = [os.environ["TEPUI_BIN"], *words], port, log
        self.env = environment(**(env or {}))
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self):
        """Returns when its last thread stands still: on a busy machine they go on for a while after the signal."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def registered(self):
        """Whether this life of an agent is a member."""
        try:
            return get(self.port, "/metrics/snapshot")["slave/registered"] == 1.0
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def log_tail(self, lines=15):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])


class House:
    """A master, or a group of them, and agents. Leaves neither processes nor files behind."""

    def __init__(self, agents=1, resources="cpus:4;mem:4096;disk:1000;ports:[31000-32000]", masters=1, zookeeper=False):
        self.folder = tempfile.mkdtemp(prefix="tepui-acceptance.")
        ports = free_ranges(1, 3 * masters + agents)
        http, bridges, self.zk_ports = (ports[masters * at:masters * (at + 1)] for at in range(3))
        peers = ",".join(f"m{number}=127.0.0.1:{port}" for number, port in enumerate(bridges, 1))
        self.masters = []
        for number, (port, bridge, zk) in enumerate(zip(http, bridges, self.zk_ports), 1):
            name = "master" if masters == 1 else f"m{number}"
            group = ["--bridge-port", str(bridge)] if masters == 1 else ["--name", name, "--peers", peers]
            endpoint = ["--zk-port", str(zk)] if zookeeper else []
            words = ["master", "--work-dir", self.path(name), "--port", str(port), *group, *endpoint]
            self.masters.append(Daemon(words, port, self.path(f"{name}.log")))
        self.master = self.masters[0]
        self.port = self.master.port
        self.address = f"127.0.0.1:{self.port}"
        addresses = ",".join(f"127.0.0.1:{port}" for port in http)
        self.agents = [Daemon(["agent", "--work-dir", self.path(f"agent{index}"), "--master", addresses, "--port", str(port),
                               "--resources", resources], port, self.path(f"agent{index}.log"))
                       for index, port in enumerate(ports[3 * masters:])]

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        """A file in its folder, of this user alone where `mode` does not say else; gives its path."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return self.path(name)

    def __enter__(self):
        try:
            for master in self.masters:
                master.start()
            for agent in self.agents:
                agent.start()
            if not wait(self.all_are_there, READY_LIMIT_S):
                logs = "".join(daemon.log_tail() for daemon in [*self.masters, *self.agents])
                raise RuntimeError(f"no master with {len(self.agents)} agents within {READY_LIMIT_S} s:\n{logs}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in [*self.agents, *self.masters]:
            daemon.stop()
        self.end_left_over()
        for index in range(len(self.agents)):
            self.forget_runtime(self.path(f"agent{index}"))
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_left_over(self):
        """Containers outlive an agent on purpose."""
        kill_all(lambda: processes_of(self.folder), STOP_LIMIT_S)

    @staticmethod
    def forget_runtime(work_dir):
        """Removes what an agent with this work directory keeps outside of it: its runtime directory, and those of networks and executors beside it."""
        name = hashlib.sha256(work_dir.encode()).hexdigest()[:16]
        for path in (name, name + ".networks", f"../tepui-executors/{name}"):
            shutil.rmtree(os.path.join(RUNTIME_ROOT, path), ignore_errors=True)

    def all_are_there(self):
        leader = self.leader(self.masters)
        if leader is None:
            return False
        self.port = leader.port
        return self.active_agents() == len(self.agents)

    def agents_are_back(self):
        """By their own words: the master may not have noticed yet that one was gone."""
        return all(agent.registered() for agent in self.agents)

    @staticmethod
    def leader(masters):
        """The master that leads, by its own words and those of others; None where there is none."""
        for asked in masters:
            try:
                status, _, body = request(asked.port, "GET", "/tepui/v1/leader", timeout=3)
            except (OSError, http.client.HTTPException):
                continue
            if status != 200:
                continue
            port = int(json.loads(body)["leader"].rpartition(":")[2])
            named = next((master for master in masters if master.port == port), None)
            try:
                # Others know it a moment before it has finished recovery.
                if named and request(named.port, "GET", "/tepui/v1/leader", timeout=3)[0] == 200:
                    return named
            except (OSError, http.client.HTTPException):
                pass
        return None

    def active_agents(self):
        return sum(agent["active"] for agent in self.get("/slaves")["slaves"])

    def get(self, path):
        return get(self.port, path)

    def post(self, call):
        return post(self.port, call)
