#!/usr/bin/env python3
"""zookeeper.py: clients that others wrote find the leader by `zk://` and follow it: kazoo, pymesos and, where Debian's package is
installed, zkCli.sh. First the master is killed and started again; then it is killed for good and its clients' other address serves. Of a group all masters are listed, behind the one that leads.

Wants TEPUI_BIN, and the clients that clients.sh installs. Ends with 0 or 1.
"""
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from functools import partial

ACCEPTANCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, ACCEPTANCE)
sys.path.insert(0, os.path.join(ACCEPTANCE, "..", "..", "scripts"))
CLIENTS = os.environ.get("CLIENTS_HOME") or os.path.expanduser("~/.cache/tepui-clients")
PYTHON = os.path.join(CLIENTS, "pymesos", "bin", "python")
try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import ConnectionLoss, NoNodeError, NotReadOnlyCallError
    from pymesos import MesosSchedulerDriver, Scheduler
except ImportError:
    if sys.executable == PYTHON or not os.path.exists(PYTHON):
        sys.exit(f"FAIL no kazoo and pymesos in {CLIENTS}: run integration/acceptance/clients.sh, which installs them")
    os.execv(PYTHON, [PYTHON, *sys.argv])

from daemons import Daemon, House, get  # noqa: E402
from free_port import free_ranges  # noqa: E402
from report import Report, wait  # noqa: E402

ZKCLI = "/usr/share/zookeeper/bin/zkCli.sh"
LIMIT_S = 20
# A Java program starts, on a machine that may be busy.
ZKCLI_LIMIT_S = 60
report = Report()


class Master:
    """A master of one, with an endpoint for clients of ZooKeeper."""

    def __init__(self, folder, name, ports):
        self.port, bridge, self.zk_port = ports
        self.zk = f"127.0.0.1:{self.zk_port}"
        self.daemon = Daemon(["master", "--work-dir", os.path.join(folder, name), "--port", str(self.port), "--bridge-port", str(bridge),
                              "--zk-port", str(self.zk_port)], self.port, os.path.join(folder, f"{name}.log"))

    def start(self):
        self.daemon.start()
        found = wait(lambda: get(self.port, "/tepui/v1/leader"), LIMIT_S)
        report.need("a master with --zk-port leads", found, self.daemon.log_tail())

    def word(self, word):
        """The answer to a command of four letters."""
        with socket.create_connection(("127.0.0.1", self.zk_port), LIMIT_S) as connection:
            connection.sendall(word)
            return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


class Follower:
    """A kazoo client that keeps what its watches told."""

    def __init__(self, hosts):
        self.zk = KazooClient(hosts=f"{hosts}/mesos", timeout=10, randomize_hosts=False)
        self.zk.start(LIMIT_S)
        self.session, self.children, self.deleted, self.lost = self.zk.client_id[0], [], [], False
        self.zk.add_listener(self.on_state)
        self.zk.ChildrenWatch("/")(self.on_children)

    def on_state(self, state):
        self.lost |= state == "LOST"

    def on_children(self, children):
        self.children = sorted(children)
        for child in self.children:
            self.zk.DataWatch(f"/{child}")(partial(self.on_data, child))

    def on_data(self, name, data, stat, event):
        if data is None:
            self.deleted.append(name)
        return data is not None

    def leader(self):
        """Its name and what it says, or None."""
        if not self.children:
            return None
        name = self.children[0]
        try:
            return name, json.loads(self.zk.get(f"/{name}")[0])
        except (NoNodeError, ConnectionLoss):
            # On its way from one leader to the next.
            return None

    def close(self):
        self.zk.stop()
        self.zk.close()


class Framework(Scheduler):
    """A pymesos framework that only registers."""

    def __init__(self, uri):
        self.id, self.masters, self.errors = None, [], []
        info = {"user": "root", "name": "follower", "failover_timeout": 60, "roles": ["*"], "capabilities": [{"type": "MULTI_ROLE"}]}
        self.driver = MesosSchedulerDriver(self, info, uri)
        self.driver.start()

    def registered(self, driver, framework_id, master):
        self.id = framework_id["value"]
        self.masters.append(master["port"])

    def reregistered(self, driver, master):
        self.masters.append(master["port"])

    def error(self, driver, message):
        self.errors.append(message)


