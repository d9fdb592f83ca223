#!/usr/bin/env python3
"""cgroup_changes.py: what a container sees of its cgroups; agents that come back with other controllers than their containers began with; an
agent whose memory is older than its containers; processes that are held by a debugger. On real processes.

Wants TEPUI_BIN, root and Debian's busybox-static. Ends with 0 or 1. Figures of cgroups are those of v1.
"""
import ctypes
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import boxed  # noqa: E402
from daemons import alive, get  # noqa: E402
from isolators import V1, Nested, report, with_house  # noqa: E402
from report import wait  # noqa: E402
from resources import scalars  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from tasks import LIMIT_S  # noqa: E402

LIMITS = ["--isolation", "cgroups/cpu,cgroups/mem"]
PTRACE_ATTACH, ANY_CHILD = 16, 0x40000000


class Seen(Nested):
    """By containers with an image."""

    SCRIPT = "cat /sys/fs/cgroup/memory/memory.soft_limit_in_bytes /sys/fs/cgroup/cpu/cpu.shares; grep -c . /sys/fs/cgroup/pids/cgroup.procs; " \
             "ls -d /sys/fs/cgroup/*/tepui /sys/fs/cgroup/tepui 2>/dev/null; mkdir /sys/fs/cgroup/memory/mine 2>/dev/null || echo closed"

    def of_a_task(self):
        # The executor's own amounts count too, as with Mesos' command executor; ours has none.
        status = self.start("seen", f"({self.SCRIPT}) > said.new; mv said.new said; {WAIT_FOR_GO}", boxed())
        own = [self.cgroup("memory", status, "memory.soft_limit_in_bytes"), self.cgroup("cpu", status, "cpu.shares")]
        said = self.said("seen").split()
        report.check("seen: its own limits, its own processes and nothing of others", said[:2] == own and int(said[2]) >= 1 and said[3:] == ["closed"], (said, own))
        check = {"type": "COMMAND", "delay_seconds": 0, "interval_seconds": 0.5, "grace_period_seconds": 30, "timeout_seconds": 30,
                 "command": {"shell": True, "value": "cat /sys/fs/cgroup/cpu/cpu.shares > $MESOS_SANDBOX/looked.new && mv $MESOS_SANDBOX/looked.new $MESOS_SANDBOX/looked"}}
        self.finish("seen")
        status = self.start("looked", WAIT_FOR_GO, boxed(), health_check=check)
        report.equal("seen: a check sees them too", self.said("looked", "looked").strip(), self.cgroup("cpu", status, "cpu.shares"))
        self.finish("looked")

    def of_a_group(self):
        resources = scalars(cpus=0.1, mem=32)
        alone = {**boxed(), "linux_info": {"share_cgroups": False}}
        script = f"({self.SCRIPT}) > said.new; mv said.new said; {WAIT_FOR_GO}"
        self.group("seeing", {"shares": (script, {"resources": resources, "container": boxed()})})
        self.group("seeing-own", {"own": (script, {"resources": resources, "container": alone})})
        # The executor's amounts and the task's together: 0.2 CPUs.
        shares, own = self.said("seeing", "tasks/shares/said").split(), self.said("seeing-own", "tasks/own/said").split()
        report.check("seen: a task that shares cgroups sees those of its executor", shares[:2] == [str(64 << 20), "204"] and shares[3:] == ["closed"], shares)
        report.check("seen: one that does not sees its own", own[:2] == [str(32 << 20), "102"] and own[3:] == ["closed"], own)
        self.finish_within("seeing", "shares")
        self.finish_within("seeing-own", "own")


