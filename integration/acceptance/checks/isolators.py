#!/usr/bin/env python3
"""isolators.py: what an operator chooses for containers, on real processes: profiles of system calls from files, capabilities, devices, GPUs by
path, limits and bursting, controllers and their statistics, users of their own; and what an agent refuses to start with.

Wants TEPUI_BIN, root and Debian's busybox-static. Ends with 0 or 1. Figures of cgroups are those of v1. Namespaces are in isolation.py.
"""
import base64
import json
import os
import re
import shutil
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import boxed, plain  # noqa: E402
from daemons import House, alive, get  # noqa: E402
from image_maker import Image, busybox, symlink  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from streams import STREAM, Output  # noqa: E402
from tasks import LIMIT_S, Tasks  # noqa: E402
from tepui_command import tepui  # noqa: E402

report = Report()
FIRST_USER = 200_000
# The numbers of fuse and of loop-control, under names that nobody else has.
GPUS = {"/dev/tepui-gpu-0": os.makedev(10, 229), "/dev/tepui-gpu-1": os.makedev(10, 237)}
V1 = "/sys/fs/cgroup/{}/tepui"


def profile(*rules, default="SCMP_ACT_ALLOW"):
    return {"defaultAction": default, "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}], "syscalls": list(rules)}


def rule(names, action="SCMP_ACT_ERRNO", includes=None, excludes=None):
    return {"names": names, "action": action, "args": [], "comment": "", "includes": includes or {}, "excludes": excludes or {}}


class Checks(Tasks):
    def offer(self, gpus=0):
        """One with cpus that are not only lent."""
        def enough(offer):
            own = [it for it in offer["resources"] if "revocable" not in it]
            amount = lambda name: sum(it["scalar"]["value"] for it in own if it["name"] == name)  # noqa: E731
            return amount("cpus") >= 1 and amount("mem") >= 256 and amount("gpus") >= gpus
        return self.framework.take_offer(enough, LIMIT_S)

    def start(self, name, script, container=None, state="TASK_RUNNING", gpus=0, **more):
        offer = self.offer(gpus)
        info = {**task(name, offer, script), **more}
        if gpus:
            info["resources"] = info["resources"] + scalars(gpus=gpus)
        if container:
            info["container"] = container
        self.framework.launch(offer, [info])
        return self.ended(name, state)

    def cgroup(self, controller, status, file):
        identity, parts = status["container_status"]["container_id"], []
        while identity:
            parts.insert(0, identity["value"])
            identity = identity.get("parent")
        with open(os.path.join(V1.format(controller), *parts, file), encoding="utf-8") as found:
            return found.read().strip()

    def group(self, executor, tasks, gpus=0):
        offer = self.offer(gpus)
        info = self.framework.default_executor(executor)
        infos = [{**task(name, offer, command), **more} for name, (command, more) in tasks.items()]
        self.framework.launch_group(offer, info, infos)
        return {name: self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S) for name in tasks}


