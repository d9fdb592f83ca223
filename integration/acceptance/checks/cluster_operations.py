#!/usr/bin/env python3
"""cluster_operations.py: the group of masters as its operator handles it, by `tepui cluster`: status, change of the lead, one master that grows
to three and five and shrinks to three under writes, a lost master replaced, wrong and older disks, backup and restore.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import Daemon, free_ranges, request  # noqa: E402
from report import Report, wait  # noqa: E402
from tepui_command import tepui  # noqa: E402

LIMIT_S = 20
STALL_LIMIT_S = 1.0
report = Report()


class Masters:
    """Masters m1 to m5 on free ports, each started when it is wanted."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tepui-acceptance.")
        ports = free_ranges(1, 10)
        self.http = dict(zip(("m1", "m2", "m3", "m4", "m5"), ports[:5]))
        self.bridge = dict(zip(self.http, ports[5:]))
        self.running = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, name, peers=(), work_dir=None):
        """`peers` are the names that --peers has."""
        words = ["master", "--work-dir", self.path(work_dir or name), "--name", name, "--port", str(self.http[name]),
                 "--bridge-port", str(self.bridge[name])]
        if peers:
            words += ["--peers", ",".join(f"{peer}=127.0.0.1:{self.bridge[peer]}" for peer in peers)]
        daemon = Daemon(words, self.http[name], self.path(f"{name}.log"))
        daemon.start()
        self.running[name] = daemon
        return daemon

    def address(self, name):
        return f"{name}=127.0.0.1:{self.bridge[name]}"

    def all(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.http.values())

    def cluster(self, *words, masters=None, target=True):
        """`tepui cluster …`: exit status, output, error output."""
        where = ["--master", masters or self.all()] if target else []
        return tepui("cluster", *words, *where, timeout=120)

    def status(self, masters=None):
        code, out, _ = self.cluster("status", "--json", masters=masters)
        return (code, json.loads(out)) if out else (code, None)

    def shows(self, names, code=0):
        """Whether status shows just these masters, and ends so."""
        got, shown = self.status()
        return got == code and shown and sorted(member["name"] for member in shown["members"]) == sorted(names)

    def member(self, name):
        _, shown = self.status()
        return next((member for member in shown["members"] if member["name"] == name), None) if shown else None

    def leader(self):
        return (self.status()[1] or {}).get("leader")

    def end(self):
        for daemon in self.running.values():
            daemon.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Writer(threading.Thread):
    """Writes without a pause; notes what was acknowledged and the longest time without one."""

    def __init__(self, masters):
        super().__init__(daemon=True)
        self.masters, self.written, self.longest, self.ended = masters, 0, 0.0, threading.Event()

    def run(self):
        last = time.monotonic()
        port = self.masters.http["m1"]
        while not self.ended.is_set():
            number = self.written + 1
            body = json.dumps({"type": "UPDATE_WEIGHTS", "update_weights": {
                "weight_infos": [{"role": f"r{number % 50}", "weight": float(number)}]}})
            try:
                status, headers, _ = request(port, "POST", "/api/v1", body, {"Content-Type": "application/json"}, timeout=5)
            except OSError:
                status, headers = 0, {}
            if status == 200:
                now = time.monotonic()
                self.longest = max(self.longest, now - last)
                last, self.written = now, number
            elif status == 307:
                port = int(headers["Location"].removeprefix("//").partition("/")[0].rpartition(":")[2])
            else:
                time.sleep(0.01)

    def finish(self):
        self.ended.set()
        self.join()
        return self.written, self.longest


