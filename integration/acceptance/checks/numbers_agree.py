#!/usr/bin/env python3
"""numbers_agree.py: every place that tells numbers tells the same ones, at several moments of a cluster with tasks of two frameworks,
and each tells a client's own writes as soon as they were answered or told to it.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get, post  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, amounts, task  # noqa: E402

SETTLE_S = 5  # only for what an agent or the end of an offer tells later; own writes are read at once
OFFER_LIMIT_S = 10
OVERHEAD = (0.1, 32)  # what an agent adds for the executor of a command task, and the master never sees
report = Report()


def scalars(resources):
    """(cpus, mem) of a list of v1 resources."""
    found = {"cpus": 0.0, "mem": 0.0}
    for resource in resources:
        if resource["name"] in found:
            found[resource["name"]] += resource["scalar"]["value"]
    return rounded(found)


def rounded(resources):
    return round(resources["cpus"], 3), round(resources["mem"], 3)


def total(pairs):
    pairs = list(pairs)
    return round(sum(p[0] for p in pairs), 3), round(sum(p[1] for p in pairs), 3)


class Master:
    """One look at everything the master tells."""

    def __init__(self, house):
        self.state, self.summary = house.get("/state"), house.get("/state-summary")
        self.slaves, self.tasks, self.frameworks = house.get("/slaves")["slaves"], house.get("/tasks")["tasks"], house.get("/frameworks")["frameworks"]
        self.metrics = house.get("/metrics/snapshot")
        self.get_state = house.post({"type": "GET_STATE"})["get_state"]
        self.get_agents = house.post({"type": "GET_AGENTS"})["get_agents"]["agents"]
        self.get_tasks = house.post({"type": "GET_TASKS"})["get_tasks"]
        self.get_frameworks = house.post({"type": "GET_FRAMEWORKS"})["get_frameworks"]["frameworks"]

    def running(self):
        """{where: ids of the running tasks}"""
        def legacy(tasks):
            return sorted(t["id"] for t in tasks if t["state"] == "TASK_RUNNING")

        def v1(tasks):
            return sorted(t["task_id"]["value"] for t in tasks if t["state"] == "TASK_RUNNING")
        return {"/state": legacy(t for f in self.state["frameworks"] for t in f["tasks"]), "/tasks": legacy(self.tasks),
                "/frameworks": legacy(t for f in self.frameworks for t in f["tasks"]),
                "GET_TASKS": v1(self.get_tasks["tasks"]), "GET_STATE": v1(self.get_state["get_tasks"]["tasks"])}

    def running_counts(self):
        return {"/state-summary by agent": sum(a["TASK_RUNNING"] for a in self.summary["slaves"]),
                "/state-summary by framework": sum(f["TASK_RUNNING"] for f in self.summary["frameworks"]),
                "/metrics/snapshot": int(self.metrics["master/tasks_running"])}

    def used(self):
        """{where: (cpus, mem) in use}"""
        return {"/state by agent": total(rounded(a["used_resources"]) for a in self.state["slaves"]),
                "/state by framework": total(rounded(f["used_resources"]) for f in self.state["frameworks"]),
                "/state by task": total(rounded(t["resources"]) for f in self.state["frameworks"] for t in f["tasks"] if t["state"] == "TASK_RUNNING"),
                "/state-summary by agent": total(rounded(a["used_resources"]) for a in self.summary["slaves"]),
                "/state-summary by framework": total(rounded(f["used_resources"]) for f in self.summary["frameworks"]),
                "/slaves": total(rounded(a["used_resources"]) for a in self.slaves),
                "/frameworks": total(rounded(f["used_resources"]) for f in self.frameworks),
                "/metrics/snapshot": (round(self.metrics["master/cpus_used"], 3), round(self.metrics["master/mem_used"], 3)),
                "GET_AGENTS": total(scalars(a.get("allocated_resources", [])) for a in self.get_agents),
                "GET_STATE": total(scalars(a.get("allocated_resources", [])) for a in self.get_state["get_agents"]["agents"]),
                "GET_TASKS": total(scalars(t["resources"]) for t in self.get_tasks["tasks"] if t["state"] == "TASK_RUNNING")}

    def offered(self):
        return {"/state by agent": total(rounded(a["offered_resources"]) for a in self.state["slaves"]),
                "/state by framework": total(rounded(f["offered_resources"]) for f in self.state["frameworks"]),
                "/state by offer": total(rounded(o["resources"]) for f in self.state["frameworks"] for o in f["offers"]),
                "/slaves": total(rounded(a["offered_resources"]) for a in self.slaves),
                "GET_AGENTS": total(scalars(a.get("offered_resources", [])) for a in self.get_agents),
                "GET_FRAMEWORKS": total(scalars(f.get("offered_resources", [])) for f in self.get_frameworks)}

    def offers(self):
        return {"/state": sum(len(f["offers"]) for f in self.state["frameworks"]), "/metrics/snapshot": int(self.metrics["master/outstanding_offers"])}

    def agents(self):
        """{where: active agents}"""
        return {"/state": sum(a["active"] for a in self.state["slaves"]), "activated_slaves": int(self.state["activated_slaves"]),
                "/state-summary": sum(a["active"] for a in self.summary["slaves"]), "/slaves": sum(a["active"] for a in self.slaves),
                "GET_AGENTS": sum(a["active"] for a in self.get_agents), "/metrics/snapshot": int(self.metrics["master/slaves_active"])}

    def frameworks_active(self):
        return {"/state": sum(f["active"] for f in self.state["frameworks"]), "/state-summary": sum(f["active"] for f in self.summary["frameworks"]),
                "/frameworks": sum(f["active"] for f in self.frameworks), "GET_FRAMEWORKS": sum(f["active"] for f in self.get_frameworks),
                "/metrics/snapshot": int(self.metrics["master/frameworks_active"])}


def agent_running(house):
    """{where: running tasks} of all agents together."""
    found = {"/state": 0, "/containers": 0, "GET_CONTAINERS": 0, "GET_TASKS": 0, "/metrics/snapshot": 0}
    for agent in house.agents:
        frameworks = get(agent.port, "/state")["frameworks"]
        found["/state"] += sum(t["state"] == "TASK_RUNNING" for f in frameworks for e in f["executors"] for t in e["tasks"])
        found["/containers"] += len(get(agent.port, "/containers"))
        found["GET_CONTAINERS"] += len(post(agent.port, {"type": "GET_CONTAINERS", "get_containers": {}})["get_containers"].get("containers", []))
        found["GET_TASKS"] += sum(t["state"] == "TASK_RUNNING" for t in post(agent.port, {"type": "GET_TASKS"})["get_tasks"].get("launched_tasks", []))
        found["/metrics/snapshot"] += int(get(agent.port, "/metrics/snapshot")["slave/tasks_running"])
    return found


def agent_used(house):
    """(cpus, mem) in use on all agents together, by their metrics and by their states."""
    metrics = [get(agent.port, "/metrics/snapshot") for agent in house.agents]
    states = [get(agent.port, "/state") for agent in house.agents]
    return {"/metrics/snapshot": total((m["slave/cpus_used"], m["slave/mem_used"]) for m in metrics),
            "/state": total(rounded(s["unreserved_resources_allocated"]) for s in states)}


def same(name, found, expected):
    wrong = {where: value for where, value in found.items() if value != expected}
    report.check(name, not wrong, f"expected {expected} everywhere, found {wrong}")


def look(house, moment, tasks, active_frameworks):
    """All numbers at one moment; `tasks` is {id: (cpus, mem)} of what must be running."""
    seen, used, count = Master(house), total(tasks.values()), len(tasks)
    same(f"{moment}: the same {count} tasks run everywhere", seen.running(), sorted(tasks))
    same(f"{moment}: {count} running tasks are counted everywhere", seen.running_counts(), count)
    same(f"{moment}: cpus and mem in use", seen.used(), used)
    same(f"{moment}: active agents", seen.agents(), len(house.agents))
    same(f"{moment}: active frameworks", seen.frameworks_active(), active_frameworks)
    same(f"{moment}: running tasks as the agents tell", settled(lambda: agent_running(house), count), count)
    with_executors = total([used, *[OVERHEAD] * count])
    same(f"{moment}: cpus and mem in use as the agents tell", settled(lambda: agent_used(house), with_executors), with_executors)
    return seen


def settled(ask, expected):
    """What the agents say, after a moment: a container may end a little later than its task."""
    wait(lambda: set(ask().values()) == {expected}, SETTLE_S)
    return ask()


def offers_agree(house, moment, frameworks):
    """What the frameworks hold as outstanding is what the master tells."""
    def holding():
        offers = [offer for framework in frameworks for offer in framework.offers]
        return len(offers), total(scalars(o["resources"]) for o in offers)
    wait(lambda: set(Master(house).offered().values()) == {holding()[1]}, SETTLE_S)
    seen = Master(house)
    same(f"{moment}: offered cpus and mem", seen.offered(), holding()[1])
    same(f"{moment}: outstanding offers", seen.offers(), holding()[0])


def offer_for(framework, other):
    """An offer for one of the two: the other one wants none and gives back what it has."""
    other.call("SUPPRESS")
    framework.call("REVIVE")

    def look():
        for offer in list(other.offers):
            other.offers.remove(offer)
            other.decline(offer, 0.0)
        return any(amounts(offer)[0] >= 1 and amounts(offer)[1] >= 256 for offer in framework.offers)
    wait(look, OFFER_LIMIT_S)
    return framework.wait_offer(cpus=1, mem=256, limit_s=0)


def scenario(house, frameworks):
    first, second = frameworks
    look(house, "idle", {}, 0)
    for framework in frameworks:
        framework.subscribe()
    tasks, owners = {}, {}
    for framework, name, cpus, mem in ((first, "a", 0.5, 64), (second, "b", 0.25, 128), (first, "c", 0.1, 32)):
        offer = offer_for(framework, second if framework is first else first)
        launched = {f"{name}-{number}": (cpus, mem) for number in range(2)}
        framework.launch(offer, [task(task_id, offer, "exec sleep 600", cpus, mem) for task_id in launched])
        listed = {t["id"] for t in house.get("/tasks")["tasks"]}
        report.check(f"launching {name}: listed as soon as ACCEPT was answered", set(launched) <= listed, f"{sorted(listed)}")
        for task_id in launched:
            framework.wait_state(task_id, "TASK_RUNNING")
            owners[task_id] = framework
            state = {t["id"]: t["state"] for t in house.get("/tasks")["tasks"]}.get(task_id)
            report.equal(f"launching {name}: {task_id} is told as running as soon as its framework knows", state, "TASK_RUNNING")
        tasks.update(launched)
        look(house, f"{len(tasks)} tasks run", tasks, 2)
    offers_agree(house, "six tasks run", frameworks)
    first.end("a-0")
    del tasks["a-0"]
    look(house, "after a KILL", tasks, 2)
    offers_agree(house, "after a KILL", frameworks)
    second.teardown()
    seen = look(house, "after a TEARDOWN", {t: r for t, r in tasks.items() if owners[t] is first}, 1)
    report.equal("after a TEARDOWN: one framework is completed", len(seen.state["completed_frameworks"]), 1)
    states = [seen.metrics["master/tasks_killed"], float(sum(t["state"] == "TASK_KILLED" for t in seen.tasks))]
    report.equal("after a TEARDOWN: killed tasks by /metrics/snapshot and /tasks", states, [3.0, 3.0])
    first.teardown()
    look(house, "at the end", {}, 0)


def main():
    with House(agents=2, resources="cpus:2;mem:1024;disk:1000;ports:[31000-31009]") as house:
        frameworks = [Scheduler(house.address, f"numbers-{number}") for number in (1, 2)]

        def numbers():
            scenario(house, frameworks)
        report.run(numbers)
        for framework in frameworks:
            framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
