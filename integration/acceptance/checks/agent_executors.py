#!/usr/bin/env python3
"""agent_executors.py: a framework's own executor on a real agent: its token, its messages, its labels, restarts of the agent, how it ends.

Wants TEPUI_BIN. Ends with 0 or 1. The executor is this file, started by the agent with `--executor`.
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PATH = "/api/v1/executor"
LIMIT_S = 20
KEY = "a key of the operator's"

if sys.argv[1:] == ["--executor"]:
    from executor import serve
    serve(lambda: http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"], timeout=10))

from agent_api import agent_id, executor_of  # noqa: E402
from daemons import House, alive, get, post, request  # noqa: E402
from executor import command  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, shell, task, task_of  # noqa: E402

report = Report()


def token(key, **claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(key.encode(), signed, hashlib.sha256).digest())).decode()


class Checks:
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.command = list(self.agent.command)
        self.framework = Scheduler(house.address, "executors", failover_timeout=60, capabilities=("PARTITION_AWARE",))
        self.house.write("key", KEY)

    def restart(self, *flags):
        self.agent.kill()
        self.agent.command = [*self.command, "--jwt-secret-key", self.house.path("key"), "--executor-reregistration-timeout", "10secs",
                              "--executor-shutdown-grace-period", "10mins", *flags]
        self.agent.start()
        report.need("the agent is back", wait(self.agent.registered, LIMIT_S), self.agent.log_tail())

    def launch(self, name, of, state="TASK_RUNNING", env=None, more=None, executor_more=None):
        offer = self.framework.wait_offer(cpus=0.5, mem=64, limit_s=LIMIT_S)
        info = self.framework.custom_executor(of, shell(command(__file__), **(env or {})), **(executor_more or {}))
        self.framework.launch(offer, [{**task_of(info, name, offer), **(more or {})}])
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def sandbox(self, executor_id):
        return executor_of(self.agent.port, executor_id)["directory"]

    def shown(self):
        self.restart("--executor-environment-variables", json.dumps({"PATH": os.environ["PATH"], "FROM": "agent", "OWN": "agent"}))
        self.framework.subscribe()
        label = {"labels": [{"key": "of", "value": "task"}]}
        discovery = {"visibility": "CLUSTER", "name": "mytask", "ports": {"ports": [{"number": 8888, "name": "myport", "protocol": "tcp"}]}}
        status = self.launch("first", "own", env={"OWN": "framework"}, more={"labels": label, "discovery": discovery},
                             executor_more={"labels": {"labels": [{"key": "of", "value": "executor"}]}, "shutdown_grace_period": {"nanoseconds": 10**9}})
        told = {"labels": [{"key": "told", "value": "by executor"}]}
        report.equal("labels of a status reach the framework", status["labels"], told)
        shown = executor_of(self.agent.port, "own")
        launched = shown["tasks"][0]
        report.equal("the agent shows labels of executor, task and status", [shown["labels"], launched["labels"], launched["statuses"][0]["labels"]],
                     [[{"key": "of", "value": "executor"}], label["labels"], told["labels"]])
        report.equal("and what is to be discovered", launched["discovery"], discovery)
        report.equal("and the container of the status", launched["statuses"][0]["container_status"]["container_id"]["value"], shown["container"])
        pid = self.pid("own")
        with open(f"/proc/{pid}/environ", "rb") as file:
            env = dict(entry.split("=", 1) for entry in file.read().decode().split("\0") if "=" in entry)
        report.equal("variables of the flag and of the framework", (env.get("FROM"), env.get("OWN"), "HOME" in env), ("agent", "framework", False))
        report.check("a message goes there and back", self.framework.is_echoed(agent_id(self.agent.port), "own", "hello", LIMIT_S))

    def pid(self, executor_id):
        return next(r["status"]["executor_pid"] for r in get(self.agent.port, "/containers") if r["executor_id"] == executor_id)

    def containers(self):
        self.launch("beside", "other")
        shown = {r["executor_id"]: r for r in get(self.agent.port, "/containers")}
        mine = shown["own"]
        report.equal("/containers has both, with their figures", (sorted(shown), mine["statistics"]["cpus_soft_limit"] > 0, mine["statistics"]["mem_limit_bytes"] > 0), (["other", "own"], True, True))

        def chosen(query):
            return sorted(r["executor_id"] for r in get(self.agent.port, f"/containers?{query}"))
        fid = self.framework.id
        report.equal("/containers by container, framework and executor", [chosen(f"container_id={mine['container_id']}"), chosen(f"framework_id={fid}"), chosen(f"framework_id={fid}&executor_id=other")],
                     [["own"], ["other", "own"], ["other"]])
        report.equal("/containers by executor alone is refused", request(self.agent.port, "GET", "/containers?executor_id=own")[0], 400)
        measured = {r["executor_id"]: r["statistics"] for r in get(self.agent.port, "/monitor/statistics")}
        report.check("/monitor/statistics tells of each executor", set(measured) == {"own", "other"} and measured["own"]["mem_limit_bytes"] == mine["statistics"]["mem_limit_bytes"], measured)
        calls = [post(self.agent.port, {"type": kind})[kind.lower()] for kind in ("GET_TASKS", "GET_EXECUTORS", "GET_CONTAINERS")]
        tasks = sorted(t["task_id"]["value"] for t in calls[0]["launched_tasks"])
        report.equal("GET_TASKS, GET_EXECUTORS and GET_CONTAINERS agree", (tasks, len(calls[1]["executors"]), len(calls[2]["containers"])), (["beside", "first"], 2, 2))
        state = post(self.agent.port, {"type": "GET_STATE"})["get_state"]
        report.equal("GET_STATE is all of them", (state["get_tasks"], state["get_executors"]), (calls[0], calls[1]))
        self.framework.end("beside")
        tasks = post(self.agent.port, {"type": "GET_TASKS"})["get_tasks"]
        ended = [t["task_id"]["value"] for kind in ("terminated_tasks", "completed_tasks") for t in tasks.get(kind, [])]
        report.check("GET_TASKS moves what has ended", "beside" in ended, tasks)

    def call(self, bearer, kind="SUBSCRIBE", path=PATH, **body):
        """Status and challenge or text of a call."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        names = {"framework_id": {"value": self.framework.id}, "executor_id": {"value": "own"}} if path == PATH else {}
        status, answered, text = request(self.agent.port, "POST", path, json.dumps({"type": kind, **names, **(body or {"subscribe": {}} if path == PATH else body)}), headers)
        return status, answered.get("WWW-Authenticate", "") or text.decode()

    def limits(self):
        measured = next(r["statistics"] for r in get(self.agent.port, "/monitor/statistics") if r["executor_id"] == "own")
        return [measured[name] for name in ("cpus_soft_limit", "mem_soft_limit_bytes", "mem_limit_bytes")]

    def tokens(self):
        pid = self.pid("own")
        before = self.limits()
        credentials = self.house.path("credentials")
        with open(credentials, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("ops sesame")
        self.restart("--authenticate-http-executors", "--authenticate-http-readwrite", "--http-credentials", credentials)
        report.equal("who was given a token before it is asked for goes on with it", self.framework.reconcile(["first"]), {"first": "TASK_RUNNING"})
        report.check("and is the same process", alive(pid) and self.framework.is_echoed(agent_id(self.agent.port), "own", "again", LIMIT_S))
        report.equal("its limits are told as before", self.limits(), before)
        container = executor_of(self.agent.port, "own")["container"]
        right = {"fid": self.framework.id, "eid": "own", "cid": container}
        report.equal("without a token: 401", self.call(None), (401, 'Basic realm="mesos-agent-executor",Bearer realm="mesos-agent-executor"'))
        status, challenge = self.call(token("incorrect_key", **right))
        report.check("with one of another key: 401", status == 401 and "invalid_token" in challenge, (status, challenge))
        refused = [self.call(token(KEY, **{**right, claim: "other"}))[0] for claim in ("fid", "eid", "cid")]
        report.equal("with one of another framework, executor or container: 403", refused, [403] * 3)
        update = {"update": {"status": {"task_id": {"value": "first"}, "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR", "uuid": base64.b64encode(uuid.uuid4().bytes).decode()}}}
        report.equal("an update too: 403", self.call(token(KEY, **{**right, "cid": "other"}), "UPDATE", **update)[0], 403)
        nested = {"container_id": {"value": "inner", "parent": {"value": container}}, "command": {"value": "sleep 600"}}
        launch = {"kind": "LAUNCH_NESTED_CONTAINER", "path": "/api/v1", "launch_nested_container": nested}
        report.equal("operators' calls about another container: 403", self.call(token(KEY, **{**right, "cid": "other"}), **launch)[0], 403)
        report.equal("about its own: 200", self.call(token(KEY, **right), **launch)[0], 200)
        report.equal("and nothing else: 403", self.call(token(KEY, **right), "GET_STATE", "/api/v1")[0], 403)
        status = self.launch("second", "own-2")
        report.check("a new one shows its token and runs", status)

    def ends(self):
        directory, pid = self.sandbox("own"), self.pid("own")
        begun = time.monotonic()
        self.framework.call("SHUTDOWN", shutdown={"executor_id": {"value": "own"}, "agent_id": {"value": agent_id(self.agent.port)}})
        report.check("SHUTDOWN reaches it", wait(lambda: os.path.exists(os.path.join(directory, "shutdown")), LIMIT_S))
        report.check("it ends", wait(lambda: not alive(pid), LIMIT_S), time.monotonic() - begun)
        self.launch("third", "stubborn", env={"STUBBORN": "1"}, executor_more={"shutdown_grace_period": {"nanoseconds": 10**9}})
        pid = self.pid("stubborn")
        begun = time.monotonic()
        self.framework.call("SHUTDOWN", shutdown={"executor_id": {"value": "stubborn"}, "agent_id": {"value": agent_id(self.agent.port)}})
        report.check("one that does not end is ended", wait(lambda: not alive(pid), LIMIT_S))
        took = time.monotonic() - begun
        # The agent's own is ten minutes.
        report.check("after its own grace of a second", 0.9 < took < LIMIT_S, took)

    def strangers(self):
        if os.geteuid() != 0:
            return
        offer = self.framework.wait_offer(cpus=0.5, mem=64, limit_s=LIMIT_S)
        made = task("stranger", offer, "true")
        made["command"]["user"] = "nobody-knows-me"
        self.framework.launch(offer, [made])
        dropped = self.framework.wait_state("stranger", "TASK_DROPPED", limit_s=LIMIT_S)
        report.check("a task of a user this machine does not know is dropped", "nobody-knows-me" in dropped["message"], dropped)

    def leaves(self):
        """SIGUSR1: all that runs is ended, the framework is told, and the master forgets the agent."""
        pids = [r["status"]["executor_pid"] for r in get(self.agent.port, "/containers")]
        before = agent_id(self.agent.port)
        self.agent.process.send_signal(signal.SIGUSR1)
        gone = self.framework.wait_state("second", "TASK_LOST", limit_s=LIMIT_S)
        report.equal("SIGUSR1: the framework is told that its tasks are gone", gone["reason"], "REASON_AGENT_REMOVED")
        report.check("SIGUSR1: the agent ends, and nothing of it is left", wait(lambda: not self.agent.running() and not any(alive(pid) for pid in pids), LIMIT_S), pids)
        report.equal("SIGUSR1: the master knows it no more", self.house.get("/slaves")["slaves"], [])
        self.agent.start()
        report.check("SIGUSR1: its next start is a new agent", wait(lambda: self.agent.registered() and agent_id(self.agent.port) != before, LIMIT_S))


def main():
    with House() as house:
        checks = Checks(house)
        report.run(checks.shown)
        if not report.failed:
            report.run(checks.containers, checks.tokens, checks.ends, checks.strangers, checks.leaves)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
