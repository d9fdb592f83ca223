#!/usr/bin/env python3
"""authentication.py: a master and an agent that ask who calls, and let each principal do what the access control lists say.

Wants TEPUI_BIN. Ends with 0 or 1. Principals: ops may everything, web runs tasks of its own user under role web, eve is known and may
nothing that has a list. Whoever has no secret gets nowhere.
"""
import base64
import http.client
import json
import os
import pwd
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, environment, request  # noqa: E402
from operations import create, launch  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation  # noqa: E402
from scheduler import task  # noqa: E402
from tepui_command import tepui  # noqa: E402

LIMIT_S = 30
ME = pwd.getpwuid(os.getuid()).pw_name
SECRETS = {"ops": "open sesame", "web": "w:e:b", "eve": "apple"}
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
ANY, NONE = {"type": "ANY"}, {"type": "NONE"}
report = Report()


def some(*values):
    return {"values": list(values)}


def only(key, *pairs):
    """Rules that let each principal do it to these objects, and nobody else to anything."""
    rules = [{"principals": some(who), key: objects} for who, objects in pairs]
    return [*rules, {"principals": ANY, key: NONE}]


def acls():
    everything = ("ops", ANY)
    return {
        "register_frameworks": only("roles", everything, ("web", some("web", "web/%"))),
        "run_tasks": only("users", everything, ("web", some(ME))),
        "teardown_frameworks": only("framework_principals", everything),
        "reserve_resources": only("roles", everything, ("web", some("web"))),
        "unreserve_resources": only("reserver_principals", everything, ("web", some("web"))),
        "create_volumes": only("roles", everything),
        "destroy_volumes": only("creator_principals", everything),
        "update_weights": only("roles", everything, ("web", some("web"))),
        "get_quotas": only("roles", everything, ("web", some("web"))),
        "update_quotas": only("roles", everything, ("web", some("web"))),
        "view_roles": only("roles", everything, ("web", some("web"))),
        "view_frameworks": only("users", everything, ("web", some(ME))),
        "view_tasks": only("users", everything, ("web", some(ME))),
        "view_executors": only("users", everything, ("web", some(ME))),
        "view_flags": only("flags", everything),
        "get_endpoints": only("paths", everything),
        "update_maintenance_schedules": only("machines", everything),
        "start_maintenances": only("machines", everything),
        "stop_maintenances": only("machines", everything),
        "get_maintenance_schedules": only("machines", everything),
        "mark_agents_gone": only("agents", everything),
        "drain_agents": only("agents", everything),
        "deactivate_agents": only("agents", everything),
        "reactivate_agents": only("agents", everything),
        "set_log_level": only("level", everything),
        "access_mesos_logs": only("logs", everything),
        "access_sandboxes": only("users", everything, ("web", some(ME))),
        "view_containers": only("users", everything, ("web", some(ME))),
    }


def basic(who, secret=None):
    text = f"{who}:{SECRETS.get(who, '') if secret is None else secret}"
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def reserved(role, principal, amount=0.5):
    return Reservation(role, principal).scalars(cpus=amount)[0]


class Cluster(House):
    def __init__(self):
        super().__init__(resources="cpus:4;mem:2048;disk:1000;ports:[31000-32000]")
        secrets = self.write("credentials.json", json.dumps({"credentials": [{"principal": p, "secret": s} for p, s in SECRETS.items()]}))
        lists = self.write("acls.json", json.dumps(acls()))
        guarded = ["--authenticate-http-readonly", "--authenticate-http-readwrite", "--acls", lists]
        self.agent = self.agents[0]
        self.agent.command += [*guarded, "--http-credentials", secrets]
        self.master.command += [*guarded, "--credentials", secrets, "--authenticate-http-frameworks", "--http-framework-authenticators=basic"]

    def __enter__(self):
        super().__enter__()
        self.agent_id, self.agent_port = self.slaves("ops")[0]["id"], self.agent.port
        return self

    def active_agents(self):
        return len(self.slaves("ops"))

    def ask(self, who, method, path, body=None, port=None, headers=None):
        """(status, text); `who` is a principal or the headers of one."""
        given = basic(who) if isinstance(who, str) else who or {}
        status, _, answer = request(port or self.port, method, path, body, {**JSON_HEADERS, **given, **(headers or {})})
        return status, answer.decode(errors="replace")

    def read(self, who, path):
        status, text = self.ask(who, "GET", path)
        if status != 200:
            raise ValueError(f"GET {path}: {status} {text}")
        return json.loads(text)

    def call(self, who, kind, **body):
        call = {"type": kind, **({kind.lower(): body} if body else {})}
        return self.ask(who, "POST", "/api/v1", json.dumps(call))

    def slaves(self, who):
        return self.read(who, "/slaves")["slaves"]


