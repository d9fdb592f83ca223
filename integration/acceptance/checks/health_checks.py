#!/usr/bin/env python3
"""health_checks.py: checks and health checks by command, HTTP and TCP, of command tasks and of tasks of a group, on real processes.

Wants TEPUI_BIN. Ends with 0 or 1. What is told when, the kill after failures in a row, timeouts that leave no process, and that all goes on
after `kill -9` of the agent.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, processes_of  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from free_port import free_ranges  # noqa: E402

QUICK = {"delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 0}
HEALTH, CHECK = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", "REASON_TASK_CHECK_STATUS_UPDATED"
SERVER = "exec python3 -m http.server --bind 127.0.0.1 {}"
report = Report()


def by_command(text, **more):
    return {"type": "COMMAND", "command": {"shell": True, "value": text}, **QUICK, **more}


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework = house, framework

    def launch(self, name, command, **more):
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        self.framework.launch(offer, [{**task(name, offer, command), **more}])
        self.framework.wait_state(name, "TASK_RUNNING")

    def told(self, name, reason):
        """The updates of a task that a check brought about."""
        return [s for s in self.framework.updates_of(name) if s.get("reason") == reason]

    def wait_health(self, name, healthy, limit_s=10):
        return self.framework.wait(lambda: next((s for s in self.told(name, HEALTH) if s.get("healthy") is healthy), None), limit_s, f"{name} healthy={healthy}")

    def commands_of_both_kinds(self):
        check = {"type": "COMMAND", "command": {"command": {"shell": True, "value": "exit 7"}}, "delay_seconds": 0, "interval_seconds": 0.3}
        self.launch("both", "export KNOWN=task; sleep 1; touch ready; exec sleep 600", check=check,
                    health_check=by_command("test -f ready && test -n $MESOS_SANDBOX && test -z $KNOWN", consecutive_failures=1000))
        self.wait_health("both", False)
        self.wait_health("both", True)
        time.sleep(1)
        codes = [s["check_status"]["command"].get("exit_code") for s in self.told("both", CHECK)]
        report.equal("check: told once with its exit code", codes, [7])
        healthy = [s["healthy"] for s in self.told("both", HEALTH)]
        report.equal("health: told as healthy once, after its failures", (healthy.count(True), healthy[-1]), (1, True))
        first = next(s for s in self.framework.updates_of("both") if s["state"] == "TASK_RUNNING")
        report.equal("the first TASK_RUNNING has a check without a result", first["check_status"], {"type": "COMMAND", "command": {}})
        self.framework.end("both")

    def given_up(self):
        self.launch("sick", "exec sleep 600", health_check=by_command("false", consecutive_failures=3))
        killed = self.framework.wait_state("sick", "TASK_KILLED")
        report.equal("sick: three times told as unhealthy", [s["healthy"] for s in self.told("sick", HEALTH)], [False] * 3)
        report.equal("sick: killed, and its end says why", (killed.get("healthy"), killed.get("message")), (False, "Command terminated with signal Terminated"))

    def grace(self):
        self.launch("patient", "exec sleep 600", health_check=by_command("false", consecutive_failures=1, grace_period_seconds=2))
        time.sleep(1.2)
        report.equal("patient: nothing is told within the grace period", self.told("patient", HEALTH), [])
        self.framework.wait_state("patient", "TASK_KILLED")
        report.equal("patient: then it is killed", [s["healthy"] for s in self.told("patient", HEALTH)], [False])

    def timeout(self):
        marker = f"{self.house.folder}/hanging"
        self.launch("slow", "exec sleep 600", health_check=by_command(f"sleep 500 & tail -f /dev/null {marker}; sleep 500", timeout_seconds=0.5, consecutive_failures=2))
        self.framework.wait_state("slow", "TASK_KILLED")
        report.equal("slow: a check over its time is a failure", [s["healthy"] for s in self.told("slow", HEALTH)], [False] * 2)
        report.check("slow: nothing of its checks is left", wait(lambda: not any(pid for pid in processes_of(marker)), 5), processes_of(marker))

    def by_network(self):
        port, free = free_ranges(1, 2)
        http = {"type": "HTTP", "http": {"port": port, "path": "/"}, **QUICK}
        check = {"type": "TCP", "tcp": {"port": port}, "delay_seconds": 0, "interval_seconds": 0.3}
        self.launch("server", SERVER.format(port), health_check=dict(http, consecutive_failures=100), check=check)
        self.wait_health("server", True, 20)
        wait(lambda: any(s["check_status"]["tcp"].get("succeeded") for s in self.told("server", CHECK)), 10)
        report.check("TCP: told as connected", self.told("server", CHECK)[-1]["check_status"]["tcp"].get("succeeded"), self.told("server", CHECK)[-1:])
        missing = {"type": "HTTP", "http": {"port": port, "path": "/missing"}, "delay_seconds": 0, "interval_seconds": 0.3}
        self.launch("asks", "exec sleep 600", check=missing, health_check={"type": "TCP", "tcp": {"port": free}, **QUICK, "consecutive_failures": 100})
        self.framework.wait(lambda: self.told("asks", CHECK), 10, "check of asks")
        report.equal("HTTP: told with its status", self.told("asks", CHECK)[-1]["check_status"]["http"].get("status_code"), 404)
        self.wait_health("asks", False)
        report.check("TCP: a port nobody listens on is unhealthy", True)
        self.framework.end("server")
        self.framework.end("asks")

    def of_a_group(self):
        offer = self.framework.wait_offer(cpus=1, mem=128)
        info = self.framework.default_executor("pod")
        sick = dict(task("pod-sick", offer, "touch here; exec sleep 600"), health_check=by_command("test ! -f here", consecutive_failures=2))
        well = dict(task("pod-well", offer, "exec sleep 600"), health_check=by_command("true"))
        self.framework.launch_group(offer, info, [sick, well])
        self.wait_health("pod-well", True)
        killed = self.framework.wait_state("pod-sick", "TASK_KILLED")
        report.equal("group: the unhealthy task is killed", killed.get("healthy"), False)
        self.framework.wait_state("pod-well", "TASK_KILLED")
        report.check("group: and the others with it", True)

    def agent_killed(self):
        flag = f"{self.house.folder}/well"
        self.launch("lasting", "exec sleep 600", health_check=by_command(f"test -f {flag}", consecutive_failures=1000))
        self.wait_health("lasting", False)
        self.house.agents[0].kill()
        self.house.agents[0].start()
        with open(flag, "w", encoding="ascii"):
            pass
        self.wait_health("lasting", True, 30)
        report.check("after kill -9 of the agent the checks go on", True)
        self.framework.end("lasting")


def main():
    with House() as house:
        framework = Scheduler(house.address, "checks", failover_timeout=60, capabilities=("TASK_KILLING_STATE",)).subscribe()
        checks = Checks(house, framework)
        report.run(checks.commands_of_both_kinds, checks.given_up, checks.grace, checks.timeout, checks.by_network, checks.of_a_group, checks.agent_killed)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