class Checks:
    def __init__(self, masters):
        self.masters = masters

    def done(self, what, words, **more):
        code, out, err = self.masters.cluster(*words, **more)
        logs = "".join(daemon.log_tail(8) for daemon in self.masters.running.values())
        report.need(what, code == 0, f"exit {code}\n{out}{err}{logs}")
        return out

    def refused(self, what, words, *parts, code=2):
        got, out, err = self.masters.cluster(*words)
        report.check(what, got == code and all(part in err for part in parts) and err.count("\n") <= 2, f"exit {got}\n{out}{err}")

    def one(self):
        code, _, err = self.masters.cluster("status")
        report.check("status ends with 69 and one line where no master can be reached", code == 69 and err.count("\n") == 1, err)
        self.masters.start("m1")
        report.need("a master alone shows itself", wait(lambda: self.masters.shows(["m1"]), LIMIT_S), self.masters.running["m1"].log_tail())
        wait(lambda: self.masters.member("m1")["address"], LIMIT_S)
        member = self.masters.member("m1")
        report.equal("as the leader without lag", (member["role"], member["lag"], member["reachable"], member["address"]),
                     ("leader", 0, True, f"127.0.0.1:{self.masters.bridge['m1']}"))
        self.refused("a name that is none", ["remove", "m9"], "m9 is no master of this group, which is m1")
        self.refused("the last one stays", ["remove", "m1"], "the only master", "add another first")
        self.refused("an address is one", ["add", "m2=nowhere"], "expected host:port")
        self.refused("a member has a name", ["add", "127.0.0.1:1"], "expected NAME=HOST:PORT")
        self.refused("one that nobody started", ["add", "m2=127.0.0.1:1", "--wait", "1"], "start it with an empty --work-dir", code=1)
        self.done("and calls it off", ["remove", "m2"])

    def grow(self, name, peers):
        """Adds a master, started first."""
        daemon = self.masters.start(name, peers)
        told = wait(lambda: f"tepui cluster add {name}=" in daemon.log_tail(50), LIMIT_S)
        report.check(f"{name} says what it waits for", told, daemon.log_tail())
        self.done(f"{name} is added", ["add", self.masters.address(name)])

    def one_three_five_three(self):
        writer = Writer(self.masters)
        writer.start()
        try:
            self.grow("m2", ["m1"])
            self.grow("m3", ["m1", "m2"])
            report.check("three masters are well", wait(lambda: self.masters.shows(["m1", "m2", "m3"]), LIMIT_S), self.masters.status())
            # Any member will do: it names the leader, which lets it in.
            self.grow("m4", [next(name for name in ("m2", "m3") if name != self.masters.leader())])
            self.grow("m5", ["m1", "m2", "m3", "m4"])
            report.check("five masters are well", wait(lambda: self.masters.shows(["m1", "m2", "m3", "m4", "m5"]), LIMIT_S), self.masters.status())
            self.done("m2 leaves", ["remove", "m2"])
            self.masters.running["m2"].stop()
            self.done("m5 leaves", ["remove", "m5"])
            self.masters.running["m5"].stop()
        finally:
            written, longest = writer.finish()
        print(f"     {written} writes, the longest time without one was {longest * 1000:.0f} ms", flush=True)
        report.check("three masters are left", wait(lambda: self.masters.shows(["m1", "m3", "m4"]), LIMIT_S), self.masters.status())
        report.check(f"writes stalled at most {STALL_LIMIT_S} s", longest <= STALL_LIMIT_S, longest)

    def any_member(self):
        code, shown = self.masters.status()
        for member in shown["members"]:
            got, own = self.masters.status(member["http"])
            report.equal(f"{member['name']} shows the same masters", (got, own["answered_by"], [m["id"] for m in own["members"]]),
                         (code, member["name"], [m["id"] for m in shown["members"]]))
        code, out, _ = self.masters.cluster("status")
        lines = out.splitlines()
        report.check("the table has a header, a line a master and one on the leader", len(lines) == 5 and lines[0].startswith("MASTER")
                     and " leads in term " in lines[-1], out)

    def transferred(self):
        for to in ("m3", "m4", "m1"):
            out = self.done(f"{to} is asked to lead", ["transfer-leader", to])
            report.check("and the answer says so", out.startswith(f"{to} leads in term "), out)
            report.check("as status does", wait(lambda name=to: self.masters.leader() == name, LIMIT_S), self.masters.status())
        _, _, text = request(self.masters.http["m1"], "GET", "/metrics")
        series = [line.rsplit(" ", 1)[0] for line in text.decode().splitlines()]
        report.check("m1 has led before, and its metrics name each series once", len(series) > 100 and len(set(series)) == len(series),
                     sorted({it for it in series if series.count(it) > 1})[:3])
        self.done("who leads already", ["transfer-leader", "m1"])
        self.refused("a stranger", ["transfer-leader", "m2"], "m2 is no master of this group")

    def removed_leader(self):
        """A leader that is to leave lets another lead first; it comes back under another id."""
        old = self.masters.member("m1")["id"]
        self.done("the leader leaves", ["remove", "m1"])
        self.masters.running["m1"].stop()
        self.masters.start("m1", ["m3", "m4"])
        told = wait(lambda: "it was removed" in self.masters.running["m1"].log_tail(50), LIMIT_S)
        report.check("with its old directory it is refused and told why", told, self.masters.running["m1"].log_tail())
        self.masters.running["m1"].stop()
        shutil.rmtree(self.masters.path("m1"))
        self.grow("m1", ["m3", "m4"])
        report.check("its id is a new one", self.masters.member("m1")["id"] > old)

    def stale_peers(self):
        """Restarted with addresses of masters that are long gone, or none, they find each other."""
        for daemon in self.masters.running.values():
            daemon.stop()
        for name, peers in (("m1", ["m1"]), ("m3", ["m1", "m2", "m3"]), ("m4", ["m2"])):
            self.masters.start(name, peers)
        report.need("after a restart with stale --peers all are well", wait(lambda: self.masters.shows(["m1", "m3", "m4"]), LIMIT_S),
                    self.masters.status())

    def a_majority_stays(self):
        self.masters.running["m4"].kill()
        follower = "m4"
        missing = wait(lambda: self.masters.status()[0] == 1 and not self.masters.member(follower)["reachable"], LIMIT_S)
        report.check("status ends with 1 and names the one that is missing", missing, self.masters.status())
        other = next(name for name in ("m1", "m3") if name != self.masters.leader())
        self.refused("one of the two that are left must stay", ["remove", other], "m4 cannot be reached", "bring them back first")
        self.refused("a dead one cannot lead", ["transfer-leader", "m4"], "m4 cannot be reached")

    def replaced(self):
        """m4 lost its disk: it is refused until it is replaced, by one command."""
        shutil.rmtree(self.masters.path("m4"))
        self.masters.start("m4", ["m1", "m3"])
        told = wait(lambda: "--replace" in self.masters.running["m4"].log_tail(50), LIMIT_S)
        report.check("a wiped disk is refused and told what to do", told, self.masters.running["m4"].log_tail())
        before = self.masters.member("m4")["id"]
        self.done("it is replaced", ["add", self.masters.address("m4"), "--replace"])
        report.check("by one with a new id", self.masters.member("m4")["id"] > before)
        report.check("and all are well", wait(lambda: self.masters.shows(["m1", "m3", "m4"]), LIMIT_S), self.masters.status())

    def older_disk(self):
        """A directory restored from a copy lacks what it acknowledged."""
        self.done("m1 leads", ["transfer-leader", "m1"])
        self.masters.running["m3"].stop()
        shutil.copytree(self.masters.path("m3"), self.masters.path("copy"))
        self.masters.start("m3")
        report.check("m3 is back", wait(lambda: self.masters.shows(["m1", "m3", "m4"]), LIMIT_S), self.masters.status())
        writer = Writer(self.masters)
        writer.start()
        wait(lambda: writer.written > 100, LIMIT_S)
        writer.finish()
        wait(lambda: self.masters.member("m3")["lag"] == 0, LIMIT_S)
        self.masters.running["m3"].stop()
        shutil.rmtree(self.masters.path("m3"))
        os.rename(self.masters.path("copy"), self.masters.path("m3"))
        self.masters.start("m3")
        told = wait(lambda: "older disk" in self.masters.running["m3"].log_tail(50), LIMIT_S)
        report.check("an older disk is refused and told what to do", told, self.masters.running["m3"].log_tail())
        self.masters.running["m3"].stop()
        shutil.rmtree(self.masters.path("m3"))
        self.masters.start("m3", ["m1", "m4"])
        self.done("it is replaced too", ["add", self.masters.address("m3"), "--replace"])

    def backup(self):
        file = self.masters.path("backup")
        writer = Writer(self.masters)
        writer.start()
        wait(lambda: writer.written > 100, LIMIT_S)
        before = writer.written
        out = self.done("a backup is made under writes", ["backup", file])
        writer.finish()
        report.check("it is one file, without leftovers", [n for n in os.listdir(self.masters.folder) if n.startswith("backup")] == ["backup"])
        _, shown = self.masters.status()
        report.equal("for its owner alone", os.stat(file).st_mode & 0o777, 0o600)
        report.check("its text names the cluster", shown["cluster_id"] in out, out)
        verified = self.done("it is verified without a master", ["verify", file], target=False)
        report.equal("with the same text", verified, out)
        with open(file, "rb") as whole:
            content = bytearray(whole.read())
        content[len(content) // 2] ^= 1
        with open(self.masters.path("damaged"), "wb") as damaged:
            damaged.write(content)
        code, _, err = self.masters.cluster("verify", self.masters.path("damaged"), target=False)
        report.check("a flipped bit is found", code == 2 and "use another copy" in err, err)
        for words in (["restore", self.masters.path("damaged"), "--work-dir", self.masters.path("new")],
                      ["restore", file, "--work-dir", self.masters.path("m1")]):
            code, _, err = self.masters.cluster(*words, target=False)
            report.check("nothing is restored from damage or over a registry", code == 2 and ("use another copy" in err or "an empty directory" in err), err)
        self.restored(file, shown, before)

    def restored(self, file, shown, before):
        for daemon in self.masters.running.values():
            daemon.stop()
        out = self.done("it is restored", ["restore", file, "--work-dir", self.masters.path("new"), "--name", "m5"], target=False)
        report.check("with what to do next", "no master of the old group may run" in out and "tepui master --work-dir" in out, out)
        self.masters.start("m5", work_dir="new")
        report.need("the restored master leads alone", wait(lambda: self.masters.shows(["m5"]), LIMIT_S), self.masters.running["m5"].log_tail())
        _, now = self.masters.status()
        report.equal("the cluster is the same", now["cluster_id"], shown["cluster_id"])
        report.check("in a term above all of the old one", now["term"] > shown["term"] + 1000, now)
        report.check("under an id that was never given", now["members"][0]["id"] > max(member["id"] for member in shown["members"]), now)
        status, _, body = request(self.masters.http["m5"], "POST", "/api/v1", json.dumps({"type": "GET_WEIGHTS"}),
                                  {"Content-Type": "application/json", "Accept": "application/json"})
        weights = json.loads(body)["get_weights"]["weight_infos"] if status == 200 else []
        highest = max((weight["weight"] for weight in weights), default=0)
        report.check("it has all that was acknowledged before the backup", highest >= before, (highest, before))
        self.masters.start("m3")
        told = wait(lambda: "no way to another master" in self.masters.running["m3"].log_tail(50), LIMIT_S)
        report.check("a master of the old group is alone", told, self.masters.running["m3"].log_tail())
        self.masters.running["m3"].stop()
        shutil.rmtree(self.masters.path("m2"), ignore_errors=True)
        self.grow("m2", ["m5"])


def main():
    masters = Masters()
    try:
        checks = Checks(masters)
        report.run(checks.one, checks.one_three_five_three, checks.any_member, checks.transferred, checks.removed_leader, checks.stale_peers,
                   checks.a_majority_stays, checks.replaced, checks.older_disk, checks.backup)
    finally:
        masters.end()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