class Framework:
    """A scheduler as pymesos is one: it sends its principal and secret with every call."""

    def __init__(self, cluster, who, role, info=None):
        self.cluster, self.who = cluster, who
        info = {"user": ME, "name": f"of {who}", "roles": [role], "capabilities": [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}],
                "failover_timeout": 600.0, **(info or {})}
        body = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        if "id" in info:
            body["framework_id"] = info["id"]
        self.connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=LIMIT_S)
        self.connection.request("POST", "/api/v1/scheduler", json.dumps(body), {**JSON_HEADERS, **(basic(who) if isinstance(who, str) else who)})
        self.answer = self.connection.getresponse()
        self.status, self.stream = self.answer.status, self.answer.headers.get("Mesos-Stream-Id")
        self.first = self.event() if self.status == 200 else self.answer.read().decode()
        self.id = self.first["subscribed"]["framework_id"]["value"] if self.status == 200 and self.first["type"] == "SUBSCRIBED" else None

    def event(self):
        return json.loads(self.answer.read(int(self.answer.readline())))

    def until(self, kind):
        while True:
            event = self.event()
            if event["type"] == kind:
                return event[kind.lower()]

    def call(self, kind, who=None, **body):
        call = {"type": kind, "framework_id": {"value": self.id}, **({kind.lower(): body} if body else {})}
        return self.cluster.ask(self.who if who is None else who, "POST", "/api/v1/scheduler", json.dumps(call), headers={"Mesos-Stream-Id": self.stream})

    def close(self):
        self.connection.close()


def curl_like(cluster):
    status, headers, body = request(cluster.port, "GET", "/state")
    report.equal("no credentials: 401", (status, body), (401, b"401 Unauthorized."))
    report.equal("the realm is told", headers["WWW-Authenticate"], 'Basic realm="mesos-master-readonly"')
    realms = [("POST", "/api/v1", cluster.port, "mesos-master-readwrite"), ("POST", "/api/v1/scheduler", cluster.port, "mesos-master-scheduler"),
              ("GET", "/api/v1/scheduler", cluster.port, "mesos-master-scheduler"), ("GET", "/quota", cluster.port, "mesos-master-readwrite"),
              ("GET", "/metrics/snapshot", cluster.port, "mesos-master-readonly"), ("GET", "/roles", cluster.port, "mesos-master-readonly"), ("GET", "/registrar(1)/registry", cluster.port, "mesos-master-readonly"),
              ("POST", "/teardown", cluster.port, "mesos-master-readwrite"), ("POST", "/reserve", cluster.port, "mesos-master-readwrite"),
              ("POST", "/create-volumes", cluster.port, "mesos-master-readwrite"), ("GET", "/logging/toggle", cluster.port, "mesos-master-readwrite"),
              ("PUT", "/weights", cluster.port, "mesos-master-readwrite"), ("GET", "/monitor/statistics", cluster.agent_port, "mesos-agent-readonly"),
              ("POST", "/maintenance/schedule", cluster.port, "mesos-master-readwrite"), ("GET", "/", cluster.port, "mesos-master-readonly"),
              ("GET", "/admin/live?view=overview", cluster.port, "mesos-master-readonly"), ("GET", "/state", cluster.agent_port, "mesos-agent-readonly"),
              ("POST", "/api/v1", cluster.agent_port, "mesos-agent-readwrite"), ("GET", "/files/browse?path=/", cluster.agent_port, "mesos-agent-readonly")]
    found = [(method, path, port, request(port, method, path)[1]["WWW-Authenticate"]) for method, path, port, _ in realms]
    report.equal("each endpoint has its realm", found, [(m, p, port, f'Basic realm="{realm}"') for m, p, port, realm in realms])
    bad = [basic("ops", "wrong"), basic("ops", ""), basic("nobody", "open sesame"), basic("OPS", "open sesame"), {"Authorization": "Basic !!"},
           {"Authorization": "Bearer x"}, {"Authorization": basic("ops")["Authorization"].replace("Basic", "basic")}]
    for port in (cluster.port, cluster.agent_port):
        report.equal(f"bad credentials: 401 ({'master' if port == cluster.port else 'agent'})",
                     {request(port, "GET", "/state", None, given)[0] for given in bad}, {401})
    report.equal("good ones: 200", [cluster.ask(who, "GET", "/state")[0] for who in SECRETS], [200] * 3)
    open_paths = [(cluster.port, path) for path in ("/version", "/health", "/redirect", "/tepui/v1/leader")]
    open_paths += [(cluster.agent_port, path) for path in ("/version", "/health")]
    statuses = [request(port, "GET", path)[0] for port, path in open_paths]
    report.equal("what everybody must know is open", statuses, [200, 200, 307, 200, 200, 200])


