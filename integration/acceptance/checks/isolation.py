#!/usr/bin/env python3
"""isolation.py: namespaces, filters of system calls and bounds of processes, of tasks with and without an image, on real processes.

Wants TEPUI_BIN, root and Debian's busybox-static. Ends with 0 or 1. What attempts to leave a container meet is in containment.py.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive, get, request  # noqa: E402
from image_maker import Image, busybox, symlink, text  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from streams import STREAM, Output  # noqa: E402

report = Report()
LIMIT_S = 60
WAIT_FOR_GO = "while ! test -e $MESOS_SANDBOX/go; do sleep 0.1; done"


def namespaces(pid):
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "ipc", "uts", "mnt", "net")}


def in_namespace(kind, link):
    """The processes of a namespace."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/{kind}") == link:
                found.add(int(entry))
        except OSError:
            continue
    return found


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework = house, framework
        self.own = namespaces("self")

    def image(self, **linux):
        container = {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "box:1"}}}}
        return {**container, "linux_info": linux} if linux else container

    def plain(self, **linux):
        return {"type": "MESOS", "linux_info": linux}

    def start(self, name, command, container, state="TASK_RUNNING", **more):
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        self.framework.launch(offer, [{**task(name, offer, command), "container": container, **more}])
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def sandbox(self, name):
        for top, directories, _ in os.walk(self.house.path("agent0")):
            if top.endswith(f"/executors/{name}/runs"):
                return [os.path.join(top, one) for one in directories if one != "latest"][0]
        return None

    def output(self, name):
        with open(os.path.join(self.sandbox(name), "stdout"), encoding="utf-8") as out:
            return out.read()

    def run(self, name, command, container, state="TASK_FINISHED"):
        status = self.start(name, command, container, state)
        return self.output(name) if state == "TASK_FINISHED" else status

    def go(self, name, state="TASK_FINISHED"):
        with open(os.path.join(self.sandbox(name), "go"), "w", encoding="utf-8"):
            pass
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def pid_of(self, status):
        return status["container_status"]["executor_pid"]

    def with_image(self):
        pid = self.pid_of(self.start("apart", WAIT_FOR_GO, self.image()))
        seen = namespaces(pid)
        report.equal("image: its own process ids, IPC and names, and the machine's network", {kind for kind in seen if seen[kind] != self.own[kind]}, {"pid", "ipc", "uts", "mnt"})
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            lines = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        report.equal("image: filtered, and bound to harmless capabilities", (lines["Seccomp"], lines["CapBnd"]), ("2", "00000000a00405fb"))
        self.go("apart")
        report.check("image: with it the namespace ends", wait(lambda: not in_namespace("pid", seen["pid"]), LIMIT_S), in_namespace("pid", seen["pid"]))
        out = self.run("shared", "ls -d /proc/[0-9]* | grep -c .", self.image(share_pid_namespace=True))
        report.check("image: it can share process ids where it asks to", int(out) > 5, out)

    def without_image(self):
        out = self.run("machine", "readlink /proc/self/ns/pid /proc/self/ns/ipc; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status", {"type": "MESOS"})
        report.equal("plain: all is the machine's", out.split(), [self.own["pid"], self.own["ipc"], "NoNewPrivs:", "0", "Seccomp:", "0"])
        pid = self.pid_of(self.start("pids", f"ls -d /proc/[0-9]* | grep -c . > new; mv new seen; {WAIT_FOR_GO}", self.plain(share_pid_namespace=False)))
        report.check("pids: its own", namespaces(pid)["pid"] != self.own["pid"])
        wait(lambda: os.path.exists(os.path.join(self.sandbox("pids"), "seen")), LIMIT_S)
        with open(os.path.join(self.sandbox("pids"), "seen"), encoding="utf-8") as file:
            report.check("pids: /proc tells of its own alone", int(file.read()) < 8)
        self.go("pids")
        out = self.run("named", "cat /proc/sys/kernel/hostname", {"type": "MESOS", "hostname": "box.test"})
        report.equal("hostname: as asked for, and the machine keeps its own", (out, os.uname().nodename != "box.test"), ("box.test\n", True))

    def ipc(self):
        with open("/dev/shm/tepui-isolation", "w", encoding="utf-8") as file:
            file.write("machine")
        try:
            script = "readlink /proc/self/ns/ipc; cat /dev/shm/tepui-isolation; grep /dev/shm /proc/mounts | grep -o 'size=[0-9]*k' | tail -n 1"
            out = self.run("private", script, self.plain(ipc_mode="PRIVATE", shm_size=8)).split()
            report.check("ipc: private, with a /dev/shm of the size asked for", out[0] != self.own["ipc"] and out[1:] == ["size=8192k"], out)
            out = self.run("of-flag", script, self.image())
            report.check("ipc: else of the size of --default-container-shm-size", out.split()[1:] == ["size=16384k"], out)
            out = self.run("open", "readlink /proc/self/ns/ipc; cat /dev/shm/tepui-isolation", self.image(ipc_mode="SHARE_PARENT"))
            report.equal("ipc: shared with the machine where it asks to", out, self.own["ipc"] + "\nmachine")
        finally:
            os.unlink("/dev/shm/tepui-isolation")
        failed = self.run("sized", "true", self.plain(shm_size=8), "TASK_FAILED")
        report.check("ipc: a size without PRIVATE is refused", "when the IPC mode is PRIVATE" in failed["message"], failed["message"])

    def seccomp(self):
        probe = "unshare -m true && echo through; grep '^Seccomp:' /proc/self/status"
        out = self.run("filtered", probe, self.plain(seccomp={"profile_name": "default"}, effective_capabilities={"capabilities": ["CHOWN"]}))
        report.equal("seccomp: the default profile, by its name", out.split(), ["Seccomp:", "2"])
        out = self.run("unfiltered", "grep '^Seccomp:' /proc/self/status", self.image(seccomp={"unconfined": True}))
        report.equal("seccomp: none where it asks for that", out.split(), ["Seccomp:", "0"])
        out = self.run("with-admin", probe, self.image(bounding_capabilities={"capabilities": ["SYS_ADMIN"]}))
        report.equal("seccomp: a capability brings its calls", out.split(), ["through", "Seccomp:", "2"])
        for name, seccomp, words in (("nameless", {}, "Missing Seccomp profile name"), ("both", {"unconfined": True, "profile_name": "default"}, "'unconfined' Seccomp setting"),
                                     ("unknown", {"profile_name": "other"}, "no Seccomp profile 'other'")):
            failed = self.run(name, "true", self.plain(seccomp=seccomp), "TASK_FAILED")
            report.check(f"seccomp: {name} is refused in words", words in failed["message"], failed["message"])

    def ends(self):
        """Exit codes and signals come through, and a kill reaches all."""
        failed = self.run("code", "exit 7", self.image(), "TASK_FAILED")
        report.check("end: with its exit status", "status 7" in failed["message"], failed["message"])
        failed = self.run("signal", "kill -9 $$", self.image(), "TASK_FAILED")
        report.check("end: with its signal", "Killed" in failed["message"] or "signal" in failed["message"], failed["message"])
        pid = self.pid_of(self.start("first", "sleep 6000 & sleep 6000", self.image()))
        space = namespaces(pid)["pid"]
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            report.check("first: the command is not the namespace's first process", "NSpid:\t" in (text := file.read()) and not text.split("NSpid:")[1].splitlines()[0].endswith("\t1"))
        others = in_namespace("pid", space)
        inits = [it for it in others if open(f"/proc/{it}/comm", encoding="utf-8").read() == "tepui-init\n"]
        report.equal("first: that is one of the agent's", len(inits), 1)
        os.kill(inits[0], 9)
        self.framework.wait_state("first", "TASK_FAILED", limit_s=LIMIT_S)
        report.check("first: when it is killed, all are", not any(alive(it) for it in others), others)
        pid = self.pid_of(self.start("orphaned", "sleep 6000 & sleep 6000", self.image()))
        others = in_namespace("pid", namespaces(pid)["pid"])
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            os.kill(int(file.read().rpartition(")")[2].split()[1]), 9)
        self.framework.wait_state("orphaned", "TASK_FAILED", limit_s=LIMIT_S)
        # The first process stays until somebody reaps the command, whose parent is now that of all orphans here.
        report.check("first: when the supervisor is killed, all are", wait(lambda: not any(alive(it) for it in others - {min(others)}), LIMIT_S), others)
        pid = self.pid_of(self.start("gentle", "sleep 6000", self.image()))
        self.framework.call("KILL", kill={"task_id": {"value": "gentle"}})
        killed = self.framework.wait_state("gentle", "TASK_KILLED", limit_s=LIMIT_S)
        report.check("kill: SIGTERM ends a program that does not handle it", not alive(pid), killed)

    def recovered(self):
        pid = self.pid_of(self.start("kept", f"{WAIT_FOR_GO}; exit 3", self.image()))
        self.house.agents[0].kill()
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        report.check("restart: it runs on", alive(pid))
        failed = self.go("kept", "TASK_FAILED")
        report.check("restart: its exit status is known", "status 3" in failed["message"], failed["message"])

    def checked(self):
        """What looks into a container joins its namespaces."""
        for name, container in (("of-image", self.image()), ("of-plain", self.plain(share_pid_namespace=False))):
            script = "readlink /proc/self/ns/pid > $MESOS_SANDBOX/joined.new && mv $MESOS_SANDBOX/joined.new $MESOS_SANDBOX/joined && test $(ls -d /proc/[0-9]* | grep -c .) -lt 12"
            check = {"type": "COMMAND", "delay_seconds": 0, "interval_seconds": 0.5, "grace_period_seconds": 30, "timeout_seconds": 30, "command": {"shell": True, "value": script}}
            pid = self.pid_of(self.start(name, WAIT_FOR_GO, container, health_check=check))
            healthy = wait(lambda: any(it.get("healthy") for it in self.framework.updates if it["task_id"]["value"] == name), LIMIT_S)  # noqa: B023
            report.check(f"check {name}: it sees the container's processes", healthy)
            with open(os.path.join(self.sandbox(name), "joined"), encoding="utf-8") as file:
                report.equal(f"check {name}: in the container's namespace", file.read().strip(), namespaces(pid)["pid"])
            self.go(name)


    def sessions(self):
        for name, container in (("open-image", self.image()), ("open-plain", self.plain(share_pid_namespace=False, ipc_mode="PRIVATE"))):
            status = self.start(name, f"echo there > /dev/shm/mine; {WAIT_FOR_GO}", container)
            outer = status["container_status"]["container_id"]
            seen = namespaces(self.pid_of(status))
            command = {"shell": True, "value": "while ! test -s /dev/shm/mine; do sleep 0.05; done; cat /dev/shm/mine; for n in pid ipc uts; do readlink /proc/self/ns/$n; done; ls -d /proc/[0-9]* | grep -c ."}
            with Output(self.house.agents[0].port, "LAUNCH_NESTED_CONTAINER_SESSION", STREAM, container_id={"value": "s", "parent": outer}, command=command) as output:
                out = output.read_all()[0].decode().split()
            report.equal(f"session {name}: it sees what the task sees", out[:4], ["there", seen["pid"], seen["ipc"], seen["uts"]])
            private = {"type": "MESOS", "linux_info": {"ipc_mode": "PRIVATE"}}
            with Output(self.house.agents[0].port, "LAUNCH_NESTED_CONTAINER_SESSION", STREAM, container_id={"value": "p", "parent": outer}, command=command,
                        container=private) as output:
                report.equal(f"session {name}: no IPC of its own", (output.status, output.text), (400, "Private IPC mode is not supported for DEBUG containers"))
            report.check(f"session {name}: and no other processes", out and int(out[-1]) < 12, out)
            command = {"shell": True, "value": "cat /of-the-image"}
            with Output(self.house.agents[0].port, "LAUNCH_NESTED_CONTAINER_SESSION", STREAM, container_id={"value": "f", "parent": outer}, command=command) as output:
                expected = b"here" if name == "open-image" else b""
                report.equal(f"session {name}: the files of the task's root", output.read_all()[0], expected)
            self.go(name)

    def call(self, kind, **body):
        status, headers, answer = request(self.house.agents[0].port, "POST", "/api/v1", json.dumps({"type": kind, kind.lower(): body}),
                                          {"Content-Type": "application/json", "Accept": "application/json"}, timeout=LIMIT_S)
        return status, json.loads(answer) if headers.get("Content-Type") == "application/json" else answer.decode()

    def within(self, outer, name, script, container):
        """The id of a container in another one, and what it has said when it has written `said`, or ended."""
        identity = {"value": name, "parent": outer}
        status, text = self.call("LAUNCH_CONTAINER", container_id=identity, command={"shell": True, "value": script}, container=container)
        if status != 200:
            raise ValueError(f"{status} {text}")
        return identity

    def shared_with_the_one_around(self):
        """IPC, /dev/shm and process ids of a task for itself, shared with containers within it and within those."""
        begin = f"readlink /proc/self/ns/ipc /proc/self/ns/pid > /dev/shm/root.new; mv /dev/shm/root.new /dev/shm/root; {WAIT_FOR_GO}"
        status = self.start("around", begin, self.plain(ipc_mode="PRIVATE", shm_size=16, share_pid_namespace=False))
        outer, seen = status["container_status"]["container_id"], namespaces(self.pid_of(status))
        shared = {"ipc_mode": "SHARE_PARENT", "share_pid_namespace": True}
        probe = "while ! test -e /dev/shm/root; do sleep 0.1; done; cat /dev/shm/root; readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid; " \
                "df -m /dev/shm | tail -n 1 | awk '{print $2}'; ls -d /proc/[0-9]* | grep -c ."
        first = self.within(outer, "first", f"({probe}) > said.new; touch /dev/shm/first; mv said.new said; exec sleep 600", self.plain(**shared))
        wait(lambda: os.path.exists(os.path.join(self.sandbox("around"), "containers/first/said")), LIMIT_S)
        second = self.within(outer, "second", f"{probe}; test -e /dev/shm/first && echo first", self.image(**shared))
        third = self.within(first, "third", f"{probe}; test -e /dev/shm/first && echo first", self.plain(**shared))
        unset = self.within(outer, "unset", f"{probe}", {"type": "MESOS"})
        own = self.within(outer, "own", "ls /dev/shm | grep -c .; readlink /proc/self/ns/ipc /proc/self/ns/pid", self.plain(ipc_mode="PRIVATE", share_pid_namespace=False))
        for name, identity in (("one with an image", second), ("one within another", third), ("one that says nothing", unset)):
            end = self.call("WAIT_CONTAINER", container_id=identity)[1]["wait_container"]
            path = "/".join(f"containers/{it}" for it in self.names(identity)[1:])
            out = self.text("around", f"{path}/stdout").split()
            expected = [seen["ipc"], seen["pid"]] * 2 + ["16"]
            report.check(f"parent: {name} has the IPC, /dev/shm and process ids of the task", out[:5] == expected and int(out[5]) < 20, (end, out, expected, self.text("around", f"{path}/stderr")))
            if identity is not unset:
                report.equal(f"parent: {name} finds what the first one put there", (out[6:], end.get("exit_status")), (["first"], 0))
        self.call("WAIT_CONTAINER", container_id=own)
        out = self.text("around", "containers/own/stdout").split()
        report.check("parent: one that asks for its own has it", out[0] == "0" and seen["ipc"] != out[1] != self.own["ipc"] and seen["pid"] != out[2] != self.own["pid"], out)
        report.check("parent: the machine sees none of it", not os.path.exists("/dev/shm/root"))
        self.go("around")

    def names(self, identity):
        return (self.names(identity["parent"]) if "parent" in identity else []) + [identity["value"]]

    def text(self, name, path):
        with open(os.path.join(self.sandbox(name), path), encoding="utf-8") as file:
            return file.read()

    def of_a_group(self):
        offer = self.framework.wait_offer(cpus=1, mem=128)
        amounts = [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in (("cpus", 0.1), ("mem", 32), ("disk", 8))]
        info = {"type": "DEFAULT", "executor_id": {"value": "pod"}, "framework_id": {"value": self.framework.id}, "resources": amounts}
        script = "readlink /proc/self/ns/pid /proc/self/ns/ipc; df -m /dev/shm | tail -n 1 | awk '{print $2}'; test -e /dev/shm/pod || echo empty; touch /dev/shm/pod"
        containers = {"pod-pids": self.plain(share_pid_namespace=False), "pod-ipc": self.plain(ipc_mode="PRIVATE"), "pod-sized": self.plain(ipc_mode="PRIVATE", shm_size=32)}
        tasks = [dict(task(name, offer, script), container=container) for name, container in containers.items()]
        operation = {"type": "LAUNCH_GROUP", "launch_group": {"executor": info, "task_group": {"tasks": tasks}}}
        self.framework.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": [operation], "filters": {"refuse_seconds": 0}})
        for name in containers:
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        said = {}
        for name in containers:
            with open(os.path.join(self.sandbox("pod"), "tasks", name, "stdout"), encoding="utf-8") as file:
                said[name] = file.read().split()
        os.unlink("/dev/shm/pod")
        report.check("group: each task has what it asks for", said["pod-pids"][0] != self.own["pid"] and said["pod-ipc"][0] == self.own["pid"] and said["pod-pids"][1] == self.own["ipc"], said)
        report.check("group: private IPC and /dev/shm of each, of the default size or its own", said["pod-ipc"][1] != said["pod-sized"][1] and said["pod-ipc"][2:] == ["16", "empty"] and said["pod-sized"][2:] == ["32", "empty"], said)

    def of_an_executor(self):
        """What an executor is set apart from, its tasks share."""
        script = f"touch /dev/shm/of-executor; (readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; df -m /dev/shm | tail -n 1 | awk '{{print $2}}'; ls -d /proc/[0-9]* | grep -c .) > ns.new; " \
                 f"mv ns.new ns; {WAIT_FOR_GO}"
        outer = self.plain(share_pid_namespace=False, ipc_mode="PRIVATE", shm_size=24)
        shared = {"type": "MESOS", "linux_info": {"share_pid_namespace": True, "ipc_mode": "SHARE_PARENT"}}
        self.launch_group("pod-apart", {"asks": (script, shared), "says-nothing": (script, {"type": "MESOS"})}, outer)
        asks, silent = (self.task_says("pod-apart", name, "ns").split() for name in ("asks", "says-nothing"))
        report.check("executor: its tasks share its process ids, IPC and /dev/shm", asks[:3] == silent[:3] and asks[2] == "24" and int(asks[3]) < 12, (asks, silent))
        report.check("executor: which are not the machine's", asks[0] != self.own["pid"] and asks[1] != self.own["ipc"] and not os.path.exists("/dev/shm/of-executor"), asks)
        for name in ("asks", "says-nothing"):
            with open(os.path.join(self.sandbox("pod-apart"), "tasks", name, "go"), "w", encoding="utf-8"):
                pass
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)

    def launch_group(self, executor, tasks, outer=None):
        offer = self.framework.wait_offer(cpus=1, mem=128)
        amounts = [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in (("cpus", 0.1), ("mem", 32), ("disk", 8))]
        info = {"type": "DEFAULT", "executor_id": {"value": executor}, "framework_id": {"value": self.framework.id}, "resources": amounts, **({"container": outer} if outer else {})}
        infos = [dict(task(name, offer, script), container=container) for name, (script, container) in tasks.items()]
        operation = {"type": "LAUNCH_GROUP", "launch_group": {"executor": info, "task_group": {"tasks": infos}}}
        self.framework.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": [operation], "filters": {"refuse_seconds": 0}})
        for name in tasks:
            self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)

    def task_says(self, executor, name, file):
        path = os.path.join(self.sandbox(executor), "tasks", name, file)
        if not wait(lambda: os.path.exists(path), LIMIT_S):
            raise RuntimeError(f"{name} does not say {file}: {self.text(executor, f'tasks/{name}/stderr')}")
        with open(path, encoding="utf-8") as text:
            return text.read()


