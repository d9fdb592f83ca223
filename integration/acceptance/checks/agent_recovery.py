#!/usr/bin/env python3
"""agent_recovery.py: two agents and two frameworks over kill -9, changed isolation, a framework that keeps nothing, an agent that stays away, and an end in order, on real processes.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive, get, request  # noqa: E402
from pid_files import pid_in  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 20
report = Report()


class Checks:
    def __init__(self, house):
        self.house = house
        self.commands = [list(agent.command) for agent in house.agents]

    def scheduler(self, name, **more):
        return Scheduler(self.house.address, name, **more).subscribe()

    def launch(self, framework, name, command="", cpus=0.5, state="TASK_RUNNING", program=None, **more):
        offer = framework.wait_offer(cpus=cpus, mem=64, limit_s=LIMIT_S)
        command = command or f"echo $$ > {self.house.folder}/{name}.pid; exec sleep 600"
        made = task(name, offer, command, cpus=cpus)
        made["command"].update(program or {})
        framework.launch(offer, [{**made, **more}])
        return framework.wait_state(name, state, limit_s=LIMIT_S)

    def pid(self, name):
        return wait(lambda: pid_in(self.house.path(f"{name}.pid")), LIMIT_S)

    def restart(self, *flags, all_of_them=False):
        agents = self.house.agents if all_of_them else self.house.agents[:1]
        for agent in agents:
            agent.kill()
        for agent, command in zip(agents, self.commands):
            agent.command = [*command, *flags]
            agent.start()
        if not wait(lambda: all(agent.registered() for agent in agents), LIMIT_S):
            raise RuntimeError(f"an agent does not come back: {agents[0].log_tail()}")

    def several(self):
        """Each of two agents holds a task of another framework."""
        one, two = self.scheduler("one", failover_timeout=60), self.scheduler("two", failover_timeout=60)
        self.launch(one, "a", cpus=3)
        one.call("SUPPRESS")
        for offer in list(one.offers):
            one.decline(offer)
        self.launch(two, "b", cpus=3)
        pids = [self.pid(name) for name in "ab"]
        ids = sorted(agent["id"] for agent in self.house.get("/slaves")["slaves"])
        self.restart(all_of_them=True)
        report.equal("both agents are the ones they were", sorted(agent["id"] for agent in self.house.get("/slaves")["slaves"]), ids)
        report.equal("each framework's task runs on", (one.reconcile(["a"]), two.reconcile(["b"])), ({"a": "TASK_RUNNING"}, {"b": "TASK_RUNNING"}))
        report.check("as the same process", all(alive(pid) for pid in pids), pids)
        one.end("a", limit_s=LIMIT_S)
        two.end("b", limit_s=LIMIT_S)
        report.check("and ends when it is killed", wait(lambda: not any(alive(pid) for pid in pids), LIMIT_S))
        one.teardown()
        two.teardown()

    def isolation_changes(self):
        if os.geteuid() != 0:
            return
        self.house.agents[1].kill()
        framework = self.scheduler("isolation", failover_timeout=60)
        for name, before, after in (("later", [], ["--isolation", "namespaces/pid"]), ("earlier", ["--isolation", "namespaces/pid"], [])):
            self.restart(*before)
            status = self.launch(framework, name, "exec sleep 600")
            pid = status["container_status"]["executor_pid"]
            self.restart(*after)
            report.equal(f"{name} isolated by its agent: it runs on", framework.reconcile([name]), {name: "TASK_RUNNING"})
            framework.end(name, limit_s=LIMIT_S)
            report.check(f"{name} isolated by its agent: killed with all of it", wait(lambda gone=pid: not alive(gone), LIMIT_S), pid)
        failed = self.launch(framework, "nowhere", state="TASK_FAILED", program={"shell": False, "value": "/no/such/program"})
        report.equal("a command that is not there is no launch", failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED")
        report.equal("and is counted", get(self.house.agents[0].port, "/metrics/snapshot")["slave/container_launch_errors"], 1.0)
        framework.teardown()

    def careless(self):
        """A framework that keeps nothing, with a container within its task's."""
        framework = self.scheduler("careless", checkpoint=False)
        self.launch(framework, "lost")
        agent = self.house.agents[0]
        container = next(r["container_id"] for r in get(agent.port, "/containers") if r["executor_id"] == "lost")
        inner = {"container_id": {"value": "inner", "parent": {"value": container}}, "command": {"value": f"echo $$ > {self.house.folder}/inner.pid; exec sleep 600"}}
        headers = {"Content-Type": "application/json"}
        status, _, text = request(agent.port, "POST", "/api/v1", json.dumps({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": inner}), headers)
        report.equal("a container within the task's", (status, text), (200, b""))
        pids = [self.pid(name) for name in ("lost", "inner")]
        self.restart("--gc-non-executor-container-sandboxes")
        report.check("what keeps nothing is ended when its agent starts again", wait(lambda: not any(alive(pid) for pid in pids), LIMIT_S), pids)
        framework.wait_state("lost", "TASK_LOST", limit_s=LIMIT_S)
        report.check("and told as lost", True)
        left = glob.glob(f"{self.house.path('agent0')}/slaves/*/frameworks/*/executors/lost/runs/latest")
        report.check("its sandbox is still there to look at", left, left)
        framework.teardown()

    def forsaken(self):
        """Nobody starts the agent again."""
        self.house.agents[1].kill()
        self.restart("--recovery-timeout", "4secs")
        kept, careless = self.scheduler("kept", failover_timeout=60), self.scheduler("careless", checkpoint=False)
        self.launch(kept, "waits", f"trap 'echo asked; exit 0' TERM; echo $$ > {self.house.folder}/waits.pid; while :; do sleep 0.1; done")
        for offer in list(kept.offers):
            kept.decline(offer, 0)
        self.launch(careless, "does-not")
        waits, does_not = self.pid("waits"), self.pid("does-not")
        self.house.agents[0].kill()
        report.check("what keeps nothing ends with its agent", wait(lambda: not alive(does_not), LIMIT_S), does_not)
        report.check("what waits for another agent ends when none comes", wait(lambda: not alive(waits), LIMIT_S), waits)
        self.restart()
        status = kept.wait_state("waits", "TASK_FAILED", limit_s=LIMIT_S)
        report.equal("and its framework hears of it", (status["reason"], status["message"]), (
            "REASON_EXECUTOR_TERMINATED", "Executor terminated: its agent was away for longer than the recovery timeout"))
        careless.wait_state("does-not", "TASK_LOST", limit_s=LIMIT_S)
        latest = glob.glob(f"{self.house.path('agent0')}/slaves/*/frameworks/*/executors/waits/runs/latest/stdout")
        with open(latest[0], encoding="utf-8") as stdout:
            report.equal("it was asked first", stdout.read(), "asked\n")
        kept.teardown()
        careless.teardown()

    def ended_in_order(self):
        """An agent without tasks ends as a service manager ends it, and is started again."""
        self.house.agents[1].kill()
        agent = self.house.agents[0]
        self.restart()
        framework = self.scheduler("in order")
        offered = framework.wait_offer(cpus=4, mem=64, limit_s=LIMIT_S)
        framework.decline(offered, 0)
        agent.stop()
        report.equal("an agent without tasks ends in order", agent.process.returncode, 0)
        with framework.changed:
            framework.offers.clear()
        agent.start()
        again = framework.wait_offer(cpus=4, mem=64, limit_s=LIMIT_S)
        report.equal("its next start is the agent it was", again["agent_id"], offered["agent_id"])
        report.equal("and offers all it has", again["resources"], offered["resources"])
        framework.teardown()

    def dangling(self):
        """What a task of root left mounted in its sandbox."""
        if os.geteuid() != 0:
            return
        framework = self.scheduler("mounts")
        volume = self.house.path("volume")
        os.makedirs(volume)
        with open(os.path.join(volume, "kept"), "w", encoding="ascii"):
            pass
        self.launch(framework, "mounts", f"mkdir dangling && mount --bind {volume} dangling", state="TASK_FINISHED")
        # The link is for people, and made when the task may have ended.
        latest = f"{self.house.path('agent0')}/slaves/*/frameworks/*/executors/mounts/runs/latest"
        sandbox = os.path.realpath(wait(lambda: glob.glob(latest), LIMIT_S)[0])
        with open(f"/proc/{self.house.agents[0].process.pid}/mounts", encoding="utf-8") as mounts:
            report.check("a task of root leaves a mount", f"{sandbox}/dangling" in mounts.read())
        self.restart("--gc-delay", "1secs", "--disk-watch-interval", "1secs")
        report.check("its sandbox goes all the same", wait(lambda: not os.path.exists(sandbox), LIMIT_S), self.house.agents[0].log_tail())
        report.check("and what was mounted there stays", os.path.exists(os.path.join(volume, "kept")))
        framework.teardown()


def main():
    with House(agents=2) as house:
        checks = Checks(house)
        report.run(checks.several, checks.isolation_changes, checks.careless, checks.forsaken, checks.ended_in_order, checks.dangling)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