def frameworks(cluster):
    report.equal("a framework without credentials: 401", Framework(cluster, {}, "web").status, 401)
    wrong = Framework(cluster, "web", "web", {"principal": "ops"})
    text = "Failed to validate scheduler::Call: Authenticated principal 'web' does not match principal 'ops' set in `FrameworkInfo`"
    report.equal("nor as somebody else", (wrong.status, wrong.first), (400, text))
    refused = Framework(cluster, "web", "db")
    report.equal("a role it may not have", refused.first, {"type": "ERROR", "error": {"message": "Not authorized to register framework  with roles { db }"}})
    web = Framework(cluster, "web", "web")
    report.need("a framework may have its own role", web.id is not None, web.first)
    shown = [it for it in cluster.read("ops", "/frameworks")["frameworks"] if it["id"] == web.id]
    report.equal("its principal is the one it proved", [it.get("principal") for it in shown], ["web"])
    report.equal("its own call: 202", web.call("REVIVE")[0], 202)
    stolen = web.call("REVIVE", who="ops")
    report.equal("another's, with the stolen stream: 400", stolen, (400, "Authenticated principal 'ops' does not match principal 'web' set in `FrameworkInfo`"))
    report.equal("nobody's: 401", web.call("REVIVE", who={})[0], 401)
    again = Framework(cluster, "ops", "web", {"id": {"value": web.id}})
    report.equal("nor may another subscribe as it", again.first, {"type": "ERROR", "error": {"message": "Changing framework's principal is not allowed."}})
    tasks(cluster, web)
    web.close()


def tasks(cluster, web):
    offer = web.until("OFFERS")["offers"][0]

    def of_user(task_id, user):
        return {**task(task_id, offer, ""), "command": {"value": "echo of-web; sleep 1000", "user": user}}

    made = {**create(Reservation("web", "web").volume("v", 8)), "id": {"value": "o"}}
    web.call("ACCEPT", offer_ids=[offer["id"]], operations=[made, launch(of_user("bad", "somebody-else"), of_user("good", ME))])
    refused = web.until("UPDATE_OPERATION_STATUS")["status"]
    report.equal("an operation that is not allowed", (refused["state"], refused["message"]),
                 ("OPERATION_ERROR", "Principal 'web' is not authorized to create_volumes on 'web'"))
    status = web.until("UPDATE")["status"]
    report.equal("a task of another user", (status["task_id"]["value"], status["state"], status["reason"]), ("bad", "TASK_ERROR", "REASON_TASK_UNAUTHORIZED"))
    running = web.until("UPDATE")["status"]
    while running["state"] != "TASK_RUNNING":
        web.call("ACKNOWLEDGE", agent_id=running["agent_id"], task_id=running["task_id"], uuid=running["uuid"])
        running = web.until("UPDATE")["status"]
    report.equal("and one of its own user runs", running["task_id"]["value"], "good")
    reads(cluster, web)
    sandboxes(cluster, web)


