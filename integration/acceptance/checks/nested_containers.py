#!/usr/bin/env python3
"""nested_containers.py: LAUNCH_, WAIT_, KILL_ and REMOVE_CONTAINER of the agent's API, nested and standing alone, on real processes.

Wants TEPUI_BIN. Ends with 0 or 1. Two levels deep; ends that are kept until they are removed, also over `kill -9` of the agent; none outlives
the task around it.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from agent_api import call, nested  # noqa: E402
from daemons import House, alive, post, request  # noqa: E402
from pid_files import pid_in  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

report = Report()


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework, self.agent = house, framework, house.agents[0]

    def launch(self, container_id, text, **more):
        return call(self.agent.port, "LAUNCH_CONTAINER", container_id=container_id, command={"shell": True, "value": text}, **more)[0]

    def task(self, name):
        """Starts a task; returns (container id, sandbox)."""
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        self.framework.launch(offer, [task(name, offer, "exec sleep 600")])
        status = self.framework.wait_state(name, "TASK_RUNNING")
        return status["container_status"]["container_id"]["value"]

    def within_a_task(self):
        outer = self.task("outer")
        inner = nested(outer, "inner")
        report.equal("launched", self.launch(inner, "echo out; echo err >&2; sleep 0.5; exit 5"), 200)
        report.equal("launched again: it is there", self.launch(inner, "true"), 202)
        report.equal("still running: not removed", call(self.agent.port, "REMOVE_CONTAINER", container_id=inner)[0], 500)
        shown = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {"show_nested": True}})["get_containers"]["containers"]
        report.check("GET_CONTAINERS shows it with show_nested", any(c["container_id"] == {"value": "inner"} for c in shown), shown)
        report.equal("waited for", call(self.agent.port, "WAIT_CONTAINER", container_id=inner), (200, {"type": "WAIT_CONTAINER", "wait_container": {"exit_status": 1280}}))
        report.equal("and once more, in the older form", call(self.agent.port, "WAIT_NESTED_CONTAINER", container_id=inner)[1].get("wait_nested_container"), {"exit_status": 1280})
        state = json.loads(request(self.agent.port, "GET", "/state")[2])
        sandbox = state["frameworks"][0]["executors"][0]["directory"]
        body = request(self.agent.port, "GET", f"/files/download?path={sandbox}/containers/inner/stdout")[2]
        report.equal("its output lies in its sandbox", body, b"out\n")
        report.equal("removed", call(self.agent.port, "REMOVE_NESTED_CONTAINER", container_id=inner)[0], 200)
        report.check("its sandbox is gone", wait(lambda: not os.path.exists(f"{sandbox}/containers/inner"), 5))
        report.equal("unknown from now on", call(self.agent.port, "WAIT_CONTAINER", container_id=inner), (404, f"Container {outer}.inner cannot be found"))
        report.equal("nobody to kill", call(self.agent.port, "KILL_CONTAINER", container_id=inner)[0], 404)
        report.equal("no container around it", call(self.agent.port, "LAUNCH_CONTAINER", container_id=nested("none", "x"), command={"value": "true"}),
                     (400, "Parent container none does not exist"))
        status, text = call(self.agent.port, "LAUNCH_CONTAINER", container_id=nested(outer, "bad"), command={"shell": False, "value": "/no/such/program"})
        report.check("a command that cannot run is refused in words", status == 400 and "No such file" in text, (status, text))
        self.framework.end("outer")

    def two_levels(self):
        outer = self.task("deep")
        first, second = nested(outer, "one"), nested(outer, "one", "two")
        self.launch(first, "exec sleep 600")
        report.equal("within one within a task", self.launch(second, f"echo $$ > {self.house.folder}/two; exec sleep 600"), 200)
        wait(lambda: pid_in(self.house.path("two")), 5)
        report.equal("killed by a signal of choice", call(self.agent.port, "KILL_CONTAINER", container_id=second, signal=15)[0], 200)
        report.equal("its end", call(self.agent.port, "WAIT_CONTAINER", container_id=second)[1].get("wait_container"), {"exit_status": 15})
        self.launch(nested(outer, "one", "three"), f"echo $$ > {self.house.folder}/three; exec sleep 600")
        wait(lambda: pid_in(self.house.path("three")), 5)
        self.framework.end("deep")
        report.check("none outlives the task", wait(lambda: not alive(pid_in(self.house.path("three"))), 5))
        report.check("nor is known", wait(lambda: call(self.agent.port, "WAIT_CONTAINER", container_id=first)[0] == 404, 5))

    def ended_before_the_one_around_it(self):
        outer = self.task("around")
        inner = nested(outer, "brief")
        self.launch(inner, "true")
        report.equal("ended: it is there until somebody removes it", call(self.agent.port, "WAIT_CONTAINER", container_id=inner)[1].get("wait_container"), {"exit_status": 0})
        self.framework.end("around")
        gone = wait(lambda: call(self.agent.port, "WAIT_CONTAINER", container_id=inner)[0] == 404, 5)
        report.check("ended: or until the one around it ends", gone)
        status, text = call(self.agent.port, "REMOVE_CONTAINER", container_id=inner)
        report.equal("ended: then there is nothing to remove", (status, text), (500, "Unknown root container"))

    def alone_and_over_a_restart(self):
        report.equal("alone: launched", self.launch(nested("alone"), f"echo $$ > {self.house.folder}/alone; exec sleep 600", resources=scalars(mem=64)), 200)
        self.launch(nested("brief"), f"echo $$ > {self.house.folder}/brief; sleep 1; exit 3")
        wait(lambda: pid_in(self.house.path("alone")) and pid_in(self.house.path("brief")), 5)
        pid = pid_in(self.house.path("alone"))
        self.agent.kill()
        wait(lambda: not alive(pid_in(self.house.path("brief"))), 5)
        self.agent.start()
        wait(lambda: self.house.active_agents() == 1 and self.answers(), 20)
        report.equal("alone: an end that fell between", call(self.agent.port, "WAIT_CONTAINER", container_id=nested("brief"))[1].get("wait_container"), {"exit_status": 768})
        report.check("alone: the same process runs on", alive(pid) and pid_in(self.house.path("alone")) == pid)
        report.equal("alone: killed", call(self.agent.port, "KILL_CONTAINER", container_id=nested("alone"))[0], 200)
        report.equal("alone: its end", call(self.agent.port, "WAIT_CONTAINER", container_id=nested("alone"))[1].get("wait_container"), {"exit_status": 9})
        report.equal("alone: removed", call(self.agent.port, "REMOVE_CONTAINER", container_id=nested("alone"))[0], 200)

    def answers(self):
        try:
            return request(self.agent.port, "GET", "/state")[0] == 200
        except OSError:
            return False


def main():
    with House() as house:
        framework = Scheduler(house.address, "nested", failover_timeout=60).subscribe()
        checks = Checks(house, framework)
        report.run(checks.within_a_task, checks.two_levels, checks.ended_before_the_one_around_it, checks.alone_and_over_a_restart)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