class Restarted(Nested):
    """By an agent with other flags."""

    def restart(self, *flags):
        agent = self.house.agents[0]
        if not hasattr(self, "command"):
            self.command = list(agent.command)
        agent.kill()
        agent.command = [*self.command, *flags]
        agent.start()
        if not wait(self.house.agents_are_back, LIMIT_S):
            raise RuntimeError(f"the agent does not come back: {agent.log_tail()}")

    def statistics(self, name):
        return next(it["statistics"] for it in get(self.house.agents[0].port, "/monitor/statistics") if it["executor_id"] == name)

    def limits_memory(self, status):
        path = f"/proc/{status['container_status']['executor_pid']}/cgroup"
        with open(path, encoding="utf-8") as file:
            places = {line.split(":")[1]: line.strip().split(":", 2)[2] for line in file}
        return places["memory"].startswith("/tepui/")

    def has_memory(self, name):
        return {"mem_total_bytes", "mem_cache_bytes"} <= set(self.statistics(name))

    def memory_comes(self):
        self.restart("--isolation", "cgroups/cpu,posix/mem")
        report.check("memory: an agent without it tells so", "posix/mem" in get(self.house.agents[0].port, "/flags")["flags"]["isolation"])
        before = self.start("before", WAIT_FOR_GO)
        report.equal("memory: a container of that agent has no limit of memory, and no figures", (self.limits_memory(before), self.has_memory("before")), (False, False))
        self.restart(*LIMITS)
        report.equal("memory: nor has it after the agent came back with it", (self.limits_memory(before), self.has_memory("before")), (False, False))
        after = self.start("after", WAIT_FOR_GO)
        report.equal("memory: one that is launched now has both", (self.limits_memory(after), self.has_memory("after")), (True, True))
        report.equal("memory: both run", self.framework.reconcile(["before", "after"]), {"before": "TASK_RUNNING", "after": "TASK_RUNNING"})
        self.finish("before")
        self.finish("after")
        self.nothing_is_left(before, after)

    def memory_goes(self):
        before = self.start("with", WAIT_FOR_GO)
        report.check("memory: a container of an agent with it", self.limits_memory(before) and self.has_memory("with"))
        limit = self.cgroup("memory", before, "memory.limit_in_bytes")
        self.restart("--isolation", "cgroups/cpu,posix/mem")
        report.equal("memory: keeps its limit when the agent comes back without", (self.limits_memory(before), self.cgroup("memory", before, "memory.limit_in_bytes")), (True, limit))
        report.check("memory: of which no figures are told any more", not self.has_memory("with"))
        after = self.start("without", WAIT_FOR_GO)
        report.equal("memory: one that is launched now has neither", (self.limits_memory(after), self.has_memory("without")), (False, False))
        self.finish("with")
        self.finish("without")
        self.nothing_is_left(before, after)

    def nothing_is_left(self, *statuses):
        names = [status["container_status"]["container_id"]["value"] for status in statuses]
        left = lambda: [path for name in names for it in ("memory", "cpu", "pids") if os.path.exists(path := os.path.join(V1.format(it), name))]  # noqa: E731
        report.check("memory: no cgroup of either is left", wait(lambda: not left(), LIMIT_S), left())

    def more_controllers(self):
        """A container that is older than a controller gets others within it."""
        self.restart(*LIMITS)
        self.group("older", {"first": (WAIT_FOR_GO, {"resources": scalars(cpus=0.1, mem=32)})})
        outer = self.start("around", WAIT_FOR_GO)["container_status"]["container_id"]
        self.restart("--isolation", "cgroups/all")
        self.group("older", {"second": (f"cat /proc/self/cgroup > said.new; mv said.new said; {WAIT_FOR_GO}", {"resources": scalars(cpus=0.1, mem=32)})})
        said = self.said("older", "tasks/second/said")
        inside = [line.split(":")[1] for line in said.splitlines() if line.split(":", 2)[2].startswith("/tepui/")]
        report.check("controllers: a task joins an older group, in those that are new too", {"blkio", "cpuset", "devices", "memory"} <= set(inside), said)
        inner = self.within(outer, "inner", "exit 3")
        report.equal("controllers: so does a container within an older task", self.end(inner).get("exit_status"), 3 << 8)
        self.finish_within("older", "first", "second")
        self.finish("around")
        gone = lambda: not any(os.path.isdir(V1.format(it)) and outer["value"] in os.listdir(V1.format(it)) for it in ("blkio", "cpuset", "devices"))  # noqa: E731
        report.check("controllers: and nothing of it is left there", wait(gone, LIMIT_S))


