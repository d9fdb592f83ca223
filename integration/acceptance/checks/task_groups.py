#!/usr/bin/env python3
"""task_groups.py: the default executor with task groups, on real processes.

Wants TEPUI_BIN. Ends with 0 or 1. All of a group or none; each task in a container of its own within the executor's, with its sandbox under
`tasks/<id>`; a directory they share; one that fails or is killed takes its group along and no other group; limits are those of all together;
the same processes run on after `kill -9` of the agent; the executor ends with its last task.
"""
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from agent_api import agent_id, executor_of  # noqa: E402
from containers import of_sandbox  # noqa: E402
from daemons import House, alive, get, post, request  # noqa: E402
from pid_files import pids_of  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

RETURN_S = 20
report = Report()


def sharing(info, container_path, path="common"):
    return dict(info, container={"type": "MESOS", "volumes": [of_sandbox(path, container_path)]})


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework = house, framework
        self.agent = house.agents[0]

    def offer(self):
        return self.framework.wait_offer(cpus=1, mem=256)

    def pids(self, name):
        """Once the command has come so far: TASK_RUNNING tells only that it has begun."""
        return wait(lambda: pids_of(self.house, name), 5)

    def sleeper(self, name, offer, **more):
        return dict(task(name, offer, f"echo $$ >> {self.house.folder}/{name}.pids; echo out-{name}; echo err-{name} >&2; exec sleep 600"), **more)

    def file(self, path):
        status, _, body = request(self.agent.port, "GET", "/files/download?path=" + urllib.parse.quote(path))
        return body.decode() if status == 200 else f"{status} {body[:100]!r}"

    def end(self, name):
        self.framework.call("SHUTDOWN", shutdown={"executor_id": {"value": name}, "agent_id": {"value": agent_id(self.agent.port)}})
        report.check(f"{name}: gone after SHUTDOWN", wait(lambda: executor_of(self.agent.port, name) is None, 10), executor_of(self.agent.port, name))

    def runs_and_is_shown(self):
        offer = self.offer()
        self.framework.launch_group(offer, self.framework.default_executor("e1"), [
            sharing(self.sleeper("a", offer), "mine"),
            sharing(dict(task("b", offer, "echo from-b > other/note; sleep 0.3; cat other/note; exit 0")), "other"),
            dict(task("c", offer, "ulimit -Sn; ulimit -Hn; sleep 0.3"), container={"type": "MESOS", "rlimit_info": {"rlimits": [
                {"type": "RLMT_NOFILE", "soft": 77, "hard": 99}]}})])
        running = self.framework.wait_state("a", "TASK_RUNNING")
        self.framework.wait_state("b", "TASK_FINISHED")
        self.framework.wait_state("c", "TASK_FINISHED")
        report.equal("states of a", self.framework.statuses("a"), ["TASK_STARTING", "TASK_RUNNING"])
        report.equal("states of b", self.framework.statuses("b"), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"])
        shown = running["container_status"]
        pids = self.pids("a")
        report.equal("the update names the process of the task", [shown.get("executor_pid")], pids)
        found = executor_of(self.agent.port, "e1")
        report.equal("the container's parent is the executor's", shown["container_id"]["parent"]["value"], found["container"])
        report.equal("type and resources of the executor", (found["type"], found["resources"]["cpus"], found["resources"]["mem"]), ("DEFAULT", 0.2, 64.0))
        sandbox = found["directory"]
        report.equal("stdout under tasks/<id>", self.file(f"{sandbox}/tasks/a/stdout"), "out-a\n")
        report.equal("stderr under containers/<id>", self.file(f"{sandbox}/containers/{shown['container_id']['value']}/stderr"), "err-a\n")
        report.equal("limits on its processes", self.file(f"{sandbox}/tasks/c/stdout"), "77\n99\n")
        report.equal("a shared directory: seen by the other task", self.file(f"{sandbox}/tasks/b/stdout"), "from-b\n")
        report.equal("a shared directory: lies in the executor's sandbox", self.file(f"{sandbox}/common/note"), "from-b\n")
        plain = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {}})["get_containers"]["containers"]
        nested = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {"show_nested": True}})["get_containers"]["containers"]
        report.equal("GET_CONTAINERS: one, and with show_nested two", (len(plain), len(nested)), (1, 2))
        report.check("GET_CONTAINERS: the inner one names its process", nested[1]["container_status"].get("executor_pid") == pids[0], nested[1])
        cgroup = f"/sys/fs/cgroup/memory/tepui/{found['container']}"
        if os.path.isdir(cgroup):
            with open(f"{cgroup}/memory.soft_limit_in_bytes", encoding="ascii") as limit:
                report.equal("the limit is that of the executor and what still runs", int(limit.read()), 64 << 20)
            with open(f"{cgroup}/{shown['container_id']['value']}/tasks", encoding="ascii") as members:
                report.equal("the task's process is in a cgroup within the executor's", [int(line) for line in members], pids)
        self.framework.end("a")
        report.equal("states of a after KILL", self.framework.statuses("a")[2:], ["TASK_KILLING", "TASK_KILLED"])
        report.check("the process is gone", not alive(pids[0]))
        self.executor_ended("e1")

    def executor_ended(self, name, status=0):
        def failure():
            failures = [e["failure"] for e in self.framework.events if e["type"] == "FAILURE"]
            return next((f for f in failures if f["executor_id"]["value"] == name), None)
        wait(failure, 10)
        report.equal(f"{name}: ends with its last task, status", (failure() or {}).get("status"), status)
        report.check(f"{name}: not listed any more", wait(lambda: executor_of(self.agent.port, name) is None, 5))

    def failure_takes_its_group(self):
        offer = self.offer()
        self.framework.launch_group(offer, self.framework.default_executor("e2"), [self.sleeper("stays", offer)])
        self.framework.wait_state("stays", "TASK_RUNNING")
        offer = self.offer()
        self.framework.launch_group(offer, self.framework.default_executor("e2"), [
            dict(task("fails", offer, "sleep 0.5; exit 3")), self.sleeper("follows", offer)])
        failed = self.framework.wait_state("fails", "TASK_FAILED")
        killed = self.framework.wait_state("follows", "TASK_KILLED")
        report.equal("fails: message", failed.get("message"), "Command exited with status 3")
        report.equal("follows: message", killed.get("message"), "Command terminated with signal Terminated")
        report.check("another group of the executor runs on", all(alive(pid) for pid in self.pids("stays")))
        report.equal("states of it", self.framework.statuses("stays"), ["TASK_STARTING", "TASK_RUNNING"])
        self.end("e2")
        report.equal("SHUTDOWN: states", self.framework.statuses("stays")[2:], ["TASK_KILLING", "TASK_KILLED"])

    def kill_within_grace(self):
        offer = self.offer()
        stubborn = "trap '' TERM; sh -c \"trap '' TERM; sleep 600\" & echo $$ $! | tr ' ' '\\n' > {}/stubborn.pids; wait; sleep 600"
        info = dict(task("stubborn", offer, stubborn.format(self.house.folder)), kill_policy={"grace_period": {"nanoseconds": 700_000_000}})
        self.framework.launch_group(offer, self.framework.default_executor("e3"), [info, self.sleeper("beside", offer)])
        self.framework.wait_state("stubborn", "TASK_RUNNING")
        wait(lambda: len(pids_of(self.house, "stubborn")) == 2, 5)
        begun = time.monotonic()
        self.framework.kill("stubborn")
        status = self.framework.wait_state("stubborn", "TASK_KILLED")
        took = time.monotonic() - begun
        report.equal("stubborn: ended by SIGKILL", status.get("message"), "Command terminated with signal Killed")
        report.check("stubborn: after its grace of 0.7 s", 0.6 < took < 5, took)
        report.check("stubborn: its whole tree is gone", not any(alive(pid) for pid in pids_of(self.house, "stubborn")), pids_of(self.house, "stubborn"))
        self.framework.wait_state("beside", "TASK_KILLED")
        self.executor_ended("e3")

    def all_or_none(self):
        offer = self.offer()
        odd = dict(task("odd", offer, "true"), container={"type": "MESOS", "mesos": {"image": {"type": "APPC", "appc": {"name": "x"}}}})
        self.framework.launch_group(offer, self.framework.default_executor("e4"), [self.sleeper("fine", offer), odd])
        status = self.framework.wait_state("fine", "TASK_FAILED")
        self.framework.wait_state("odd", "TASK_FAILED")
        report.equal("a group with a task that cannot run: reason", status.get("reason"), "REASON_CONTAINER_LAUNCH_FAILED")
        report.equal("nothing of it ran", pids_of(self.house, "fine"), [])

    def agent_killed(self):
        offer = self.offer()
        self.framework.launch_group(offer, self.framework.default_executor("e5"), [
            self.sleeper("lives", offer), dict(task("ends", offer, f"echo $$ > {self.house.folder}/ends.pids; sleep 2; exit 0"))])
        self.framework.wait_state("lives", "TASK_RUNNING")
        self.framework.wait_state("ends", "TASK_RUNNING")
        pids = self.pids("lives")
        self.agent.kill()
        wait(lambda: not any(alive(pid) for pid in pids_of(self.house, "ends")), 5)
        time.sleep(0.2)
        self.agent.start()
        status = self.framework.wait_state("ends", "TASK_FINISHED", limit_s=RETURN_S)
        report.equal("an end that fell between: told with its status", status.get("message"), "Command exited with status 0")
        report.check("the same process runs on", all(alive(pid) for pid in pids) and pids_of(self.house, "lives") == pids, (pids, pids_of(self.house, "lives")))
        report.equal("reconciled as running", self.framework.reconcile(["lives"]), {"lives": "TASK_RUNNING"})
        known = get(self.agent.port, "/state")["frameworks"][0]
        lives = next(it for e in known["executors"] for it in e["tasks"] if it["id"] == "lives")
        report.equal("how it began is known", [it["state"] for it in lives["statuses"]], ["TASK_STARTING", "TASK_RUNNING"])
        earlier = next((e for e in known["completed_executors"] if e["id"] == "e1"), {"completed_tasks": [], "directory": ""})
        report.equal("so is what ended before", sorted(it["id"] for it in earlier["completed_tasks"]), ["a", "b", "c"])
        report.equal("with its sandbox", self.file(f"{earlier['directory']}/tasks/a/stdout"), "out-a\n")
        self.framework.end("lives")
        report.equal("states of it, none twice", self.framework.told("lives"), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"])
        self.executor_ended("e5")

    def described_by_others(self):
        """As dcos-commons describes the executor of a pod."""
        if os.geteuid() != 0:
            return
        offer = self.offer()
        host, shown = self.house.path("host"), self.house.path("shown")
        for path in (host, shown):
            os.makedirs(path)
        with open(os.path.join(host, "file"), "w", encoding="ascii") as file:
            file.write("of the host\n")
        volume = {"mode": "RO", "host_path": host, "container_path": shown}
        bare = {"type": "MESOS", "linux_info": {"share_cgroups": False}}
        container = dict(bare, volumes=[volume])
        self.framework.launch_group(offer, self.framework.default_executor("e8", container=container), [
            dict(task("same", offer, f"cat {shown}/file"), container=container), dict(task("none", offer, f"cat {shown}/file"), container=bare)])
        for name in ("same", "none"):
            self.framework.wait_state(name, "TASK_FINISHED")
        state = get(self.agent.port, "/state")
        # Where nothing else is left of it, the framework is a completed one already.
        frameworks = state["frameworks"] + state["completed_frameworks"]
        sandbox = next(e for f in frameworks for e in f["executors"] + f["completed_executors"] if e["id"] == "e8")["directory"]
        report.equal("a volume of the host: seen by who asks for it", self.file(f"{sandbox}/tasks/same/stdout"), "of the host\n")
        report.equal("and by who has it of its executor", self.file(f"{sandbox}/tasks/none/stdout"), "of the host\n")
        self.executor_ended("e8")

    def executor_killed(self):
        offer = self.offer()
        self.framework.launch_group(offer, self.framework.default_executor("e6"), [self.sleeper("x", offer), self.sleeper("y", offer)])
        self.framework.wait_state("x", "TASK_RUNNING")
        self.framework.wait_state("y", "TASK_RUNNING")
        containers = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {}})["get_containers"]["containers"]
        os.kill(containers[0]["container_status"]["executor_pid"], 9)
        for name in ("x", "y"):
            status = self.framework.wait_state(name, "TASK_FAILED")
            report.equal(f"{name}: reason when the executor is killed", status.get("reason"), "REASON_EXECUTOR_TERMINATED")
            report.check(f"{name}: no process is left", not any(alive(pid) for pid in pids_of(self.house, name)))
        self.executor_ended("e6", 9)

    def out_of_memory(self):
        if not os.path.isdir("/sys/fs/cgroup/memory/tepui"):
            return
        offer = self.offer()
        greedy = dict(task("greedy", offer, "head -c 300m /dev/zero | tail"), resources=scalars(cpus=0.1, mem=32))
        self.framework.launch_group(offer, self.framework.default_executor("e7"), [greedy, self.sleeper("modest", offer)])
        status = self.framework.wait_state("greedy", "TASK_FAILED")
        report.equal("greedy: reason", status.get("reason"), "REASON_CONTAINER_LIMITATION_MEMORY")
        report.check("greedy: names the limit", status.get("limitation", {}).get("resources"), status)
        self.framework.wait_state("modest", "TASK_KILLED")
        self.executor_ended("e7")


def main():
    with House() as house:
        framework = Scheduler(house.address, "groups", failover_timeout=60, capabilities=("TASK_KILLING_STATE", "PARTITION_AWARE")).subscribe()
        checks = Checks(house, framework)
        report.run(checks.runs_and_is_shown, checks.failure_takes_its_group, checks.kill_within_grace, checks.all_or_none,
                   checks.described_by_others, checks.executor_killed, checks.out_of_memory, checks.agent_killed)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