class OperatorsChoice(Checks):
    """Of an agent with most of it."""

    def profiles(self):
        probe = "uname -s || echo refused"
        report.equal("seccomp: the operator's profile is the default", self.run("of-operator", probe), "refused\n")
        # This one prints the name it was not told.
        report.equal("seccomp: of a container with an image too", self.run("of-image", probe, boxed()), "\n")
        report.equal("seccomp: a task names another file", self.run("named", probe, plain(seccomp={"profile_name": "open"})), "Linux\n")
        report.equal("seccomp: the built-in one by its name", self.run("built-in", probe, plain(seccomp={"profile_name": "default"})), "Linux\n")
        report.equal("seccomp: none where it asks for that", self.run("none", probe, plain(seccomp={"unconfined": True})), "Linux\n")
        by_capability = plain(seccomp={"profile_name": "by-capability"}, effective_capabilities={"capabilities": ["CHOWN"]})
        report.equal("seccomp: a rule for those without a capability", self.run("without", probe, by_capability), "refused\n")
        report.equal("seccomp: and not for the others", self.run("with", probe, plain(seccomp={"profile_name": "by-capability"})), "Linux\n")
        for name, words in (("missing", "no Seccomp profile 'missing'"), ("broken", "Failed to parse Seccomp profile"), ("../outside", "no Seccomp profile '../outside'")):
            failed = self.run(f"seccomp-{name.strip('./')}", "true", plain(seccomp={"profile_name": name}), "TASK_FAILED")
            report.check(f"seccomp: {name} is refused in words", words in failed["message"], failed["message"])

    def devices(self):
        script = "(exec 3</dev/btrfs-control) && echo read; (exec 3>/dev/btrfs-control) && echo written; (exec 3</dev/fuse) && echo fuse; (exec 3>/dev/null) && echo usual"
        report.equal("devices: what is allowed and what is usual", self.run("devices", script), "read\nusual\n")
        out = self.run("devices-image", f"ls -l /dev/btrfs-control | head -c 10; echo; {script}", boxed())
        report.equal("devices: with an image its node is there, as open as allowed", out, "crw-r--r--\nread\nusual\n")
        report.equal("devices: a user may do what the container may", self.run("devices-user", "id -u; (exec 3</dev/btrfs-control) && echo read", boxed(),
                                                                              command={"value": "id -u; (exec 3</dev/btrfs-control) && echo read", "user": "nobody"}), "65534\nread\n")

    def gpus(self):
        report.equal("gpus: the agent offers as many as there are", get(self.house.agents[0].port, "/state")["resources"]["gpus"], 2)
        names = " ".join(GPUS)
        probe = f"for it in {names}; do (exec 3<$it) 2>/dev/null && echo $it; done > said.new; mv said.new said; {WAIT_FOR_GO}"
        self.start("one", probe, gpus=1)
        self.start("two", probe, gpus=1, container=boxed())
        first, second = self.said("one").split(), self.said("two").split()
        report.check("gpus: each task has one, and none the other's", len(first) == len(second) == 1 and first != second, (first, second))
        self.house.agents[0].kill()
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.finish("one")
        self.start("three", probe, gpus=1)
        report.equal("gpus: after a restart of the agent the held one stays held", self.said("three").split(), first)
        self.finish("two")
        self.finish("three")
        self.start("both", probe, gpus=2)
        report.equal("gpus: a task with both", self.said("both").split(), list(GPUS))
        self.finish("both")
        report.equal("gpus: a task without", self.run("no-gpu", f"for it in {names}; do (exec 3<$it) 2>/dev/null && echo $it; done; true"), "")
        self.group("gpu-pod", {name: (probe, {"resources": scalars(cpus=0.1, mem=32, gpus=1)}) for name in ("left", "right")}, gpus=2)
        left, right = (self.said("gpu-pod", f"tasks/{name}/said").split() for name in ("left", "right"))
        report.check("gpus: each task of a group has its own", sorted(left + right) == list(GPUS), (left, right))
        self.finish_within("gpu-pod", "left", "right")

    def limits(self):
        status = self.start("no-limits", WAIT_FOR_GO)
        found = [self.cgroup("cpu", status, "cpu.shares"), self.cgroup("cpu", status, "cpu.cfs_quota_us"), self.cgroup("memory", status, "memory.soft_limit_in_bytes"),
                 self.cgroup("memory", status, "memory.limit_in_bytes")]
        report.equal("limits: none asked for: the request is the limit", found, ["204", "20000", str(64 << 20), str(64 << 20)])
        with open("/proc/self/oom_score_adj", encoding="ascii") as own:
            report.equal("limits: then it is ended no sooner than others", self.oom_score(status), int(own.read()))
        self.finish("no-limits")
        limits = {"cpus": {"value": 0.5}, "mem": {"value": 128}}
        status = self.start("bursting", WAIT_FOR_GO, limits=limits)
        found = [self.cgroup("cpu", status, "cpu.shares"), self.cgroup("cpu", status, "cpu.cfs_quota_us"), self.cgroup("memory", status, "memory.soft_limit_in_bytes"),
                 self.cgroup("memory", status, "memory.limit_in_bytes")]
        report.equal("limits: above the request", found, ["204", "60000", str(64 << 20), str(160 << 20)])
        with open("/proc/meminfo", encoding="ascii") as machine:
            total = int(machine.readline().split()[1]) << 10
        report.equal("limits: who may have more memory is ended sooner when the machine's is short", self.oom_score(status), 1000 - 1000 * (64 << 20) // total)
        self.finish("bursting")
        endless = {"cpus": {"value": "Infinity"}, "mem": {"value": "Infinity"}}
        status = self.start("endless", WAIT_FOR_GO, limits=endless)
        found = self.cgroup("cpu", status, "cpu.cfs_quota_us"), int(self.cgroup("memory", status, "memory.limit_in_bytes")) > 1 << 60
        report.equal("limits: infinite ones are none", found, ("-1", True))
        self.finish("endless")

    def oom_score(self, status):
        with open(f"/proc/{status['container_status']['executor_pid']}/oom_score_adj", encoding="ascii") as score:
            return int(score.read())

    def short_of_memory(self):
        """What the kernel took a part of ends whole."""
        greedy = "head -c 300m /dev/zero | tail > /dev/null"
        for name, script in (("greedy", f"{greedy} & wait; exec sleep 1000"), ("greedy-and-well", f"{greedy}; exit 0")):
            failed = self.run(name, script, state="TASK_FAILED")
            report.equal(f"memory: {name}: reason", failed.get("reason"), "REASON_CONTAINER_LIMITATION_MEMORY")
            message = failed.get("message", "")
            told = re.fullmatch(r"Memory limit exceeded: Requested: 64MB Maximum Used: 64MB\n\nMEMORY STATISTICS: \n(\w+ \d+\n)+\n", message)
            report.check(f"memory: {name}: message", told, message)
            report.equal(f"memory: {name}: what it used", failed["limitation"]["resources"][0]["scalar"]["value"], 64)

    def limits_of_a_group(self):
        alone = {"type": "MESOS", "linux_info": {"share_cgroups": False}}
        resources = scalars(cpus=0.1, mem=32)
        limits = {"cpus": {"value": 0.2}, "mem": {"value": 64}}
        statuses = self.group("limited", {
            "own": (WAIT_FOR_GO, {"resources": resources, "limits": limits, "container": alone}),
            "endless-own": (WAIT_FOR_GO, {"resources": resources, "limits": {"cpus": {"value": "Infinity"}, "mem": {"value": "Infinity"}}, "container": alone})})
        outer = {"container_status": {"container_id": statuses["own"]["container_status"]["container_id"]["parent"]}}
        own = self.cgroup("cpu", statuses["own"], "cpu.cfs_quota_us"), self.cgroup("memory", statuses["own"], "memory.limit_in_bytes")
        report.equal("group: a task with cgroups of its own has its own limits", own, ("20000", str(64 << 20)))
        endless = self.cgroup("cpu", statuses["endless-own"], "cpu.cfs_quota_us"), int(self.cgroup("memory", statuses["endless-own"], "memory.limit_in_bytes")) > 1 << 60
        report.equal("group: or none", endless, ("-1", True))
        found = self.cgroup("cpu", outer, "cpu.cfs_quota_us"), self.cgroup("memory", outer, "memory.soft_limit_in_bytes")
        report.equal("group: the executor may take what all may together", found, ("-1", str((2 * 32 + 32) << 20)))
        self.finish_within("limited", "own", "endless-own")
        shares = self.group("sharing", {"shares": (WAIT_FOR_GO, {"resources": resources})})["shares"]
        report.check("group: one that shares cgroups has no limits but the executor's", int(self.cgroup("memory", shares, "memory.limit_in_bytes")) > 1 << 60)
        outer = {"container_status": {"container_id": shares["container_status"]["container_id"]["parent"]}}
        found = self.cgroup("cpu", outer, "cpu.cfs_quota_us"), self.cgroup("memory", outer, "memory.limit_in_bytes")
        report.equal("group: which are those of all together", found, ("20000", str(64 << 20)))
        self.finish_within("sharing", "shares")

    def lent_cpus(self):
        # What is only lent may come with an offer of its own.
        lent = lambda offer: any(it["name"] == "cpus" and "revocable" in it for it in offer["resources"])  # noqa: E731
        others = lambda offer: any(it["name"] == "mem" and it["scalar"]["value"] >= 32 for it in offer["resources"])  # noqa: E731
        offer = self.framework.take_offer(lambda offer: lent(offer) and others(offer), LIMIT_S)
        info = task("lent", offer, WAIT_FOR_GO, 1.0, 32)
        for resource in info["resources"]:
            if resource["name"] == "cpus":
                resource["revocable"] = {}
        self.framework.launch(offer, [info])
        status = self.framework.wait_state("lent", "TASK_RUNNING", limit_s=LIMIT_S)
        shares = int(self.cgroup("cpu", status, "cpu.shares"))
        report.check("lent: cpus that were only lent weigh next to nothing", 10 <= shares <= 12, shares)
        self.finish("lent")

    def statistics(self):
        status = self.start("measured", "sleep 600 & sleep 600 & exec sleep 600")
        controllers = {line.split(":")[1]: line.split(":", 2)[2].strip() for line in open(f"/proc/{status['container_status']['executor_pid']}/cgroup", encoding="utf-8")}
        inside = [name for name in ("cpu", "cpuacct", "memory", "pids", "devices", "cpuset", "blkio") if controllers.get(name, "").startswith("/tepui/")]
        report.equal("controllers: all of them with cgroups/all", inside, ["cpu", "cpuacct", "memory", "pids", "devices", "cpuset", "blkio"])
        look = lambda: [it["statistics"] for it in get(self.house.agents[0].port, "/monitor/statistics") if it["executor_id"] == "measured"]  # noqa: E731
        wait(lambda: look()[0]["processes"] == 3, LIMIT_S)
        found = look()[0]
        report.check("statistics: of memory, of its shortage and of disks", {"mem_cache_bytes", "mem_mapped_file_bytes", "mem_unevictable_bytes", "mem_soft_limit_bytes",
                                                                           "mem_low_pressure_counter", "mem_critical_pressure_counter", "blkio_statistics"} <= set(found), found)
        report.equal("statistics: processes and threads", (found["processes"], found["threads"]), (3, 3))
        self.framework.end("measured", limit_s=LIMIT_S)

    def flags(self):
        flags = get(self.house.agents[0].port, "/flags")["flags"]
        told = {name: flags.get(name) for name in ("cgroups_enable_cfs", "seccomp_profile_name", "revocable_cpu_low_priority")}
        report.equal("flags: they tell it", told, {"cgroups_enable_cfs": "true", "seccomp_profile_name": "no-uname", "revocable_cpu_low_priority": "true"})
        report.check("flags: the isolation too", {"cgroups/devices", "cgroups/cpuset", "cgroups/blkio", "linux/devices"} <= set(flags["isolation"].split(",")), flags["isolation"])


class Bounded(Checks):
    """Of an agent that bounds capabilities."""

    def capabilities(self):
        probe = "grep -E '^Cap(Eff|Bnd):' /proc/self/status | tr -d '\\t'"
        for name, container in (("plain", None), ("image", boxed())):
            out = self.run(f"caps-{name}", probe, container, command={"value": probe, "user": "nobody"}).split()
            report.equal(f"capabilities: {name}: the operator's", out, ["CapEff:0000000000000001", "CapBnd:0000000000000021"])
            out = self.run(f"caps-{name}-root", probe, container).split()
            report.equal(f"capabilities: {name}: root has all that can be had", out, ["CapEff:0000000000000021", "CapBnd:0000000000000021"])
        out = self.run("caps-own", probe, plain(effective_capabilities={"capabilities": ["KILL"]})).split()
        report.equal("capabilities: a task chooses others within the bounds", out, ["CapEff:0000000000000020", "CapBnd:0000000000000020"])
        failed = self.run("caps-more", "true", plain(bounding_capabilities={"capabilities": ["NET_RAW"]}), "TASK_FAILED")
        report.check("capabilities: none beyond them", "this agent allows only 0x21" in failed["message"], failed["message"])
        both = plain(capability_info={"capabilities": ["KILL"]}, effective_capabilities={"capabilities": ["KILL"]})
        failed = self.run("caps-both", "true", both, "TASK_FAILED")
        report.check("capabilities: the old name or the new one", "Only one of 'capability_info' or 'effective_capabilities'" in failed["message"], failed["message"])


    def rlimits(self):
        limit = {"type": "MESOS", "rlimit_info": {"rlimits": [{"type": "RLMT_FSIZE", "soft": 1024, "hard": 1024}]}}
        failed = self.run("large", "exec dd if=/dev/zero of=file bs=1024 count=4", limit, "TASK_FAILED")
        report.check("rlimits: who goes beyond is ended", "File size limit exceeded" in failed["message"] or "signal" in failed["message"], failed["message"])


class OtherUsers(Checks):
    """Of an agent whose containers have users of their own."""

    def root(self):
        script = f"id -u; cat /proc/self/uid_map; echo mine > file; stat -c %u file /bin/busybox; echo; {WAIT_FOR_GO}"
        pid = self.start("rooted", f"({script.split('; echo; ')[0]}) > said.new 2>&1; mv said.new said; {WAIT_FOR_GO}", boxed())["container_status"]["executor_pid"]
        said = self.said("rooted").split()
        report.equal("users: root there", said[:1] + said[1:4] + said[4:], ["0", "0", str(FIRST_USER), "65536", "0", "0"])
        report.equal("users: somebody else here", os.stat(f"/proc/{pid}").st_uid, FIRST_USER)
        report.check("users: files keep their owners on the disk", os.stat(os.path.join(self.sandbox("rooted"), "file")).st_uid == 0)
        outer = self.framework.wait_state("rooted", "TASK_RUNNING")["container_status"]["container_id"]
        with Output(self.house.agents[0].port, "LAUNCH_NESTED_CONTAINER_SESSION", STREAM, container_id={"value": "s", "parent": outer},
                    command={"shell": True, "value": "id -u; readlink /proc/self/ns/user"}) as output:
            out = output.read_all()[0].decode().split()
        report.equal("users: a session has the same", out, ["0", os.readlink(f"/proc/{pid}/ns/user")])
        self.finish("rooted")

    def powerless(self):
        secret = self.house.path("secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("of the machine's root")
        os.chmod(secret, stat.S_IRUSR)
        container = boxed(seccomp={"unconfined": True}, bounding_capabilities={"capabilities": ["SYS_ADMIN", "DAC_OVERRIDE", "KILL", "SYS_PTRACE", "MKNOD"]})
        container["volumes"] = [{"mode": "RW", "container_path": "/secret", "host_path": secret}]
        script = "cat /secret || echo closed; mount -t tmpfs none /tmp || echo unmounted; mknod /tmp/sda b 8 0 || echo none; echo x > /proc/sys/kernel/hostname || echo named"
        out = self.run("powerless", script, container)
        report.equal("users: capabilities are over its own alone", out.split(), ["closed", "unmounted", "none", "named"])

    def others(self):
        out = self.run("nobody", "", boxed(), command={"value": "id -u; echo mine > file && stat -c %u file", "user": "nobody"})
        report.equal("users: a task's user is that one there", out.split(), ["65534", "65534"])
        word = {"type": "SECRET", "secret": {"type": "VALUE", "value": {"data": base64.b64encode(b"sesame").decode()}}}
        for user, number in (("root", "0"), ("nobody", "65534")):
            container = {**boxed(), "volumes": [{"mode": "RO", "container_path": "word", "source": word}]}
            out = self.run(f"secret-{user}", "", container, command={"value": "cat word; echo; stat -c '%u %a' word", "user": user})
            report.equal(f"users: a secret is that of {user} there", out.split(), ["sesame", number, "400"])
        out = self.run("plain", "readlink /proc/self/ns/user")
        report.equal("users: without an image they are the machine's", out.strip(), os.readlink("/proc/self/ns/user"))
        check = {"type": "COMMAND", "delay_seconds": 0, "interval_seconds": 0.5, "grace_period_seconds": 30, "timeout_seconds": 30,
                 "command": {"shell": True, "value": "readlink /proc/self/ns/user > $MESOS_SANDBOX/joined.new && mv $MESOS_SANDBOX/joined.new $MESOS_SANDBOX/joined"}}
        pid = self.start("checked", WAIT_FOR_GO, boxed(), health_check=check)["container_status"]["executor_pid"]
        report.equal("users: a check has the same", self.said("checked", "joined").strip(), os.readlink(f"/proc/{pid}/ns/user"))
        self.house.agents[0].kill()
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        report.check("users: it runs on without its agent", alive(pid))
        self.finish("checked")


class Nested(Checks):
    """Containers that a client launches within those of tasks."""

    def within(self, outer, name, script, **more):
        """(its id, its end)"""
        identity = {"value": name, "parent": outer}
        status, text = self.agent_says("LAUNCH_NESTED_CONTAINER", container_id=identity, command={"shell": True, "value": script, **more})
        if status != 200:
            raise ValueError(f"{status} {text}")
        return identity

    def end(self, identity):
        return self.agent_says("WAIT_NESTED_CONTAINER", container_id=identity)[1]["wait_nested_container"]

    def environment(self):
        outer = self.start("outer", WAIT_FOR_GO)["container_status"]["container_id"]
        own = {"variables": [{"name": "OF_THE_CONTAINER", "value": "there"}]}
        identity = self.within(outer, "env", "env | grep -E '^(OF_THE|TEPUI|MESOS|HOME)' | grep -v MESOS_SANDBOX", environment=own)
        report.equal("nested: it ends", self.end(identity).get("exit_status"), 0)
        report.equal("nested: nothing of the agent's environment, and what it asks for", self.output("outer", "containers/env/stdout"), "OF_THE_CONTAINER=there\n")
        shown = self.agent_says("GET_CONTAINERS", get_containers={"show_nested": True})[1]["get_containers"]["containers"]
        report.equal("nested: one that has ended is not among those that run", [it["container_id"]["value"] for it in shown], [outer["value"]])
        report.equal("nested: its end is told again", self.end(identity).get("exit_status"), 0)
        self.finish("outer")
        report.check("nested: and until that of the one around it", wait(lambda: self.agent_says("WAIT_NESTED_CONTAINER", container_id=identity)[0] == 404, LIMIT_S))

    def cgroups(self):
        outer = self.start("holds", WAIT_FOR_GO)
        container = outer["container_status"]["container_id"]
        identity = self.within(container, "inner", f"echo $$ > said.new; mv said.new said; {WAIT_FOR_GO}")
        pid = self.said("holds", "containers/inner/said").strip()
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            places = {line.split(":")[1]: line.strip().split(":", 2)[2] for line in file}
        report.equal("nested: its cgroups are within the outer one's", places["memory"], f"/tepui/{container['value']}/inner")
        report.equal("nested: killed", self.agent_says("KILL_NESTED_CONTAINER", container_id=identity)[0], 200)
        report.equal("nested: by SIGKILL", self.end(identity).get("exit_status"), 9)
        second = self.within(container, "second", "exec sleep 600")
        with ThreadPoolExecutor(1) as clients:
            # Before the kill: the end is known for a moment only after that of the outer one.
            end = clients.submit(self.end, second)
            self.framework.end("holds", limit_s=LIMIT_S)
            # By the SIGTERM that all are sent, or by SIGKILL where the outer one has ended of it first.
            report.check("nested: it ends with the outer one", end.result().get("exit_status") in (9, 15))
        report.check("nested: and is unknown soon after", wait(lambda: self.agent_says("WAIT_NESTED_CONTAINER", container_id=second)[0] == 404, LIMIT_S))
        report.check("nested: no cgroup of either is left", wait(lambda: not os.path.exists(V1.format("memory") + f"/{container['value']}"), LIMIT_S))

    def over_restarts(self):
        status = self.start("kept", WAIT_FOR_GO)
        container = status["container_status"]["container_id"]
        runs = self.within(container, "runs", f"echo $$ > said.new; mv said.new said; {WAIT_FOR_GO}; exit 4")
        ends = self.within(container, "ends", "sleep 1; exit 3")
        pid = int(self.said("kept", "containers/runs/said"))
        self.house.agents[0].kill()
        wait(lambda: False, 1.5)
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        report.check("nested: after a restart of the agent the same process runs", alive(pid))
        report.equal("nested: and an end between is known", self.end(ends).get("exit_status"), 3 << 8)
        self.go("kept", "containers/runs")
        report.equal("nested: and one after it", self.end(runs).get("exit_status"), 4 << 8)
        self.finish("kept")


    def orphans(self):
        """Of an agent that has lost its memory."""
        status = self.start("lost", "echo $$ > said.new; mv said.new said; exec sleep 600")
        outer = int(self.said("lost"))
        self.within(status["container_status"]["container_id"], "within", "echo $$ > said.new; mv said.new said; exec sleep 600")
        inner = int(self.said("lost", "containers/within/said"))
        self.start("lost-image", "exec sleep 600", boxed())
        agent = self.house.agents[0]
        agent.kill()
        for top, directories, _ in os.walk(self.house.path("agent0")):
            if "checkpoint" in directories:
                shutil.rmtree(os.path.join(top, "checkpoint"))
                break
        agent.start()
        report.check("orphans: an agent without its memory ends what it finds", wait(lambda: not alive(outer) and not alive(inner), LIMIT_S), agent.log_tail())
        wait(lambda: self.house.active_agents() >= 1, LIMIT_S)
        report.check("orphans: and nothing of them is left", wait(lambda: not get(agent.port, "/containers"), LIMIT_S) is True)
        report.equal("orphans: new tasks run there", self.run("after", "echo well"), "well\n")


def with_house(flags, checks, *parts, files=(), resources="cpus:4;mem:4096;disk:1000;ports:[31000-32000]", capabilities=(), env=None):
    house = House(resources=resources)
    os.chmod(house.folder, 0o755)
    images = house.path("images")
    os.makedirs(images)
    links = [symlink(f"bin/{name}", "busybox") for name in ("uname", "mv", "mknod")]
    Image().layer(*busybox(), *links).save(os.path.join(images, "box:1.tar"), "box:1")
    for name, text in files:
        os.makedirs(os.path.dirname(house.path(name)), exist_ok=True)
        with open(house.path(name), "w", encoding="utf-8") as file:
            file.write(text)
    house.agents[0].env.update(env or {})
    house.agents[0].command += ["--docker-registry", images, *(flag.replace("HOUSE", house.folder) for flag in flags)]
    with house:
        framework = Scheduler(house.address, "isolators", capabilities=capabilities).subscribe()
        made = checks(house, framework)
        report.run(*(getattr(made, part) for part in parts))
        framework.close()


def refusals():
    """One line that says what is wrong, and no agent."""
    house = House()
    os.makedirs(house.path("profiles"))
    with open(house.path("profiles/broken"), "w", encoding="utf-8") as file:
        file.write("{}")
    try:
        for flags, words in (
                (["--isolation", "gpu/magic"], "this agent has no such isolator"),
                (["--seccomp-config-dir", house.path("missing")], "there is no such directory"),
                (["--seccomp-profile-name", "strict"], "needs --seccomp-config-dir"),
                (["--seccomp-config-dir", house.path("profiles"), "--seccomp-profile-name", "broken"], "Failed to parse Seccomp profile"),
                (["--seccomp-config-dir", house.path("profiles"), "--seccomp-profile-name", "none"], "no Seccomp profile 'none'"),
                (["--effective-capabilities", '{"capabilities": ["CHOWN"]}', "--bounding-capabilities", '{"capabilities": ["KILL"]}'], "not a subset of the bounding"),
                (["--bounding-capabilities", '{"capabilities": ["FLY"]}'], "--bounding-capabilities"),
                (["--gpu-devices", "/dev/missing"], "Failed to obtain device ID for '/dev/missing'"),
                (["--gpu-devices", "/dev/null", "--resources", "gpus:2"], "--gpu-devices names 1"),
                (["--allowed-devices", '{"allowed_devices": [{"device": {"path": "/dev/null"}, "access": {}}]}'], "without any access privileges"),
                (["--user-namespace-range", "0:10"], "expected the first of them, not 0"),
                (["--user-namespace-range", "100000:65536", "--image-provisioner-backend", "overlay"], "cannot shift the owners")):
            code, out, err = tepui("agent", "--work-dir", house.path("agent0"), "--master", house.address, "--port", "0", *flags)
            report.check(f"refused: {flags[0]} {words}", code != 0 and words in err + out, err + out)
    finally:
        house.__exit__()


def main():
    if os.geteuid() != 0:
        report.check("left out: isolators need root", True)
        sys.exit(report.end())
    report.run(refusals)
    for path, number in GPUS.items():
        if not os.path.exists(path):
            os.mknod(path, 0o666 | stat.S_IFCHR, number)
    try:
        files = (("profiles/no-uname", json.dumps(profile(rule(["uname"])))), ("profiles/open", json.dumps(profile())), ("profiles/broken", "{"),
                 ("outside", json.dumps(profile())),
                 ("profiles/by-capability", json.dumps(profile(rule(["uname"], excludes={"caps": ["CAP_SYS_ADMIN"]})))))
        allowed = {"allowed_devices": [{"device": {"path": "/dev/btrfs-control"}, "access": {"read": True}}]}
        flags = ["--isolation", "cgroups/all,linux/devices,linux/seccomp", "--seccomp-config-dir", "HOUSE/profiles", "--seccomp-profile-name", "no-uname",
                 "--allowed-devices", json.dumps(allowed), "--gpu-devices", ",".join(GPUS), "--cgroups-enable-cfs",
                 "--resource-estimator", "fixed=cpus:1", "--oversubscribed-resources-interval", "1secs"]
        with_house(flags, OperatorsChoice, "profiles", "devices", "gpus", "limits", "short_of_memory", "limits_of_a_group", "lent_cpus", "statistics", "flags", files=files,
                   capabilities=["GPU_RESOURCES", "REVOCABLE_RESOURCES"])
    finally:
        for path in GPUS:
            os.unlink(path)
    bounds = ["--effective-capabilities", '{"capabilities": ["CHOWN"]}', "--bounding-capabilities", '{"capabilities": ["CHOWN", "KILL"]}']
    with_house(bounds, Bounded, "capabilities", "rlimits")
    with_house([], Nested, "environment", "cgroups", "over_restarts", "orphans", env={"OF_THE_AGENT": "leaked", "TEPUI_SECRET": "leaked"})
    with_house(["--user-namespace-range", f"{FIRST_USER}:65536"], OtherUsers, "root", "powerless", "others")
    sys.exit(report.end())


if __name__ == "__main__":
    main()
