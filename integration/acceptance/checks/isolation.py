#!/usr/bin/env python3
"""isolation.py: namespaces, filters of system calls and bounds of processes, of tasks with and without an image, on real processes.

Wants TEPUI_BIN, root and Debian's busybox-static. Ends with 0 or 1. What attempts to leave a container meet is in containment.py.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import boxed, plain  # noqa: E402
from daemons import House, alive, get  # noqa: E402
from image_maker import Image, busybox, symlink, text  # noqa: E402
from report import Report, wait  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from streams import STREAM, Output  # noqa: E402
from tasks import LIMIT_S, Tasks  # noqa: E402

report = Report()


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


class Checks(Tasks):
    def __init__(self, house, framework):
        super().__init__(house, framework)
        self.own = namespaces("self")

    def pid_of(self, status):
        return status["container_status"]["executor_pid"]

    def with_image(self):
        pid = self.pid_of(self.start("apart", WAIT_FOR_GO, boxed()))
        seen = namespaces(pid)
        report.equal("image: its own process ids, IPC and names, and the machine's network", {kind for kind in seen if seen[kind] != self.own[kind]}, {"pid", "ipc", "uts", "mnt"})
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            lines = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        report.equal("image: filtered, and bound to harmless capabilities", (lines["Seccomp"], lines["CapBnd"]), ("2", "00000000a00405fb"))
        self.finish("apart")
        report.check("image: with it the namespace ends", wait(lambda: not in_namespace("pid", seen["pid"]), LIMIT_S), in_namespace("pid", seen["pid"]))
        out = self.run("shared", "ls -d /proc/[0-9]* | grep -c .", boxed(share_pid_namespace=True))
        report.check("image: it can share process ids where it asks to", int(out) > 5, out)

    def without_image(self):
        out = self.run("machine", "readlink /proc/self/ns/pid /proc/self/ns/ipc; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status", {"type": "MESOS"})
        report.equal("plain: all is the machine's", out.split(), [self.own["pid"], self.own["ipc"], "NoNewPrivs:", "0", "Seccomp:", "0"])
        pid = self.pid_of(self.start("pids", f"ls -d /proc/[0-9]* | grep -c . > new; mv new seen; {WAIT_FOR_GO}", plain(share_pid_namespace=False)))
        report.check("pids: its own", namespaces(pid)["pid"] != self.own["pid"])
        report.check("pids: /proc tells of its own alone", int(self.said("pids", "seen")) < 8)
        self.finish("pids")
        out = self.run("named", "cat /proc/sys/kernel/hostname", {"type": "MESOS", "hostname": "box.test"})
        report.equal("hostname: as asked for, and the machine keeps its own", (out, os.uname().nodename != "box.test"), ("box.test\n", True))

    def ipc(self):
        with open("/dev/shm/tepui-isolation", "w", encoding="utf-8") as file:
            file.write("machine")
        try:
            script = "readlink /proc/self/ns/ipc; cat /dev/shm/tepui-isolation; grep /dev/shm /proc/mounts | grep -o 'size=[0-9]*k' | tail -n 1"
            out = self.run("private", script, plain(ipc_mode="PRIVATE", shm_size=8)).split()
            report.check("ipc: private, with a /dev/shm of the size asked for", out[0] != self.own["ipc"] and out[1:] == ["size=8192k"], out)
            out = self.run("of-flag", script, boxed())
            report.check("ipc: else of the size of --default-container-shm-size", out.split()[1:] == ["size=16384k"], out)
            out = self.run("open", "readlink /proc/self/ns/ipc; cat /dev/shm/tepui-isolation", boxed(ipc_mode="SHARE_PARENT"))
            report.equal("ipc: shared with the machine where it asks to", out, self.own["ipc"] + "\nmachine")
        finally:
            os.unlink("/dev/shm/tepui-isolation")
        failed = self.run("sized", "true", plain(shm_size=8), "TASK_FAILED")
        report.check("ipc: a size without PRIVATE is refused", "when the IPC mode is PRIVATE" in failed["message"], failed["message"])

    def seccomp(self):
        probe = "unshare -m true && echo through; grep '^Seccomp:' /proc/self/status"
        out = self.run("filtered", probe, plain(seccomp={"profile_name": "default"}, effective_capabilities={"capabilities": ["CHOWN"]}))
        report.equal("seccomp: the default profile, by its name", out.split(), ["Seccomp:", "2"])
        out = self.run("unfiltered", "grep '^Seccomp:' /proc/self/status", boxed(seccomp={"unconfined": True}))
        report.equal("seccomp: none where it asks for that", out.split(), ["Seccomp:", "0"])
        out = self.run("with-admin", probe, boxed(bounding_capabilities={"capabilities": ["SYS_ADMIN"]}))
        report.equal("seccomp: a capability brings its calls", out.split(), ["through", "Seccomp:", "2"])
        for name, seccomp, words in (("nameless", {}, "Missing Seccomp profile name"), ("both", {"unconfined": True, "profile_name": "default"}, "'unconfined' Seccomp setting"),
                                     ("unknown", {"profile_name": "other"}, "no Seccomp profile 'other'")):
            failed = self.run(name, "true", plain(seccomp=seccomp), "TASK_FAILED")
            report.check(f"seccomp: {name} is refused in words", words in failed["message"], failed["message"])

    def ends(self):
        """Exit codes and signals come through, and a kill reaches all."""
        failed = self.run("code", "exit 7", boxed(), "TASK_FAILED")
        report.check("end: with its exit status", "status 7" in failed["message"], failed["message"])
        failed = self.run("signal", "kill -9 $$", boxed(), "TASK_FAILED")
        report.check("end: with its signal", "Killed" in failed["message"] or "signal" in failed["message"], failed["message"])
        pid = self.pid_of(self.start("first", "sleep 6000 & sleep 6000", boxed()))
        space = namespaces(pid)["pid"]
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            report.check("first: the command is not the namespace's first process", "NSpid:\t" in (text := file.read()) and not text.split("NSpid:")[1].splitlines()[0].endswith("\t1"))
        others = in_namespace("pid", space)
        inits = [it for it in others if open(f"/proc/{it}/comm", encoding="utf-8").read() == "tepui-init\n"]
        report.equal("first: that is one of the agent's", len(inits), 1)
        os.kill(inits[0], 9)
        self.framework.wait_state("first", "TASK_FAILED", limit_s=LIMIT_S)
        report.check("first: when it is killed, all are", not any(alive(it) for it in others), others)
        pid = self.pid_of(self.start("orphaned", "sleep 6000 & sleep 6000", boxed()))
        others = in_namespace("pid", namespaces(pid)["pid"])
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            os.kill(int(file.read().rpartition(")")[2].split()[1]), 9)
        self.framework.wait_state("orphaned", "TASK_FAILED", limit_s=LIMIT_S)
        # The first process stays until somebody reaps the command, whose parent is now that of all orphans here.
        report.check("first: when the supervisor is killed, all are", wait(lambda: not any(alive(it) for it in others - {min(others)}), LIMIT_S), others)
        pid = self.pid_of(self.start("gentle", "sleep 6000", boxed()))
        self.framework.call("KILL", kill={"task_id": {"value": "gentle"}})
        killed = self.framework.wait_state("gentle", "TASK_KILLED", limit_s=LIMIT_S)
        report.check("kill: SIGTERM ends a program that does not handle it", not alive(pid), killed)

    def recovered(self):
        pid = self.pid_of(self.start("kept", f"{WAIT_FOR_GO}; exit 3", boxed()))
        self.house.agents[0].kill()
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        report.check("restart: it runs on", alive(pid))
        failed = self.finish("kept", "TASK_FAILED")
        report.check("restart: its exit status is known", "status 3" in failed["message"], failed["message"])

    def checked(self):
        """What looks into a container joins its namespaces."""
        for name, container in (("of-image", boxed()), ("of-plain", plain(share_pid_namespace=False))):
            script = "readlink /proc/self/ns/pid > $MESOS_SANDBOX/joined.new && mv $MESOS_SANDBOX/joined.new $MESOS_SANDBOX/joined && test $(ls -d /proc/[0-9]* | grep -c .) -lt 12"
            check = {"type": "COMMAND", "delay_seconds": 0, "interval_seconds": 0.5, "grace_period_seconds": 30, "timeout_seconds": 30, "command": {"shell": True, "value": script}}
            pid = self.pid_of(self.start(name, WAIT_FOR_GO, container, health_check=check))
            healthy = wait(lambda: any(it.get("healthy") for it in self.framework.updates_of(name)), LIMIT_S)  # noqa: B023
            report.check(f"check {name}: it sees the container's processes", healthy)
            report.equal(f"check {name}: in the container's namespace", self.output(name, "joined").strip(), namespaces(pid)["pid"])
            self.finish(name)


    def sessions(self):
        for name, container in (("open-image", boxed()), ("open-plain", plain(share_pid_namespace=False, ipc_mode="PRIVATE"))):
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
            self.finish(name)

    def within(self, outer, name, script, container):
        """The id of a container in another one, and what it has said when it has written `said`, or ended."""
        identity = {"value": name, "parent": outer}
        status, text = self.agent_says("LAUNCH_CONTAINER", container_id=identity, command={"shell": True, "value": script}, container=container)
        if status != 200:
            raise ValueError(f"{status} {text}")
        return identity

    def shared_with_the_one_around(self):
        """IPC, /dev/shm and process ids of a task for itself, shared with containers within it and within those."""
        begin = f"readlink /proc/self/ns/ipc /proc/self/ns/pid > /dev/shm/root.new; mv /dev/shm/root.new /dev/shm/root; {WAIT_FOR_GO}"
        status = self.start("around", begin, plain(ipc_mode="PRIVATE", shm_size=16, share_pid_namespace=False))
        outer, seen = status["container_status"]["container_id"], namespaces(self.pid_of(status))
        shared = {"ipc_mode": "SHARE_PARENT", "share_pid_namespace": True}
        probe = "while ! test -e /dev/shm/root; do sleep 0.1; done; cat /dev/shm/root; readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid; " \
                "df -m /dev/shm | tail -n 1 | awk '{print $2}'; ls -d /proc/[0-9]* | grep -c ."
        first = self.within(outer, "first", f"({probe}) > said.new; touch /dev/shm/first; mv said.new said; exec sleep 600", plain(**shared))
        wait(lambda: os.path.exists(os.path.join(self.sandbox("around"), "containers/first/said")), LIMIT_S)
        second = self.within(outer, "second", f"{probe}; test -e /dev/shm/first && echo first", boxed(**shared))
        third = self.within(first, "third", f"{probe}; test -e /dev/shm/first && echo first", plain(**shared))
        unset = self.within(outer, "unset", f"{probe}", {"type": "MESOS"})
        own = self.within(outer, "own", "ls /dev/shm | grep -c .; readlink /proc/self/ns/ipc /proc/self/ns/pid", plain(ipc_mode="PRIVATE", share_pid_namespace=False))
        for name, identity in (("one with an image", second), ("one within another", third), ("one that says nothing", unset)):
            end = self.agent_says("WAIT_CONTAINER", container_id=identity)[1]["wait_container"]
            path = "/".join(f"containers/{it}" for it in self.names(identity)[1:])
            out = self.output("around", f"{path}/stdout").split()
            expected = [seen["ipc"], seen["pid"]] * 2 + ["16"]
            report.check(f"parent: {name} has the IPC, /dev/shm and process ids of the task", out[:5] == expected and int(out[5]) < 20, (end, out, expected, self.output("around", f"{path}/stderr")))
            if identity is not unset:
                report.equal(f"parent: {name} finds what the first one put there", (out[6:], end.get("exit_status")), (["first"], 0))
        self.agent_says("WAIT_CONTAINER", container_id=own)
        out = self.output("around", "containers/own/stdout").split()
        report.check("parent: one that asks for its own has it", out[0] == "0" and seen["ipc"] != out[1] != self.own["ipc"] and seen["pid"] != out[2] != self.own["pid"], out)
        report.check("parent: the machine sees none of it", not os.path.exists("/dev/shm/root"))
        self.finish("around")

    def names(self, identity):
        return (self.names(identity["parent"]) if "parent" in identity else []) + [identity["value"]]

    def of_a_group(self):
        offer = self.framework.wait_offer(cpus=1, mem=128)
        info = self.framework.default_executor("pod")
        script = "readlink /proc/self/ns/pid /proc/self/ns/ipc; df -m /dev/shm | tail -n 1 | awk '{print $2}'; test -e /dev/shm/pod || echo empty; touch /dev/shm/pod"
        containers = {"pod-pids": plain(share_pid_namespace=False), "pod-ipc": plain(ipc_mode="PRIVATE"), "pod-sized": plain(ipc_mode="PRIVATE", shm_size=32)}
        tasks = [dict(task(name, offer, script), container=container) for name, container in containers.items()]
        self.framework.launch_group(offer, info, tasks)
        for name in containers:
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        said = {name: self.output("pod", f"tasks/{name}/stdout").split() for name in containers}
        os.unlink("/dev/shm/pod")
        report.check("group: each task has what it asks for", said["pod-pids"][0] != self.own["pid"] and said["pod-ipc"][0] == self.own["pid"] and said["pod-pids"][1] == self.own["ipc"], said)
        report.check("group: private IPC and /dev/shm of each, of the default size or its own", said["pod-ipc"][1] != said["pod-sized"][1] and said["pod-ipc"][2:] == ["16", "empty"] and said["pod-sized"][2:] == ["32", "empty"], said)

    def of_an_executor(self):
        """What an executor is set apart from, its tasks share."""
        script = f"touch /dev/shm/of-executor; (readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; df -m /dev/shm | tail -n 1 | awk '{{print $2}}'; ls -d /proc/[0-9]* | grep -c .) > ns.new; " \
                 f"mv ns.new ns; {WAIT_FOR_GO}"
        outer = plain(share_pid_namespace=False, ipc_mode="PRIVATE", shm_size=24)
        shared = {"type": "MESOS", "linux_info": {"share_pid_namespace": True, "ipc_mode": "SHARE_PARENT"}}
        self.launch_group("pod-apart", {"asks": (script, shared), "says-nothing": (script, {"type": "MESOS"})}, outer)
        asks, silent = (self.said("pod-apart", f"tasks/{name}/ns").split() for name in ("asks", "says-nothing"))
        report.check("executor: its tasks share its process ids, IPC and /dev/shm", asks[:3] == silent[:3] and asks[2] == "24" and int(asks[3]) < 12, (asks, silent))
        report.check("executor: which are not the machine's", asks[0] != self.own["pid"] and asks[1] != self.own["ipc"] and not os.path.exists("/dev/shm/of-executor"), asks)
        self.finish_within("pod-apart", "asks", "says-nothing")

    def launch_group(self, executor, tasks, outer=None):
        offer = self.framework.wait_offer(cpus=1, mem=128)
        info = self.framework.default_executor(executor, **({"container": outer} if outer else {}))
        infos = [dict(task(name, offer, script), container=container) for name, (script, container) in tasks.items()]
        self.framework.launch_group(offer, info, infos)
        for name in tasks:
            self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)


class StrictChecks(Checks):
    """Of an agent that sets all its containers apart."""

    def all_of_them(self):
        out = self.run("strict", "readlink /proc/self/ns/pid /proc/self/ns/ipc; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; ls -d /proc/[0-9]* | grep -c .", {"type": "MESOS"}).split()
        report.check("strict: each container is apart without asking", out[0] != self.own["pid"] and out[1] != self.own["ipc"] and out[2:6] == ["NoNewPrivs:", "1", "Seccomp:", "2"] and int(out[6]) < 8, out)
        for name, linux in (("pids", {"share_pid_namespace": True}), ("ipc", {"ipc_mode": "SHARE_PARENT"})):
            failed = self.run(f"strict-{name}", "true", plain(**linux), "TASK_FAILED")
            report.check(f"strict: the machine's {name} are refused", "does not let containers share its" in failed["message"], failed["message"])

    def groups(self):
        """Tasks of two groups within one executor share process ids and IPC with each other, and not with the machine."""
        script = f"touch /dev/shm/of-$MESOS_TASK_ID; (readlink /proc/1/ns/pid || readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; ls -d /proc/[0-9]* | grep -c .) > ns.new; " \
                 f"mv ns.new ns; {WAIT_FOR_GO}"
        for name in ("one", "two"):
            self.launch_group("pod", {name: (script, plain(share_pid_namespace=True))})
        seen = [self.said("pod", f"tasks/{name}/ns").split() for name in ("one", "two")]
        report.equal("groups: their tasks have the same process ids and IPC", seen[0][:2], seen[1][:2])
        report.check("groups: which are not the machine's", seen[0][0] != self.own["pid"] and seen[0][1] != self.own["ipc"] and int(seen[1][2]) < 12, seen)
        self.launch_group("pod", {"alone": (script, plain(share_pid_namespace=False))})
        alone = self.said("pod", "tasks/alone/ns").split()
        report.check("groups: one that asks for process ids of its own has them", alone[0] not in (seen[0][0], self.own["pid"]) and alone[1] == seen[0][1], alone)
        self.house.agents[0].kill()
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.launch_group("pod", {"three": (script, plain(share_pid_namespace=True))})
        report.equal("groups: the same after a restart of the agent", self.said("pod", "tasks/three/ns").split()[:2], seen[0][:2])
        self.finish_within("pod", "one", "two", "three", "alone")

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
