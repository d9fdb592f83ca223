#!/usr/bin/env python3
"""containment.py: what a hostile command in a container with an image meets, compared with the table in docs/containment.md.

Wants TEPUI_BIN, root and Debian's busybox-static. Ends with 0 or 1. Attempts (probes.py) run as root and as nobody. `denied`: it
did not get through. `harmless`: it did, and this script saw that the machine is as before. `allowed`: it did, and the table says why.
"""
import ctypes
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import of_mesos  # noqa: E402
from daemons import House, alive, processes_of, request  # noqa: E402
from image_maker import Image, busybox, entry, folder, text  # noqa: E402
from probes import FLOODS, PROBES, VOLUMES  # noqa: E402
from remains import roots  # noqa: E402
from report import Report, wait  # noqa: E402
from sandbox import Sandboxes  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

report = Report()
LIMIT_S = 240
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "containment.md")
USERS = ("root", "nobody")
# Of containers that are set apart further: containment_apart.py.
APART = ("network", "users")
PIDS_LIMIT = 256
CANARY = "canary of the machine"
CONTROL = ("unshare-mounts", "unshare-pids", "unshare-ipc", "unshare-names", "unshare-network", "setns-own", "make-memory", "make-disk", "nice",
           "raw-socket", "see-ipc", "see-shared-memory", "no-filter", "capability-of-admin", "mount-tmpfs")
RUNNER = """for probe in /probes/*; do timeout 20 sh $probe > /dev/null 2> /tmp/why-$(id -u); echo "$(basename $probe) $? $(head -n 1 /tmp/why-$(id -u))"; done"""


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def table():
    """Probe -> what root and nobody are expected to meet, and root with a network or users of its own."""
    rows = re.findall(r"^\| `([a-z-]+)` \|.*?((?: \| (?:denied|harmless|allowed))+) \|$", read(TABLE), re.MULTILINE)
    return {name: dict(zip((*USERS, *APART), expected.split(" | ")[1:])) for name, expected in rows}


def disk():
    """Major and minor number of the machine's disk, as mknod wants them."""
    number = os.stat("/").st_dev
    return f"{os.major(number)} {os.minor(number)}"