class StrictChecks(Checks):
    """Of an agent that sets all its containers apart."""

    def all_of_them(self):
        out = self.run("strict", "readlink /proc/self/ns/pid /proc/self/ns/ipc; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; ls -d /proc/[0-9]* | grep -c .", {"type": "MESOS"}).split()
        report.check("strict: each container is apart without asking", out[0] != self.own["pid"] and out[1] != self.own["ipc"] and out[2:6] == ["NoNewPrivs:", "1", "Seccomp:", "2"] and int(out[6]) < 8, out)
        for name, linux in (("pids", {"share_pid_namespace": True}), ("ipc", {"ipc_mode": "SHARE_PARENT"})):
            failed = self.run(f"strict-{name}", "true", self.plain(**linux), "TASK_FAILED")
            report.check(f"strict: the machine's {name} are refused", "does not let containers share its" in failed["message"], failed["message"])

    def groups(self):
        """Tasks of two groups within one executor share process ids and IPC with each other, and not with the machine."""
        script = f"touch /dev/shm/of-$MESOS_TASK_ID; (readlink /proc/1/ns/pid || readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; ls -d /proc/[0-9]* | grep -c .) > ns.new; " \
                 f"mv ns.new ns; {WAIT_FOR_GO}"
        for name in ("one", "two"):
            self.launch_group("pod", {name: (script, self.plain(share_pid_namespace=True))})
        seen = [self.task_says("pod", name, "ns").split() for name in ("one", "two")]
        report.equal("groups: their tasks have the same process ids and IPC", seen[0][:2], seen[1][:2])
        report.check("groups: which are not the machine's", seen[0][0] != self.own["pid"] and seen[0][1] != self.own["ipc"] and int(seen[1][2]) < 12, seen)
        self.launch_group("pod", {"alone": (script, self.plain(share_pid_namespace=False))})
        alone = self.task_says("pod", "alone", "ns").split()
        report.check("groups: one that asks for process ids of its own has them", alone[0] not in (seen[0][0], self.own["pid"]) and alone[1] == seen[0][1], alone)
        self.house.agents[0].kill()
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.launch_group("pod", {"three": (script, self.plain(share_pid_namespace=True))})
        report.equal("groups: the same after a restart of the agent", self.task_says("pod", "three", "ns").split()[:2], seen[0][:2])
        for name in ("one", "two", "three", "alone"):
            with open(os.path.join(self.sandbox("pod"), "tasks", name, "go"), "w", encoding="utf-8"):
                pass
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)

    def flags(self):
        flags = get(self.house.agents[0].port, "/flags")["flags"]
        report.check("strict: the flags tell it", flags["isolation"].endswith("namespaces/pid,namespaces/ipc,linux/nnp,linux/seccomp"), flags["isolation"])