def reads(cluster, web):
    text = {who: cluster.ask(who, "GET", "/state")[1] + cluster.call(who, "GET_STATE")[1] + cluster.ask(who, "GET", "/tasks")[1]
            + cluster.ask(who, "GET", "/frameworks")[1] + cluster.ask(who, "GET", "/state-summary")[1] for who in SECRETS}
    report.check("ops sees the framework and its task", web.id in text["ops"] and '"good"' in text["ops"])
    report.check("web does too", web.id in text["web"] and '"good"' in text["web"])
    report.check("eve sees neither", web.id not in text["eve"] and '"good"' not in text["eve"], text["eve"])
    report.equal("flags are for ops", [cluster.ask(who, "GET", "/flags")[0] for who in SECRETS], [200, 403, 403])
    report.check("and not within /state", '"flags"' in text["ops"] and '"flags"' not in text["web"])
    report.equal("endpoints too", [cluster.ask(who, "GET", "/metrics/snapshot")[0] for who in SECRETS], [200, 403, 403])
    report.equal("and the web admin", [cluster.ask(who, "GET", "/")[0] for who in SECRETS], [200, 403, 403])
    report.equal("and why", [cluster.ask(who, "GET", f"/tepui/v1/why?framework_id={web.id}")[0] for who in SECRETS], [200, 403, 403])
    report.equal("and the log", [cluster.ask(who, "GET", "/files/read?path=/master/log&offset=0")[0] for who in SECRETS], [200, 403, 403])


def sandboxes(cluster, web):
    path = f"/files/read?path=/frameworks/{web.id}/executors/good/runs/latest/stdout&offset=0"
    found = wait(lambda: "of-web" in cluster.ask("web", "GET", path, port=cluster.agent_port)[1], LIMIT_S)
    report.check("web reads its sandbox", found, cluster.ask("web", "GET", path, port=cluster.agent_port))
    report.equal("eve does not", cluster.ask("eve", "GET", path, port=cluster.agent_port), (403, ""))
    states = {who: cluster.ask(who, "GET", "/state", port=cluster.agent_port)[1] for who in SECRETS}
    report.equal("nor sees the framework on the agent", [web.id in states[who] for who in SECRETS], [True, True, False])
    containers = [json.loads(cluster.ask(who, "POST", "/api/v1", '{"type":"GET_CONTAINERS"}', port=cluster.agent_port)[1]) for who in SECRETS]
    report.equal("nor its container", [len(it.get("get_containers", {}).get("containers", [])) for it in containers], [1, 1, 0])


def changes_of_leader(cluster):
    """A framework is its principal's for every scheduler and every master that comes."""
    first = Framework(cluster, "web", "web", {"failover_timeout": 3600.0})
    own = {"id": {"value": first.id}, "failover_timeout": 3600.0}
    second = Framework(cluster, "web", "web", own)
    report.equal("another scheduler of the same principal takes over", (second.id, first.until("ERROR")["message"]), (first.id, "Framework failed over"))
    cluster.master.kill()
    cluster.master.start()
    wait(lambda: cluster.slaves("ops"), LIMIT_S)
    foreign = Framework(cluster, "ops", "web", own)
    report.equal("after a change of masters still nobody else", foreign.first,
                 {"type": "ERROR", "error": {"message": "Changing framework's principal is not allowed."}})
    third = Framework(cluster, "web", "web", own)
    report.equal("the framework returns to the next master as itself", (third.id, third.call("REVIVE")[0]), (first.id, 202))
    cluster.call("ops", "TEARDOWN", framework_id={"value": first.id})


