#!/usr/bin/env python3
"""master_endpoints.py: what a master's lists tell of agents, frameworks, executors and tasks, of one of them by its id, to many who ask at
once, and to principals who may not view all of it.

Wants TEPUI_BIN. Ends with 0 or 1. Executors of a framework's own are this file, started by the agent with `--executor`.
"""
import base64
import http.client
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
if sys.argv[1:] == ["--executor"]:
    from executor import serve
    serve(lambda: http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"], timeout=10))

from daemons import House, get, post, request  # noqa: E402
from executor import command  # noqa: E402
from operations import launch  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation, scalars  # noqa: E402
from scheduler import Scheduler, shell, task, task_of  # noqa: E402

LIMIT_S = 20
ASKERS = 40
RESOURCES = "cpus:2;cpus(foo):1;mem:2048;disk:512;disk(bar):256;ports(foo):[31000-31010];beds:1"
LABELS = [{"key": "a", "value": "one"}, {"key": "b", "value": "two"}, {"key": "a", "value": "three"}]
DISCOVERY = {"visibility": "EXTERNAL", "name": "shop", "environment": "test", "location": "here", "version": "v1", "ports": {"ports": [
    {"number": 8888, "name": "http", "protocol": "tcp", "labels": {"labels": LABELS}},
    {"number": 9999, "name": "dns", "protocol": "udp", "visibility": "CLUSTER"}]}, "labels": {"labels": LABELS}}
HOST_NETWORK = [{"ip_addresses": [{"protocol": "IPv4", "ip_address": "127.0.0.1"}]}]
SECRETS = {"ops": "sesame", "hero": "cape", "muggle": "mud"}
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
ANY, NONE = {"type": "ANY"}, {"type": "NONE"}
report = Report()


def domain(region):
    return {"fault_domain": {"region": {"name": region}, "zone": {"name": f"{region}-z"}}}


def bare_master():
    with House(agents=0) as house:
        report.equal("/slaves of a master without agents", house.get("/slaves"), {"slaves": [], "recovered_slaves": []})
        asked = [request(house.port, "GET", f"/logging/toggle{query}") for query in ("", "?level=0", "?duration=10secs", "?level=-1&duration=10secs")]
        report.equal("/logging/toggle tells the level, or what is wrong with another", [(status, body.decode()) for status, _, body in asked],
                     [(200, "0\n"), (400, "Expecting 'duration=value' in query.\n"), (400, "Expecting 'level=value' in query.\n"), (400, "Invalid level '-1'.\n")])


class Checks:
    def __init__(self, house):
        self.house, self.agents = house, house.agents
        self.first, self.second = (Scheduler(house.address, name, 600.0, capabilities=["MULTI_ROLE", "RESERVATION_REFINEMENT", "REGION_AWARE"])
                                   for name in ("first", "second"))
        self.first.info.update(roles=["foo"], labels={"labels": LABELS})
        self.second.info.update(roles=["other"])

    def domains(self):
        state = self.house.get("/state")
        report.equal("/state tells the master's domain, for itself and as leader", (state["domain"], state["leader_info"]["domain"]), (domain("home"),) * 2)
        expected = [domain("r0"), domain("r1")]
        told = {path: sorted((a["domain"] for a in self.house.get(path)["slaves"]), key=str) for path in ("/state", "/state-summary", "/slaves")}
        report.equal("each list of agents tells their domains", told, dict.fromkeys(told, expected))
        report.equal("and each agent tells its own", [get(agent.port, "/state")["domain"] for agent in self.agents], expected)

    def slaves(self):
        ids = sorted(a["id"] for a in self.house.get("/slaves")["slaves"])
        report.equal("/slaves lists both agents", len(set(ids)), 2)
        report.equal("/slaves?slave_id= tells of one", [[a["id"] for a in self.house.get(f"/slaves?slave_id={i}")["slaves"]] for i in ids], [[i] for i in ids])
        usual = {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.0}
        whole = {"cpus": 3.0, "cpus_revocable": 4.0, "mem": 2048.0, "disk": 768.0, "gpus": 0.0, "beds": 1.0, "ports": "[31000-31010]"}
        wait(lambda: all("cpus_revocable" in a["resources"] for a in self.house.get("/slaves")["slaves"]), LIMIT_S)
        agent = self.house.get("/slaves")["slaves"][0]
        report.equal("resources of all roles are summed, revocable ones apart", agent["resources"], whole)
        reserved = {"foo": {**usual, "cpus": 1.0, "ports": "[31000-31010]"}, "bar": {**usual, "disk": 256.0}}
        report.equal("reserved ones are told by role", agent["reserved_resources"], reserved)

    def frameworks(self):
        for framework in (self.first, self.second):
            framework.subscribe()
        listed = {f["id"]: f for f in self.house.get("/state")["frameworks"]}
        report.equal("/state tells a framework's labels as they were given", listed[self.first.id].get("labels"), LABELS)
        both = sorted((f["id"], f["name"]) for f in self.house.get("/frameworks")["frameworks"])
        report.equal("/frameworks lists both", both, sorted([(self.first.id, "first"), (self.second.id, "second")]))
        one = self.house.get(f"/frameworks?framework_id={self.second.id}")
        report.equal("/frameworks?framework_id= tells of one", [f["id"] for f in one["frameworks"]], [self.second.id])
        self.second.teardown()
        one = self.house.get(f"/frameworks?framework_id={self.second.id}")
        report.equal("/frameworks?framework_id= tells of one that is completed", ([f["id"] for f in one["completed_frameworks"]], one["frameworks"]), ([self.second.id], []))

    def own(self, name, offer, of, **more):
        """A task of an executor of the framework's own."""
        executor = self.first.custom_executor(of, shell(command(__file__)), labels={"labels": LABELS}, resources=scalars(cpus=0.1, mem=32))
        return {**task_of(executor, name, offer), **more}

    def shown(self, name):
        return next(t for t in self.framework()["tasks"] if t["id"] == name)

    def framework(self):
        return next(f for f in self.house.get("/state")["frameworks"] if f["id"] == self.first.id)

    def executors(self):
        offer = self.first.wait_offer(cpus=2, mem=1024, limit_s=LIMIT_S)
        one = self.own("one", offer, "e1", labels={"labels": LABELS}, discovery=DISCOVERY, limits={"cpus": {"value": 1.0}, "mem": {"value": 64.0}})
        self.first.launch(offer, [one, self.own("two", offer, "e1"), self.own("three", offer, "e2")])
        running = {name: self.first.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S) for name in ("one", "two", "three")}
        report.equal("each of two executors runs its tasks", {name: s["executor_id"]["value"] for name, s in running.items()}, {"one": "e1", "two": "e1", "three": "e2"})
        found = self.framework()
        roles = {t["role"] for t in found["tasks"]} | {e["role"] for e in found["executors"]}
        report.equal("/state tells the role that tasks and executors are allocated to", roles, {"foo"})
        report.equal("/state tells the labels of an executor", [e["labels"] for e in found["executors"]], [LABELS, LABELS])
        task_shown = self.shown("one")
        report.equal("/state tells the labels of a task", task_shown["labels"], LABELS)
        report.equal("/state tells the labels of a status", task_shown["statuses"][-1]["labels"], [{"key": "told", "value": "by executor"}])
        report.equal("/state tells how a task is to be discovered", task_shown["discovery"], DISCOVERY)
        self.container_status(running["one"], task_shown)

    def container_status(self, running, shown):
        asked = len(self.first.updates)
        self.first.reconcile(["one"])
        self.first.call("RECONCILE", reconcile={"tasks": []})
        self.first.wait(lambda: len([s for s in self.first.updates[asked:] if s["task_id"]["value"] == "one"]) >= 2, LIMIT_S, "both answers")
        told = [running, shown["statuses"][-1], *[s for s in self.first.updates[asked:] if s["task_id"]["value"] == "one"]]
        report.equal("update, /state and both kinds of RECONCILE tell the container's network", [s["container_status"]["network_infos"] for s in told], [HOST_NETWORK] * 4)

    def tasks(self):
        listed = {t["id"]: (t["name"], t["framework_id"], t["executor_id"], t["state"], t.get("limits")) for t in self.house.get("/tasks")["tasks"]}
        fid, limits = self.first.id, {"cpus": 1.0, "mem": 64.0}
        expected = {name: (name, fid, of, "TASK_RUNNING", limits if name == "one" else None) for name, of in (("one", "e1"), ("two", "e1"), ("three", "e2"))}
        report.equal("/tasks lists them with their limits", listed, expected)

        def chosen(query):
            return [t["id"] for t in self.house.get(f"/tasks?{query}")["tasks"]]
        report.equal("/tasks?task_id= tells of one", (chosen(f"task_id=two&framework_id={fid}"), chosen("task_id=two&framework_id=nobody")), (["two"], []))

    def command_task(self):
        offer = self.first.wait_offer(cpus=0.5, mem=64, limit_s=LIMIT_S)
        network = {"ip_addresses": [{"protocol": "IPv4", "ip_address": "10.0.0.1"}], "groups": ["x", "y"]}
        made = dict(task("four", offer, "exec sleep 600"), discovery=DISCOVERY, limits={"cpus": {"value": 1.0}, "mem": {"value": 64.0}},
                    container={"type": "MESOS", "network_infos": [network]})
        made["command"]["user"] = self.first.info["user"]
        tiny = dict(task("tiny", offer, "exec sleep 600"), resources=scalars(mem=1))
        less = dict(task("less", offer, "exec sleep 600"), resources=scalars(cpus=0.00001, mem=1))
        # Apart, since resources that are none fail all that is launched with them.
        launches = [launch(made, tiny), launch(less)]
        self.first.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": launches})
        self.first.wait_state("tiny", "TASK_RUNNING", limit_s=LIMIT_S)
        report.equal("a task of one MB and no cpus runs", self.first.told("tiny"), ["TASK_STARTING", "TASK_RUNNING"])
        refused = self.first.wait_state("less", "TASK_ERROR")["message"]
        report.check("less than a thousandth of a cpu is refused", refused.endswith("Invalid scalar resource: value <= 0"), refused)
        self.first.wait_state("four", "TASK_RUNNING", limit_s=LIMIT_S)
        shown = self.shown("four")
        states = [s["state"] for s in shown.pop("statuses")]
        expected = {"id": "four", "name": "four", "framework_id": self.first.id, "executor_id": "", "slave_id": offer["agent_id"]["value"],
                    "state": "TASK_RUNNING", "resources": {"disk": 0.0, "mem": 32.0, "gpus": 0.0, "cpus": 0.1}, "limits": {"cpus": 1.0, "mem": 64.0},
                    "role": "foo", "user": self.first.info["user"], "discovery": DISCOVERY, "container": {"type": "MESOS", "network_infos": [network]}}
        report.equal("a task as lists show it, whole", shown, expected)
        report.equal("a task as lists show it, with its statuses", states, ["TASK_STARTING", "TASK_RUNNING"])

    def at_once(self):
        """Nothing changes meanwhile: each must be answered as one who asks alone."""
        self.first.call("SUPPRESS")
        for offer in list(self.first.offers):
            self.first.decline(offer)
        wait(lambda: self.house.get("/metrics/snapshot")["master/outstanding_offers"] == 0, LIMIT_S)
        paths = ["/state", "/state-summary", "/frameworks", "/slaves", "/roles", "/frameworks?framework_id=nobody", "/frameworks?jsonp=call"]
        alone = {path: request(self.house.port, "GET", path)[2] for path in paths}
        begin, answers = threading.Barrier(ASKERS), []

        def ask(path):
            begin.wait(LIMIT_S)
            answers.append((path, request(self.house.port, "GET", path)[2]))
        askers = [threading.Thread(target=ask, args=(paths[number % len(paths)],)) for number in range(ASKERS)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(LIMIT_S)
        wrong = [path for path, body in answers if body != alone[path]]
        report.equal(f"{ASKERS} questions at once are answered as if each were alone", (len(answers), wrong), (ASKERS, []))
        report.equal("each by its own parameters", (self.first.id.encode() in alone["/frameworks"], self.first.id.encode() in alone[paths[5]],
                                                    alone[paths[6]]), (True, False, b"call(" + alone["/frameworks"] + b")"))
        report.check("and some from what was answered before", self.house.get("/metrics/snapshot")["master/http_cache_hits"] > 0)

    def verbosity(self):
        def level(port):
            return post(port, {"type": "GET_LOGGING_LEVEL"})["get_logging_level"].get("level", 0)

        def put(port, number, nanoseconds):
            call = {"type": "SET_LOGGING_LEVEL", "set_logging_level": {"level": number, "duration": {"nanoseconds": nanoseconds}}}
            return request(port, "POST", "/api/v1", json.dumps(call), JSON_HEADERS)[0]
        for name, port in (("master", self.house.port), ("agent", self.agents[0].port)):
            statuses = [put(port, 1, 3600 * 10**9)]
            raised = level(port)
            statuses.append(put(port, 2, 10**6))
            report.equal(f"SET_LOGGING_LEVEL raises the level of the {name}", (statuses, raised), ([200, 200], 1))
            report.check(f"and the {name} returns to its own when the time is over", wait(lambda: level(port) == 0, LIMIT_S), level(port))

    def again(self):
        """A scheduler that believes that the leader has changed, and subscribes to the same one."""
        self.first.subscribe()
        info = [e for e in self.first.events if e["type"] == "SUBSCRIBED"][-1]["subscribed"]["master_info"]
        told = {"port": self.house.port, "ip": "127.0.0.1", "version": "1.11.0"}
        report.equal("who subscribes again is told of the master", {"port": info["port"], "ip": info["address"]["ip"], "version": info["version"]}, told)
        self.first.call("REVIVE")
        report.check("and is offered what there is", self.first.wait_offer(cpus=0.1, limit_s=LIMIT_S))

    def own_id(self):
        """As a scheduler does whose framework an earlier master knew."""
        named = Scheduler(self.house.address, "named", framework_id="framework-1")
        named.subscribe()
        report.equal("a framework may bring an id that this master never gave", named.id, "framework-1")
        named.teardown()
        named.close()
        state = self.house.get("/state")
        report.equal("after its end it is completed and nowhere else", (state["unregistered_frameworks"], [f["id"] for f in state["frameworks"]],
                                                                        "framework-1" in [f["id"] for f in state["completed_frameworks"]]), ([], [self.first.id], True))


def viewer(principal, roles):
    return [{"principals": {"values": [principal]}, "roles": {"values": roles}}, {"principals": {"values": [principal]}, "roles": NONE}]


class Guarded(House):
    """Who calls is asked; hero and muggle view one role each, and muggle no framework."""

    def __init__(self):
        super().__init__(resources="cpus:2;cpus(mug):1;mem:1024")
        secrets = self.write("secrets", json.dumps({"credentials": [{"principal": p, "secret": s} for p, s in SECRETS.items()]}))
        lists = {"view_roles": viewer("hero", ["super"]) + viewer("muggle", ["mug"]),
                 "view_frameworks": [{"principals": {"values": ["muggle"]}, "users": NONE}, {"principals": ANY, "users": ANY}]}
        self.master.command += ["--credentials", secrets, "--authenticate-http-readonly", "--authenticate-http-readwrite", "--acls", self.write("acls", json.dumps(lists))]

    def get(self, path, who="ops"):
        return self.ask(who, "GET", path)

    def ask(self, who, method, path, body=None):
        secret = base64.b64encode(f"{who}:{SECRETS[who]}".encode()).decode()
        status, _, text = request(self.port, method, path, body and json.dumps(body), {**JSON_HEADERS, "Authorization": f"Basic {secret}"})
        if status not in (200, 202):
            raise ValueError(f"{method} {path} by {who}: {status} {text[:200]!r}")
        return json.loads(text) if text else status

    def agents_for(self, who):
        return self.ask(who, "POST", "/api/v1", {"type": "GET_AGENTS"})["get_agents"]


def roles_of(resources):
    """The roles these are reserved for, told in the older form or the newer."""
    return {r.get("role", "*") for r in resources} | {r["reservations"][-1]["role"] for r in resources if r.get("reservations")}


def views(house):
    agent_id = house.get("/slaves")["slaves"][0]["id"]
    reserve = {"agent_id": {"value": agent_id}, "resources": Reservation("super", "ops").scalars(cpus=1)}
    house.ask("ops", "POST", "/api/v1", {"type": "RESERVE_RESOURCES", "reserve_resources": reserve})
    shown = {who: sorted(house.get("/slaves", who)["slaves"][0]["reserved_resources"]) for who in SECRETS}
    report.equal("/slaves tells the reservations of roles that may be viewed", shown, {"ops": ["mug", "super"], "hero": ["super"], "muggle": ["mug"]})
    found = {who: house.agents_for(who)["agents"][0] for who in SECRETS}
    total = {who: roles_of(a["total_resources"]) for who, a in found.items()}
    report.equal("GET_AGENTS tells the reservations of roles that may be viewed", total, {"ops": {"*", "mug", "super"}, "hero": {"*", "super"}, "muggle": {"*", "mug"}})
    begun_with = {"ops": {"*", "mug"}, "hero": {"*"}, "muggle": {"*", "mug"}}
    report.equal("and of what the agent was started with", {who: roles_of(a["agent_info"]["resources"]) for who, a in found.items()}, begun_with)
    framework = Scheduler(house.address, "seen", 600.0).subscribe()
    told, begin = {who: [] for who in SECRETS}, threading.Barrier(12)

    def ask(who):
        begin.wait(LIMIT_S)
        told[who].append([f["id"] for f in house.get("/frameworks", who)["frameworks"]])
    askers = [threading.Thread(target=ask, args=(who,)) for who in list(SECRETS) * 4]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(LIMIT_S)
    seen = [framework.id]
    report.equal("who asks at the same moment is answered by what they may view", told, {"ops": [seen] * 4, "hero": [seen] * 4, "muggle": [[]] * 4})
    framework.teardown()
    framework.close()
    house.agents[0].kill()
    house.master.kill()
    house.master.start()
    wait(lambda: house.get("/slaves"), LIMIT_S)
    away = {who: house.agents_for(who) for who in SECRETS}
    ids = {who: (len(a.get("agents", [])), [r["id"]["value"] for r in a["recovered_agents"]]) for who, a in away.items()}
    report.equal("an agent that is not back is told of to everybody", ids, dict.fromkeys(SECRETS, (0, [agent_id])))
    report.equal("with what of it they may view", {who: roles_of(a["recovered_agents"][0]["resources"]) for who, a in away.items()}, begun_with)
    house.agents[0].start()
    wait(lambda: house.agents_for("ops").get("agents"), LIMIT_S)
    back = house.agents_for("ops")
    report.equal("and is an agent again when it is back", ([a["agent_info"]["id"]["value"] for a in back["agents"]], back.get("recovered_agents", [])), ([agent_id], []))


def principals():
    with Guarded() as house:
        views(house)


def lists():
    house = House(agents=2, resources=RESOURCES)
    house.master.command += ["--domain", json.dumps(domain("home"))]
    for number, agent in enumerate(house.agents):
        agent.command += ["--domain", json.dumps(domain(f"r{number}")), "--resource-estimator", "fixed=cpus:4", "--oversubscribed-resources-interval", "1secs"]
    with house:
        checks = Checks(house)
        report.run(checks.domains, checks.slaves, checks.frameworks, checks.executors, checks.tasks, checks.command_task, checks.at_once,
                   checks.verbosity, checks.again, checks.own_id)
        for framework in (checks.first, checks.second):
            framework.close()


def main():
    report.run(bare_master, lists, principals)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