def with_house(flags, checks, *parts):
    house = House()
    images = house.path("images")
    os.makedirs(images)
    links = [symlink(f"bin/{name}", "busybox") for name in ("unshare", "mv", "tail", "df", "awk", "touch")]
    Image().layer(*busybox(), *links, text("of-the-image", "here")).save(os.path.join(images, "box:1.tar"), "box:1")
    house.agents[0].command += ["--docker-registry", images, *flags]
    with house:
        framework = Scheduler(house.address, "isolation").subscribe()
        made = checks(house, framework)
        report.run(*(getattr(made, part) for part in parts))
        framework.close()


def main():
    if os.geteuid() != 0:
        report.check("left out: namespaces need root", True)
        sys.exit(report.end())
    with_house(["--default-container-shm-size", "16MB"], Checks, "with_image", "without_image", "ipc", "seccomp", "ends", "recovered", "checked", "sessions", "shared_with_the_one_around", "of_a_group", "of_an_executor")
    strict = ["--isolation", "namespaces/pid,namespaces/ipc,linux/nnp,linux/seccomp,cgroups/cpu", "--disallow-sharing-agent-pid-namespace", "--disallow-sharing-agent-ipc-namespace"]
    with_house(strict, StrictChecks, "all_of_them", "groups", "flags")
    sys.exit(report.end())


if __name__ == "__main__":
    main()
