#!/usr/bin/env python3
"""master_failover.py: what a master that was restarted tells of agents and frameworks that are not back yet, and of them when they are; what
an operator's stream tells meanwhile; and an agent that was taken away and returns with its tasks.

Wants TEPUI_BIN. Ends with 0 or 1. Executors of a framework's own are this file, started by the agent with `--executor`: each says something
to its framework once there is a file `speak` in its sandbox.
"""
import base64
import http.client
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
EXECUTOR_PATH = "/api/v1/executor"


def dial():
    return http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"], timeout=10)


def speak_when_asked():
    while not os.path.exists("speak"):
        time.sleep(0.05)
    Executor(dial, EXECUTOR_PATH).call("MESSAGE", message={"data": base64.b64encode(b"hello").decode()})


if sys.argv[1:] == ["--executor"]:
    from executor import Executor, serve
    threading.Thread(target=speak_when_asked, daemon=True).start()
    serve(dial, EXECUTOR_PATH)

from daemons import House, get, request  # noqa: E402
from executor import command  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, shell, task, task_of  # noqa: E402

LIMIT_S = 20
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
report = Report()


class Watcher:
    """An operator's SUBSCRIBE; a thread reads the events."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3 * LIMIT_S)
        self.connection.request("POST", "/api/v1", '{"type":"SUBSCRIBE"}', JSON_HEADERS)
        self.answer = self.connection.getresponse()
        self.events = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while head := self.answer.readline():
                self.events.append(json.loads(self.answer.read(int(head))))
        except (OSError, ValueError, http.client.HTTPException):
            pass

    def event(self, kind, is_right=lambda event: True):
        """The body of the first such event, once it is there; None where none comes."""
        def look():
            bodies = [e.get(kind.lower(), {}) for e in self.events if e["type"] == kind]
            return next((body for body in bodies if is_right(body)), None)
        return wait(look, LIMIT_S)


def ids(frameworks):
    return [f["id"] for f in frameworks]


def standing(framework):
    return framework["active"], framework["connected"], framework["recovered"]


def operator_stream():
    """All that happens to one agent and one framework, as an operator is told of it."""
    house = House(agents=1, resources="cpus:2;mem:1024;disk:64;ports:[31000-31009]")
    agent = house.agents.pop()
    with house:
        watcher = Watcher(house.port)
        report.need("an operator's stream begins with what there is", wait(lambda: watcher.events, LIMIT_S))
        state = watcher.events[0]["subscribed"]["get_state"]
        there = [state[of].get(kind, []) for of, kind in (("get_agents", "agents"), ("get_frameworks", "frameworks"), ("get_tasks", "tasks"), ("get_executors", "executors"))]
        report.equal("which is nothing before there is an agent", there, [[], [], [], []])
        house.agents.append(agent)
        agent.start()
        added = watcher.event("AGENT_ADDED")["agent"]
        wait(agent.registered, LIMIT_S)
        agent_id = get(agent.port, "/state")["id"]
        found = (added["agent_info"]["id"]["value"], added["agent_info"]["hostname"], added["pid"], added["version"], len(added["total_resources"]))
        report.equal("AGENT_ADDED tells of the agent", found, (agent_id, "127.0.0.1", f"slave(1)@127.0.0.1:{agent.port}", "1.11.0", 4))
        framework_events(house, watcher)
        agent.process.send_signal(signal.SIGUSR1)
        report.equal("AGENT_REMOVED tells which", watcher.event("AGENT_REMOVED"), {"agent_id": {"value": agent_id}})


def framework_events(house, watcher):
    framework = Scheduler(house.address, "told", failover_timeout=600.0).subscribe()
    described = {**framework.info, "id": {"value": framework.id}}
    del described["capabilities"]
    added = watcher.event("FRAMEWORK_ADDED")["framework"]
    report.equal("FRAMEWORK_ADDED tells of the framework", (added["framework_info"], added["active"], added["connected"]), (described, True, True))
    framework.subscribe()
    updated = watcher.event("FRAMEWORK_UPDATED")["framework"]
    report.equal("FRAMEWORK_UPDATED when it subscribes again", (updated["framework_info"], updated["registered_time"]), (described, added["registered_time"]))
    report.check("FRAMEWORK_UPDATED tells when it subscribed again", updated["reregistered_time"]["nanoseconds"] > added["registered_time"]["nanoseconds"], updated)
    offer = framework.wait_offer(cpus=1, limit_s=LIMIT_S)
    check = {"type": "HTTP", "http": {"port": 1, "path": "/help"}, "delay_seconds": 0, "interval_seconds": 1000, "grace_period_seconds": 0, "consecutive_failures": 100}
    framework.launch(offer, [dict(task("ill", offer, "exec sleep 600"), health_check=check)])
    ill = watcher.event("TASK_UPDATED", lambda body: body["status"].get("healthy") is False)
    report.check("TASK_UPDATED when a health check fails", ill and ill["status"]["task_id"]["value"] == "ill" and ill["state"] == "TASK_RUNNING", watcher.events[-2:])
    status = request(house.port, "POST", "/teardown", f"frameworkId={framework.id}")[0]
    removed = watcher.event("FRAMEWORK_REMOVED") or {"framework_info": {}}
    report.equal("FRAMEWORK_REMOVED when it is torn down", (status, removed["framework_info"].get("id")), (200, {"value": framework.id}))
    framework.close()


class Failover:
    """A framework with a task of its own executor on each of two agents."""

    def __init__(self, house):
        self.house, self.agents = house, house.agents
        self.framework = Scheduler(house.address, "returns", failover_timeout=600.0)

    def launch(self, name, agent_id=None):
        offer = self.framework.take_offer(lambda o: agent_id in (None, o["agent_id"]["value"]), limit_s=LIMIT_S)
        executor = self.framework.custom_executor("own", shell(command(__file__)))
        self.framework.launch(offer, [task_of(executor, name, offer, 0.5, 64)])
        self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        return offer["agent_id"]["value"]

    def restart_master(self):
        self.house.master.kill()
        self.house.master.start()
        wait(lambda: self.house.get("/slaves"), LIMIT_S)

    def all_back(self):
        return wait(lambda: self.house.active_agents() == len(self.agents), LIMIT_S)

    def metric(self, name):
        return self.house.get("/metrics/snapshot").get(f"master/{name}")

    def of_framework(self, name):
        return self.metric(f"frameworks/{self.framework.info['name']}/{self.framework.id}/{name}")

    def sandbox(self, agent):
        return get(agent.port, "/state")["frameworks"][0]["executors"][0]["directory"]

    def agents_first(self):
        """The agents return, the scheduler does not yet."""
        self.framework.subscribe()
        self.on = [self.launch("one")]
        self.on.append(self.launch("two", next(a["id"] for a in self.house.get("/slaves")["slaves"] if a["id"] not in self.on)))
        state = self.house.get("/state")
        report.equal("before, the framework is connected and not recovered", [standing(f) for f in state["frameworks"]], [(True, True, False)])
        self.tasks = sorted(state["frameworks"][0]["tasks"], key=lambda t: t["id"])
        self.framework.close()
        for agent in self.agents:
            agent.pause()
        self.restart_master()
        self.watched(Watcher(self.house.port))
        report.need("both agents return to the next master", self.all_back(), self.house.master.log_tail())
        state, frameworks = self.house.get("/state"), self.house.get("/frameworks")
        report.equal("/state lists the framework of both once, as recovered", [(f["id"], standing(f)) for f in state["frameworks"]], [(self.framework.id, (False, False, True))])
        report.equal("and so does /frameworks", [(f["id"], standing(f)) for f in frameworks["frameworks"]], [(self.framework.id, (False, False, True))])
        report.equal("/state tells its tasks as they were", sorted(state["frameworks"][0]["tasks"], key=lambda t: t["id"]), self.tasks)
        report.equal("it has not subscribed to this master", [(f["registered_time"], f.get("reregistered_time")) for f in state["frameworks"]], [(0.0, None)])
        nothing = [state["orphan_tasks"], state["unregistered_frameworks"], frameworks["unregistered_frameworks"], state["completed_frameworks"]]
        report.equal("neither list tells of it anywhere else", nothing, [[], [], [], []])

    def watched(self, watcher):
        """An agent that returns is told of before what it brings, and the framework was there before both."""
        wait(lambda: watcher.events, LIMIT_S)
        known = watcher.events[0]["subscribed"]["get_state"]["get_frameworks"].get("recovered_frameworks", [])
        known += [f["framework_info"] for f in watcher.events[0]["subscribed"]["get_state"]["get_frameworks"].get("frameworks", [])]
        report.equal("an operator's stream begins with the framework", [f["id"]["value"] for f in known], [self.framework.id])
        for agent in self.agents:
            agent.resume()
        watcher.event("TASK_ADDED", lambda body: body["task"]["task_id"]["value"] == "two")
        watcher.event("TASK_ADDED", lambda body: body["task"]["task_id"]["value"] == "one")
        told = [event for event in watcher.events if event["type"] in ("AGENT_ADDED", "TASK_ADDED")]
        seen = set()
        for event in told:
            if event["type"] == "AGENT_ADDED":
                seen.add(event["agent_added"]["agent"]["agent_info"]["id"]["value"])
            else:
                report.check("and tells of agents before their tasks", event["task_added"]["task"]["agent_id"]["value"] in seen, told)

    def spoken_to_nobody(self):
        with open(os.path.join(self.sandbox(self.agents[0]), "speak"), "w", encoding="ascii"):
            pass
        heard = wait(lambda: self.metric("messages_executor_to_framework") >= 1.0, LIMIT_S)
        report.check("what an executor says to a framework that is not back reaches the master", heard, self.metric("messages_executor_to_framework"))
        report.equal("and the master goes on", ids(self.house.get("/state")["frameworks"]), [self.framework.id])

    def scheduler_returns(self):
        self.framework.subscribe()
        state = self.house.get("/state")
        report.equal("when it subscribes it is recovered no more", [standing(f) for f in state["frameworks"]], [(True, True, False)])
        report.equal("and registered now", [(f["registered_time"] > 0, f.get("reregistered_time")) for f in state["frameworks"]], [(True, None)])
        report.equal("and has the same tasks", sorted(state["frameworks"][0]["tasks"], key=lambda t: t["id"]), self.tasks)
        report.equal("and they are counted for it", self.of_framework("tasks/active/task_running"), 2.0)
        before = self.sandbox(self.agents[0])
        at = get(self.agents[0].port, "/state")["id"]
        self.launch("three", at)
        executors = get(self.agents[0].port, "/state")["frameworks"][0]["executors"]
        report.equal("the executor that runs is given another task", [(e["directory"], len(e["tasks"])) for e in executors], [(before, 2)])
        report.equal("and that is counted too", self.of_framework("tasks/active/task_running"), 3.0)

    def nobody_yet(self):
        for agent in self.agents:
            agent.kill()
        self.restart_master()
        away = sorted(self.on)
        for path in ("/state", "/slaves"):
            told = self.house.get(path)
            report.equal(f"{path} tells of agents that are not back", (told["slaves"], sorted(ids(told["recovered_slaves"]))), ([], away))
        one = self.house.get(f"/slaves?slave_id={away[0]}")
        report.equal("/slaves?slave_id= tells of one that is not back", (one["slaves"], ids(one["recovered_slaves"])), ([], away[:1]))
        for agent in self.agents:
            agent.start()
        report.need("they come back", self.all_back(), self.agents[0].log_tail())
        told = [self.house.get(path) for path in ("/state", "/slaves")]
        report.equal("and are agents again in /state and /slaves", [(sorted(ids(t["slaves"])), t["recovered_slaves"]) for t in told], [(away, [])] * 2)

    def counted(self):
        names = ["tasks_running", "tasks_finished"]
        own = ["tasks/active/task_running", "tasks/terminal/task_finished"]
        return [self.metric(n) for n in names] + [self.of_framework(n) for n in own]

    def counts(self):
        """One task that runs and one that has finished, before and after the agent was away."""
        self.framework.subscribe().teardown()
        self.framework.close()
        self.framework = Scheduler(self.house.address, "counted", failover_timeout=600.0).subscribe()
        before = self.metric("tasks_finished")
        offer = self.framework.wait_offer(cpus=1, limit_s=LIMIT_S)
        self.framework.launch(offer, [task("stays", offer, "exec sleep 600"), task("ends", offer, "exit 0")])
        self.framework.wait_state("stays", "TASK_RUNNING", limit_s=LIMIT_S)
        self.framework.wait_state("ends", "TASK_FINISHED", limit_s=LIMIT_S)
        expected = [1.0, before + 1, 1.0, 1.0]
        report.check("tasks are counted by their state", wait(lambda: self.counted() == expected, LIMIT_S), (self.counted(), expected))
        agent = next(a for a in self.agents if get(a.port, "/state")["id"] == offer["agent_id"]["value"])
        agent.kill()
        agent.start()
        wait(lambda: agent.registered() and self.all_back(), LIMIT_S)
        report.equal("and the same after their agent was away", self.counted(), expected)
        self.framework.teardown()


def failover():
    with House(agents=2, resources="cpus:4;mem:1024;disk:64;ports:[31000-31009]") as house:
        checks = Failover(house)
        report.run(checks.agents_first, checks.spoken_to_nobody, checks.scheduler_returns, checks.nobody_yet, checks.counts)
        checks.framework.close()


def taken_away():
    """The framework leaves its role while it has a task there; the agent is taken away, and brings task and role back."""
    with House() as house:
        framework = Scheduler(house.address, "leaves", failover_timeout=600.0, capabilities=["MULTI_ROLE", "PARTITION_AWARE"])
        framework.info["roles"] = ["left"]
        framework.subscribe()
        offer = framework.wait_offer(cpus=1, limit_s=LIMIT_S)
        framework.launch(offer, [task("stays", offer, "exec sleep 600")])
        framework.wait_state("stays", "TASK_RUNNING", limit_s=LIMIT_S)
        suppressed = f"master/frameworks/leaves/{framework.id}/roles/left/suppressed"
        report.equal("a role of a framework is not suppressed at first", house.get("/metrics/snapshot").get(suppressed), 0.0)
        framework.info["roles"] = []
        framework.subscribe()
        report.check("and not told of once it is given up", suppressed not in house.get("/metrics/snapshot"))
        machine = {"hostname": offer["hostname"], "ip": "127.0.0.1"}

        def operator(path, body):
            return request(house.port, "POST", path, json.dumps(body), JSON_HEADERS)[0]
        window = {"machine_ids": [machine], "unavailability": {"start": {"nanoseconds": time.time_ns()}}}
        statuses = [operator("/maintenance/schedule", {"windows": [window]})]
        # It must not hear that it is to end its tasks.
        house.agents[0].pause()
        statuses.append(operator("/machine/down", [machine]))
        gone = framework.wait_state("stays", "TASK_LOST", limit_s=LIMIT_S)
        report.equal("an agent taken away is lost with its task", (statuses, gone["source"], house.get("/roles")), ([200, 200], "SOURCE_MASTER", {"roles": []}))
        told = len(framework.updates)
        report.equal("its machine may return", operator("/machine/up", [machine]), 200)
        house.agents[0].kill()
        house.agents[0].start()
        report.need("and so does the agent", wait(lambda: house.active_agents() == 1, LIMIT_S), house.agents[0].log_tail())
        back = framework.wait_state("stays", "TASK_RUNNING", since=told, limit_s=LIMIT_S)
        report.equal("its framework hears that the task is back", (back["reason"], back["source"]), ("REASON_AGENT_REREGISTERED", "SOURCE_MASTER"))
        found = [(kind, t["id"], t["state"]) for f in house.get("/state")["frameworks"] for kind in ("tasks", "completed_tasks") for t in f[kind]]
        report.equal("with the task that was never ended, which is told of as lost no more", found, [("tasks", "stays", "TASK_RUNNING")])
        report.equal("and its framework is one of that role again", [(r["name"], r["frameworks"]) for r in house.get("/roles")["roles"]], [("left", [framework.id])])
        other = Scheduler(house.address, "other").subscribe()
        report.check("others are offered the rest of the agent", other.wait_offer(cpus=1, limit_s=LIMIT_S))
        report.equal("and it nothing for the role it left", framework.offers, [])
        for each in (framework, other):
            each.teardown()
            each.close()


def main():
    report.run(operator_stream, failover, taken_away)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