class Containment(Sandboxes):
    def __init__(self, house, framework, images):
        self.house, self.framework, self.images = house, framework, images
        self.expected = table()
        self.canary = house.path("canary")
        with open(self.canary, "w", encoding="utf-8") as file:
            file.write(CANARY)
        os.chmod(self.canary, 0o644)
        self.link = house.path("link")
        os.symlink(house.path("agent0"), self.link)
        self.process = subprocess.Popen(["sleep", "6000"], executable="/bin/sleep", env={"CANARY": CANARY})
        self.marked = subprocess.Popen(["sh", "-c", "sleep 6000 # @canary-process"])
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind("\0tepui-canary-socket")
        self.shm = ctypes.CDLL(None).shmget(0x7e9d1, 4096, 0o1600)
        self.init_score = read("/proc/1/oom_score_adj")
        self.host_name = os.uname().nodename

    def close(self):
        self.socket.close()
        for process in (self.process, self.marked):
            process.kill()
            process.wait()
        ctypes.CDLL(None).shmctl(self.shm, 0, None)
        if os.path.exists("/dev/shm/tepui-canary"):
            os.unlink("/dev/shm/tepui-canary")

    def facts(self):
        return {"CANARY": self.canary, "LINK": self.link, "WORK_DIR": self.house.path("agent0"), "OTHER_SANDBOX": self.sandbox("other"), "HOST_PID": self.process.pid,
                "DISK": disk(), "AGENT_PORT": self.house.agents[0].port}

    def start(self, name, command, user="root", mem=64, image="hostile:1", **more):
        offer = self.framework.wait_offer(cpus=0.5, mem=mem)
        info = task(name, offer, command, mem=mem)
        info["command"]["user"] = user
        self.framework.launch(offer, [{**info, "container": {**of_mesos(image), **more}}])

    def wait_end(self, name):
        ends = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED")
        of_task = lambda: next((it for it in self.framework.updates_of(name) if it["state"] in ends), None)  # noqa: E731
        return wait(of_task, LIMIT_S) or {"state": "none"}

    def filled(self, text):
        for fact, value in self.facts().items():
            text = text.replace(f"@{fact}@", str(value))
        return text

    def make_image(self):
        members = [folder("probes"), text("mark", "of the image"), entry("private", data=b"private", mode=0o600), folder("suid")]
        for name, script in PROBES.items():
            members.append(text(f"probes/{name}", self.filled(script) + "\n", mode=0o755))
        with open("/bin/busybox", "rb") as file:
            program = file.read()
        programs = subprocess.run(["/bin/busybox", "--list"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
        base = [it for it in busybox() if it[0].name != "etc/passwd"]
        have = {it[0].name for it in base}
        links = [entry(f"bin/{name}", b"2", link="busybox", mode=0o777) for name in programs if f"bin/{name}" not in have and name != "busybox"]
        passwd = text("etc/passwd", "root::0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        image = Image().layer(*base, *links, passwd, *members, entry("suid/su", data=program, mode=0o4755))
        with open("/usr/bin/id", "rb") as file:
            image.layer(entry("suid/id", data=file.read(), mode=0o4755))
        image.save(os.path.join(self.images, "hostile:1.tar"), "hostile:1")

    def harmless(self, name, user):
        """Whether the machine is as it was; `None` where nobody looks."""
        uid = {"root": 0, "nobody": 65534}[user]
        looks = {
            "link-in-sandbox": lambda: CANARY not in self.by_files_api(f"attempts-{user}", f"link-{uid}"),
            "write-image": lambda: all(read(path) == "of the image" for path in self.stored("mark")),
            "write-root": lambda: not os.path.exists(f"/new-{uid}") and not self.stored(f"new-{uid}"),
            "write-own-program": lambda: not self.stored("evil"),
            "read-private": lambda: not os.path.exists("/private"),
            "setuid-program": lambda: user == "root",
            "kill-init": lambda: alive(1) and alive(self.process.pid),
            "init-oom-score": lambda: read("/proc/1/oom_score_adj") == self.init_score,
            "shared-memory": lambda: not os.path.exists("/dev/shm/tepui-evil"),
            "host-name": lambda: os.uname().nodename == self.host_name,
        }
        return looks[name]() if name in looks else None

    def stored(self, name):
        return [os.path.join(top, name) for top, _, files in os.walk(self.house.path("agent0/store")) if name in files]

    def by_files_api(self, task_name, name):
        _, _, body = request(self.house.agents[0].port, "GET", f"/files/read?path={self.sandbox(task_name)}/{name}&offset=0&length=1000")
        return body.decode(errors="replace")

    def prepare(self):
        known = {*PROBES, *FLOODS, *VOLUMES}
        report.check("table: it has each attempt, and no other", set(self.expected) == known, set(self.expected) ^ known)
        with open("/dev/shm/tepui-canary", "w", encoding="utf-8") as file:
            file.write(CANARY)
        self.start("other", "echo of another", "nobody", image="plain:1")
        self.wait_end("other")
        self.make_image()

    def attempts(self):
        self.prepare()
        for user in USERS:
            self.attempt(user, user)
        report.check("machine: its processes live, and its name is what it was", alive(self.process.pid) and os.uname().nodename == self.host_name)

    def attempt(self, column, user, **more):
        """All of them, compared with a column of the table."""
        self.start(f"attempts-{user}", RUNNER, user, **more)
        ended = self.wait_end(f"attempts-{user}")
        output = read(os.path.join(self.sandbox(f"attempts-{user}"), "stdout"))
        report.check(f"{column}: all attempts are made", ended["state"] == "TASK_FINISHED" and len(output.splitlines()) == len(PROBES), (ended, output[-300:]))
        for line in output.splitlines():
            name, status, *why = line.split(" ", 2)
            met = "denied"
            if status == "0":
                met = "harmless" if self.harmless(name, user) else "allowed"
            self.compare(name, column, met, why)

    def compare(self, name, user, met, why=""):
        expected = self.expected.get(name, {}).get(user)
        report.check(f"{user}: {name} is {expected}", met == expected, f"it was {met}: {why}")

    def control(self):
        """The attempts are real: where a framework asks for the rights they need, they get through."""
        linux = {"bounding_capabilities": {"capabilities": ["CHOWN", "DAC_OVERRIDE", "MKNOD", "NET_RAW", "SYS_ADMIN", "SYS_NICE"]},
                 "seccomp": {"unconfined": True}, "ipc_mode": "SHARE_PARENT"}
        command = f"for probe in {' '.join(CONTROL)}; do timeout 20 sh /probes/$probe > /dev/null 2>&1; echo $probe $?; done"
        self.start("control", command, linux_info=linux)
        self.wait_end("control")
        output = read(os.path.join(self.sandbox("control"), "stdout"))
        report.equal("control: with the rights for it an attempt gets through", output.splitlines(), [f"{name} 0" for name in CONTROL])

    def floods(self):
        for name, script in FLOODS.items():
            for user in USERS:
                key = f"{name}-{user}"
                self.start(key, script, user)
                ended = self.wait_end(key)
                status, _, _ = request(self.house.agents[0].port, "GET", "/health", timeout=60)
                healthy = status == 200 and alive(self.process.pid)
                met = "denied" if ended["state"] != "TASK_FINISHED" else "harmless" if self.nothing_left(key) else "allowed"
                report.check(f"{user}: {name} leaves the agent well", healthy, status)
                self.compare(name, user, met, ended.get("message"))

    def volumes(self):
        """Without an image: what volumes bring to who sees the machine's files anyway."""
        for name, (volumes, script) in VOLUMES.items():
            for user in USERS:
                key = f"{name}-{user}"
                offer = self.framework.wait_offer(cpus=0.5, mem=64)
                info = task(key, offer, script, mem=64)
                info["command"]["user"] = user
                filled = json.loads(self.filled(json.dumps(volumes)))
                self.framework.launch(offer, [{**info, "container": {"type": "MESOS", "volumes": filled}}])
                ended = self.wait_end(key)
                met = "denied"
                if ended["state"] == "TASK_FINISHED":
                    met = "harmless" if user == "root" else "allowed"
                self.compare(name, user, met, ended.get("message"))

    def nothing_left(self, name):
        sandbox = self.sandbox(name)
        return wait(lambda: not processes_of(sandbox) and not roots(self.house), LIMIT_S)

    def bomb(self):
        """A fork bomb that is not alone: the agent answers, and ends it.

        A shell that cannot fork ends, so that a bomb may be over before anybody looks: `watch` lights it again each second,
        and the kernel counts how often it came to its limit.
        """
        self.start("bomb", "echo begun; exec watch -n 1 'b() { b | b & }; while true; do b; done'", "nobody", mem=256)
        status = self.framework.wait_state("bomb", "TASK_RUNNING", limit_s=LIMIT_S)
        self.bombs = status["container_status"]["container_id"]["value"]
        full = wait(lambda: self.refused() > 0, LIMIT_S)
        report.check("bomb: it grows, and not beyond its limit", full and self.counted() <= PIDS_LIMIT, [self.refused(), self.counted()])
        status, _, _ = request(self.house.agents[0].port, "GET", "/health", timeout=60)
        report.equal("bomb: the agent answers meanwhile", status, 200)
        self.framework.call("KILL", kill={"task_id": {"value": "bomb"}})
        self.framework.wait_state("bomb", "TASK_KILLED", limit_s=LIMIT_S)
        report.check("bomb: nothing is left of it", wait(lambda: self.counted() == 0 and not roots(self.house), LIMIT_S), self.counted())

    def counted(self):
        """The processes of the bomb's cgroup; 0 where it is gone."""
        return self.number("pids.current")

    def refused(self):
        """How many were more than it may have."""
        return self.number("pids.events")

    def number(self, file):
        for base in ("/sys/fs/cgroup/pids/tepui", "/sys/fs/cgroup/tepui"):
            path = os.path.join(base, self.bombs, file)
            if os.path.exists(path):
                return int(read(path).split()[-1])
        return 0


def main():
    if os.geteuid() != 0:
        report.check("left out: images need root", True)
        sys.exit(report.end())
    os.environ["AGENT_CANARY"] = "canary"
    house = House()
    images = house.path("images")
    os.makedirs(images)
    Image().layer(*busybox()).save(os.path.join(images, "plain:1.tar"), "plain:1")
    house.agents[0].command += ["--docker-registry", images, "--container-pids-limit", str(PIDS_LIMIT)]
    with house:
        framework = Scheduler(house.address, "containment").subscribe()
        checks = Containment(house, framework, images)
        try:
            report.run(checks.attempts, checks.volumes, checks.control, checks.floods, checks.bomb)
        finally:
            checks.close()
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