class ZkCli:
    """Debian's zkCli.sh, typed to line by line."""

    def __init__(self, hosts):
        self.process = subprocess.Popen([ZKCLI, "-server", hosts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, bufsize=1)
        self.text = ""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.text += line

    def type(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def says(self, pattern, since=0):
        """What the pattern's group found, once it is printed."""
        found = wait(lambda: re.search(pattern, self.text[since:]), ZKCLI_LIMIT_S)
        return found and found.group(1)

    def close(self):
        self.process.kill()
        self.process.wait()


class Checks:
    def __init__(self, folder):
        ports = free_ranges(1, 6)
        self.first, self.second = Master(folder, "first", ports[:3]), Master(folder, "second", ports[3:])
        self.both = f"{self.first.zk},{self.second.zk}"
        self.follower = self.framework = self.zkcli = None

    def kazoo_reads(self):
        self.first.start()
        self.follower = Follower(self.both)
        report.need("kazoo finds one node", wait(self.follower.leader, LIMIT_S), self.follower.children)
        name, info = self.follower.leader()
        report.check("it is named as Mesos names it", re.fullmatch(r"json\.info_\d{10}", name), name)
        answered = get(self.first.port, "/registrar(1)/registry")["master"]["info"]
        report.equal("it says what the registry says of the master", info, answered)
        data, stat = self.follower.zk.get(f"/{name}")
        report.check("it belongs to a session", stat.ephemeralOwner and stat.dataLength == len(data) and stat.version == 0, stat)
        report.equal("its keys are in Mesos' order", list(info), sorted(info))
        report.check("exists tells the two apart", self.follower.zk.exists(f"/{name}") and not self.follower.zk.exists("/none"))
        report.equal("the parent's path may be made sure of", self.follower.zk.ensure_path("/"), True)
        self.refused("a node cannot be made", lambda: self.follower.zk.create("/x", b""))
        self.refused("nor deleted", lambda: self.follower.zk.delete(f"/{name}"))
        report.equal("kazoo knows the version", self.follower.zk.server_version()[:2], (3, 8))
        report.equal("ruok", self.first.word(b"ruok"), "imok")
        report.check("srvr", "Mode: read-only\nNode count: 3\n" in self.first.word(b"srvr"))
        report.check("stat lists the client", re.search(r"/127\.0\.0\.1:\d+\[1\]\(queued=0", self.first.word(b"stat")))

    @staticmethod
    def refused(name, write):
        try:
            write()
            report.check(name, False, "it was")
        except NotReadOnlyCallError:
            report.check(name, True)

    def zkcli_reads(self):
        if not os.path.exists(ZKCLI):
            print(f"     {ZKCLI} is not installed (Debian: zookeeper): its checks are left out", flush=True)
            return
        self.zkcli = ZkCli(self.both)
        # What is typed before may be answered with the loss of a connection that it had not.
        report.need("zkCli connects", self.zkcli.says(r"(state:SyncConnected type:None)"), self.zkcli.text)
        name = self.follower.children[0]
        self.zkcli.type("ls -w /mesos")
        report.equal("zkCli lists", self.zkcli.says(r"(?m)^\[(json\.info_\d+)\]"), name)
        self.zkcli.type(f"get /mesos/{name}")
        said = self.zkcli.says(r'(?m)^(\{"address".*\})$')
        report.equal("zkCli gets", json.loads(said or "null"), self.follower.leader()[1])
        self.zkcli.type("create /x")
        report.check("zkCli is told that nothing can be written", self.zkcli.says(r"(Not a read-only call: /x)"), self.zkcli.text[-300:])

    def pymesos_registers(self):
        self.framework = Framework(f"zk://{self.first.zk}/mesos")
        report.need("pymesos finds the master by zk:// and registers", wait(lambda: self.framework.id, LIMIT_S), self.framework.errors)

    def through_a_restart(self):
        before = self.follower.leader()
        mark = len(self.zkcli.text) if self.zkcli else 0
        self.first.daemon.kill()
        self.first.start()
        later = wait(lambda: self.later_leader(before[0]), LIMIT_S)
        report.need("kazoo is told of the next leader", later, self.follower.children)
        name, info = later
        report.check("which is another one", info["id"] != before[1]["id"] and info["id"] == self.leader_id(self.first), info)
        report.check("the old node is gone", wait(lambda: before[0] in self.follower.deleted, LIMIT_S), self.follower.deleted)
        self.same_session()
        if self.zkcli:
            report.check("zkCli is told", self.zkcli.says(r"(type:NodeChildrenChanged path:/mesos)", mark), self.zkcli.text[mark:])
            mark = len(self.zkcli.text)
            self.zkcli.type("ls -w /mesos")
            report.equal("and lists the next leader", self.zkcli.says(r"(?m)^\[(json\.info_\d+)\]", mark), name)
        wait(lambda: len(self.framework.masters) > 1, LIMIT_S)
        report.equal("pymesos registers with it again", self.framework.masters, [self.first.port] * 2)
        report.equal("under its id", self.listed(), [self.framework.id])
        self.framework.driver.stop()
        self.framework.driver.join()

    def to_another_endpoint(self):
        # Once more, so that its term is a later one.
        self.second.start()
        while get(self.second.port, "/tepui/v1/leader")["term"] <= get(self.first.port, "/tepui/v1/leader")["term"]:
            self.second.daemon.kill()
            self.second.start()
        mark = len(self.zkcli.text) if self.zkcli else 0
        self.first.daemon.kill()
        found = wait(lambda: (self.follower.leader() or [None, {}])[1].get("port") == self.second.port, LIMIT_S)
        report.check("kazoo goes to the other address and finds its leader", found, self.follower.children)
        self.same_session()
        if self.zkcli:
            report.check("zkCli is told there", self.zkcli.says(r"(type:NodeChildrenChanged path:/mesos)", mark), self.zkcli.text[mark:])
            mark = len(self.zkcli.text)
            self.zkcli.type("ls /mesos")
            report.equal("and lists its leader", self.zkcli.says(r"(?m)^\[(json\.info_\d+)\]", mark), self.follower.children[0])
            report.check("in the session it had", "Expired" not in self.zkcli.text, self.zkcli.text[mark:])

    def later_leader(self, name):
        leader = self.follower.leader()
        return leader if leader and leader[0] > name else None

    def leader_id(self, master):
        return get(master.port, "/state")["id"]

    def listed(self):
        return [framework["id"] for framework in get(self.first.port, "/frameworks")["frameworks"]]

    def same_session(self):
        report.equal("in the session it had", (self.follower.zk.client_id[0], self.follower.lost), (self.follower.session, False))

    def end(self):
        if self.framework and not self.framework.driver.aborted:
            self.framework.driver.abort()
        if self.zkcli:
            self.zkcli.close()
        if self.follower:
            self.follower.close()
        for master in (self.first, self.second):
            master.daemon.stop()


def of_a_group():
    """Some tools name or count all masters."""
    with House(agents=0, masters=3, zookeeper=True) as house:
        leader = house.leader(house.masters)
        followers = [master for master in house.masters if master is not leader]
        for master, zk_port in zip(house.masters, house.zk_ports):
            if master is followers[1]:
                continue
            follower = Follower(f"127.0.0.1:{zk_port}")
            who = "the leader" if master is leader else "a follower"
            report.check(f"a group: all its masters are listed by {who}", wait(lambda: len(follower.children) == 3, LIMIT_S), follower.children)  # noqa: B023
            infos = [json.loads(follower.zk.get(f"/{name}")[0]) for name in follower.children]
            report.equal("first the one that leads", infos[0]["port"], leader.port)
            report.equal("and then the others", sorted(it["port"] for it in infos[1:]), sorted(it.port for it in followers))
            report.equal("each with an id of its own", len({it["id"] for it in infos}), 3)
            follower.close()
        follower = Follower(f"127.0.0.1:{house.zk_ports[house.masters.index(leader)]}")
        wait(lambda: len(follower.children) == 3, LIMIT_S)
        first = follower.children[0]
        followers[1].kill()
        report.check("a group: one that is gone is not listed", wait(lambda: len(follower.children) == 2, LIMIT_S), follower.children)
        report.equal("and the leader is no other one for that", follower.children[0], first)
        follower.close()


def main():
    # They tell at length of connections that are lost on purpose.
    logging.disable(logging.CRITICAL)
    folder = tempfile.mkdtemp(prefix="tepui-acceptance.")
    checks = Checks(folder)
    try:
        report.run(checks.kazoo_reads)
        if not report.failed:
            report.run(checks.zkcli_reads, checks.pymesos_registers, checks.through_a_restart, checks.to_another_endpoint, of_a_group)
    finally:
        checks.end()
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    # Threads of the clients may linger.
    os._exit(report.end())


if __name__ == "__main__":
    main()