def operators(cluster):
    agent_id = {"value": cluster.agent_id}
    machine = [{"hostname": "h", "ip": "127.0.0.9"}]
    calls = [("UPDATE_WEIGHTS", {"weight_infos": [{"role": "db", "weight": 2.0}]}, 200),
             ("UPDATE_QUOTA", {"quota_configs": [{"role": "db"}]}, 200),
             ("UPDATE_MAINTENANCE_SCHEDULE", {"schedule": {"windows": [{"machine_ids": machine, "unavailability": {"start": {"nanoseconds": 1}}}]}}, 200),
             ("START_MAINTENANCE", {"machines": machine}, 200), ("STOP_MAINTENANCE", {"machines": machine}, 200),
             ("RESERVE_RESOURCES", {"agent_id": agent_id, "resources": [reserved("db", "ops")]}, 202),
             ("UNRESERVE_RESOURCES", {"agent_id": agent_id, "resources": [reserved("db", "ops")]}, 202),
             ("SET_LOGGING_LEVEL", {"level": 0, "duration": {"nanoseconds": 1}}, 200), ("GET_FLAGS", {}, 200),
             ("DEACTIVATE_AGENT", {"agent_id": agent_id}, 200), ("REACTIVATE_AGENT", {"agent_id": agent_id}, 200),
             ("MARK_AGENT_GONE", {"agent_id": {"value": "nobody"}}, 404), ("TEARDOWN", {"framework_id": {"value": "nobody"}}, 400)]
    for kind, body, status in calls:
        # What is wrong with the call itself is told first: another's name, or nothing to end.
        expected = 400 if kind in ("RESERVE_RESOURCES", "TEARDOWN") else 403
        found = [cluster.call(who, kind, **body)[0] for who in ("web", "eve")]
        report.equal(f"{kind}: not by others", found, [expected] * 2)
        report.equal(f"{kind}: by ops", cluster.call("ops", kind, **body)[0], status)
    foreign = cluster.call("ops", "RESERVE_RESOURCES", agent_id=agent_id, resources=[reserved("db", "zz")])
    text = "A reserve operation was attempted by authenticated principal 'ops', which does not match a reserved resource in the request with principal 'zz'"
    report.check("nobody reserves under another name", foreign[0] == 400 and text in foreign[1], foreign)
    own = cluster.call("web", "RESERVE_RESOURCES", agent_id=agent_id, resources=[reserved("web", "web", 0.25)])
    report.equal("web reserves for its role", own, (202, ""))
    report.equal("and not for two, one of them another's",
                 cluster.call("web", "RESERVE_RESOURCES", agent_id=agent_id, resources=[reserved("web", "web", 0.25), reserved("db", "web")])[0], 403)
    report.equal("eve does not take it away", cluster.call("eve", "UNRESERVE_RESOURCES", agent_id=agent_id, resources=[reserved("web", "web", 0.25)])[0], 403)
    report.equal("old endpoints ask the same", [cluster.ask(who, "PUT", "/weights", '[{"role": "web", "weight": 3.0}]')[0] for who in SECRETS], [200, 200, 403])
    weights = {who: sorted(it["role"] for it in cluster.read(who, "/weights")) for who in SECRETS}
    report.equal("weights are shown by role", weights, {"ops": ["db", "web"], "web": ["web"], "eve": []})
    roles = {who: sorted(it["name"] for it in cluster.read(who, "/roles")["roles"]) for who in SECRETS}
    report.equal("roles too", (roles["web"], roles["eve"], set(roles["ops"]) >= {"db", "web"}), (["web"], [], True))
    quotas = [{"role": role, "guarantees": {"cpus": {"value": 0.1}}, "limits": {"cpus": {"value": 4}}} for role in ("db", "web")]
    report.equal("quota is set by ops", cluster.call("ops", "UPDATE_QUOTA", quota_configs=quotas, force=True)[0], 200)
    quota = {who: sorted(it["role"] for it in cluster.read(who, "/quota").get("configs", [])) for who in SECRETS}
    report.equal("and shown by role", quota, {"ops": ["db", "web"], "web": ["web"], "eve": []})
    shown = {who: sorted(cluster.slaves(who)[0]["reserved_resources_full"]) for who in SECRETS}
    report.equal("and so are reservations", shown, {"ops": ["web"], "web": ["web"], "eve": []})