class Forgetful(Restarted):
    """An agent whose memory is older than its containers."""

    def launcher_orphans(self):
        outer = self.start("outer", "echo $$ > said.new; mv said.new said; exec sleep 600")["container_status"]["container_id"]
        script = "echo $$ > said.new; mv said.new said; exec sleep 600"
        known = self.within(outer, "known", script)
        agent = self.house.agents[0]
        agent.kill()
        memory = next(os.path.join(top, "checkpoint") for top, names, _ in os.walk(self.house.path("agent0")) if "checkpoint" in names)
        shutil.copytree(memory, self.house.path("older"))
        agent.start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.within(outer, "unknown", script)
        pids = {name: int(self.said("outer", path)) for name, path in (("outer", "said"), ("known", "containers/known/said"), ("unknown", "containers/unknown/said"))}
        agent.kill()
        shutil.rmtree(memory)
        shutil.copytree(self.house.path("older"), memory)
        agent.start()
        wait(self.house.agents_are_back, LIMIT_S)
        report.check("orphan: a container within another one that the agent's memory does not tell of is ended", wait(lambda: not alive(pids["unknown"]), LIMIT_S), agent.log_tail())
        report.check("orphan: the one around it and the other one within run on", alive(pids["outer"]) and alive(pids["known"]), pids)
        unknown = {"value": "unknown", "parent": outer}
        report.equal("orphan: nobody knows it", self.agent_says("WAIT_NESTED_CONTAINER", container_id=unknown)[0], 404)
        report.check("orphan: and nothing of it is left", wait(lambda: not os.path.exists(os.path.join(V1.format("memory"), outer["value"], "unknown")), LIMIT_S))
        report.equal("orphan: the other one ends when it is killed", (self.agent_says("KILL_NESTED_CONTAINER", container_id=known)[0], self.end(known).get("exit_status")), (200, 9))
        self.framework.end("outer", limit_s=LIMIT_S)
        report.check("orphan: and the one around it", wait(lambda: not alive(pids["outer"]), LIMIT_S))


class Held(Nested):
    def traced(self):
        """By a debugger, which hears of the end first."""
        pid = self.start("traced", "exec sleep 600")["container_status"]["executor_pid"]
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        if libc.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
        _, status = os.waitpid(pid, ANY_CHILD)
        report.check("traced: it is held", os.WIFSTOPPED(status), status)
        self.framework.kill("traced")
        # Signals but the last one wait for the debugger's word.
        while os.WIFSTOPPED(status):
            _, status = os.waitpid(pid, ANY_CHILD)
        report.equal("traced: killed all the same", (os.WIFSIGNALED(status), os.WTERMSIG(status)), (True, signal.SIGKILL))
        self.framework.wait_state("traced", "TASK_KILLED", limit_s=LIMIT_S)
        report.check("traced: and gone", wait(lambda: not os.path.exists(f"/proc/{pid}"), LIMIT_S))

    def traced_within(self):
        """By another process of the container, which may no more hold it than itself."""
        script = "import ctypes, os, signal, time\n" \
                 "child = os.fork()\n" \
                 "if not child:\n" \
                 "    ctypes.CDLL(None).ptrace(0, 0, None, None)\n" \
                 "    os.kill(os.getpid(), signal.SIGSTOP)\n" \
                 "os.waitpid(child, os.WUNTRACED)\n" \
                 "print(child, file=open('said.new', 'w'))\n" \
                 "os.rename('said.new', 'said')\n" \
                 "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" \
                 "time.sleep(600)\n"
        pid = self.start("debugger", "", command={"shell": False, "value": sys.executable, "arguments": [sys.executable, "-c", script]})["container_status"]["executor_pid"]
        child = int(self.said("debugger"))
        self.framework.end("debugger", limit_s=LIMIT_S)
        report.check("traced: with its debugger, in one container", wait(lambda: not alive(pid) and not alive(child), LIMIT_S), (pid, child))


def main():
    if os.geteuid() != 0:
        report.check("left out: cgroups need root", True)
        sys.exit(report.end())
    with_house([], Seen, "of_a_task", "of_a_group")
    with_house([], Restarted, "memory_comes", "memory_goes", "more_controllers")
    with_house([], Forgetful, "launcher_orphans")
    with_house([], Held, "traced", "traced_within")
    sys.exit(report.end())


if __name__ == "__main__":
    main()