def command_line(cluster):
    master = f"127.0.0.1:{cluster.port}"

    def asked(*words, env=None, command=()):
        return tepui(*words, "--master", master, *command, env=environment(**(env or {})), timeout=LIMIT_S)

    code, _, error = asked("agents")
    report.check("tepui without credentials is told so", code != 0 and "401 Unauthorized." in error, (code, error))
    one = cluster.write("credential", "ops open-sesame\n")
    code, _, error = asked("agents", "--credential", one)
    report.check("and with wrong ones", code != 0 and "open-sesame" not in error, (code, error))
    one = cluster.write("credential", json.dumps({"principal": "ops", "secret": SECRETS["ops"]}))
    code, out, error = asked("agents", "--credential", one)
    report.check("a file of its own opens", code == 0 and cluster.agent_id in out, (code, error))
    code, out, error = asked("cluster", "status", env={"TEPUI_PRINCIPAL": "ops", "TEPUI_SECRET": SECRETS["ops"]})
    report.check("so does the environment", code == 0 and "m1" in out, (code, error))
    os.chmod(one, 0o644)
    code, _, error = asked("agents", "--credential", one)
    report.check("a file that everybody reads does not", code == 2 and "chmod 600" in error, (code, error))
    code, out, error = asked("run", env={"TEPUI_PRINCIPAL": "ops", "TEPUI_SECRET": SECRETS["ops"]}, command=["--", "echo", "hello"])
    report.check("tepui run shows its output with them", code == 0 and "hello" in out, (code, out, error))
    os.chmod(one, 0o600)
    code, out, error = asked("exec", "good", "--credential", one, command=["--", "sh", "-c", "echo inside; exit 3"])
    report.check("tepui exec asks the agent with them", (code, out) == (3, "inside\n"), (code, out, error))
    code, out, error = asked("logs", "good", "--credential", one)
    report.check("and so does tepui logs", code == 0 and "of-web" in out, (code, out, error))


def log_tells(cluster):
    """Who changed what, and who was refused."""
    cluster.ask("eve", "GET", "/flags")
    cluster.ask({}, "GET", "/flags")
    with open(cluster.path("master.log"), encoding="utf-8", errors="replace") as log:
        lines = log.read().splitlines()

    def told(*words):
        return any(all(word in line for word in words) for line in lines)

    report.check("the log tells who changed what", told("an operator called", 'kind="UPDATE_WEIGHTS"', 'principal="ops"', "peer=127.0.0.1:", "status=200", "db"))
    report.check("and who tried to", told("an operator called", 'kind="UPDATE_WEIGHTS"', 'principal="eve"', "status=403"))
    report.check("and who was refused", told("a request was refused", 'path="/flags"', 'principal="eve"', "status=403"))
    report.check("or had no name", told("a request was refused", 'path="/flags"', "status=401"))
    with open(cluster.path("agent0.log"), encoding="utf-8", errors="replace") as log:
        report.check("an agent's tells who entered a task", 'kind="LAUNCH_NESTED_CONTAINER_SESSION" principal="ops"' in log.read())


def secrets_stay(cluster):
    shown = cluster.ask("ops", "GET", "/flags")[1] + cluster.ask("ops", "GET", "/state")[1]
    shown += cluster.ask("ops", "GET", "/flags", port=cluster.agent_port)[1]
    for name in ("master.log", "agent0.log"):
        with open(cluster.path(name), encoding="utf-8", errors="replace") as log:
            shown += log.read()
    for process in (cluster.master.process, cluster.agent.process):
        with open(f"/proc/{process.pid}/cmdline", encoding="utf-8", errors="replace") as line:
            shown += line.read()
    report.equal("no secret is shown anywhere", [secret for secret in SECRETS.values() if secret in shown], [])


def bad_settings(cluster):
    open_file = cluster.write("open", "ops secret-word", 0o644)
    broken = cluster.write("broken", "secret-word")
    cases = [(["--authenticate-http-readonly"], "--credentials is missing"),
             (["--credentials", open_file], "chmod 600"), (["--credentials", broken], "line 1 is not two words"),
             (["--acls", '{"run_task": []}'], "unknown field 'run_task'"),
             (["--http-framework-authenticators", "jwt"], "expected basic")]
    for flags, expected in cases:
        code, _, error = tepui("master", "--work-dir", cluster.path("other"), "--port", "0", *flags, timeout=LIMIT_S)
        one_line = len(error.strip().splitlines()) == 1
        report.check(f"{flags[0]} {expected}: refused in one line", code == 2 and one_line and expected in error and "secret-word" not in error, (code, error))


def main():
    with Cluster() as cluster:
        parts = [curl_like, frameworks, operators, changes_of_leader, command_line, log_tells, secrets_stay, bad_settings]

        def named(part):
            def run_part():
                part(cluster)
            run_part.__name__ = part.__name__
            return run_part

        report.run(*[named(part) for part in parts])
    sys.exit(report.end())


if __name__ == "__main__":
    main()
