"""A small scheduler over the public HTTP API (`POST /api/v1/scheduler`, JSON, RecordIO). Standard library only.

    framework = Scheduler("127.0.0.1:5050", "name", failover_timeout=10)
    framework.subscribe()
    offer = framework.wait_offer(cpus=1, mem=64)
    framework.launch(offer, [task("t1", offer, "sleep 100", 1, 64)])
    framework.wait_state("t1", "TASK_RUNNING")
    framework.close()

A thread reads the events and acknowledges each update that has a uuid.
"""
import base64
import http.client
import json
import os
import socket
import threading

from operations import launch, launch_group
from report import wait
from resources import scalars

PATH = "/api/v1/scheduler"
WAIT_LIMIT_S = 15
FOREVER_S = 1e6


class Refused(Exception):
    """A call was not accepted, or the stream began with an ERROR."""


def amounts(offer):
    """(cpus, mem) of an offer."""
    found = {"cpus": 0.0, "mem": 0.0}
    for resource in offer["resources"]:
        if resource["name"] in found:
            found[resource["name"]] += resource["scalar"]["value"]
    return found["cpus"], found["mem"]


def shell(text, **variables):
    """The CommandInfo of a shell's command."""
    environment = {"variables": [{"name": name, "value": value} for name, value in variables.items()]}
    return {"shell": True, "value": text, **({"environment": environment} if variables else {})}


def task(task_id, offer, command, cpus=0.1, mem=32):
    return {"name": task_id, "task_id": {"value": task_id}, "agent_id": offer["agent_id"], "resources": scalars(cpus=cpus, mem=mem), "command": shell(command)}


def task_of(executor, task_id, offer, cpus=0.1, mem=32):
    """A task of an executor of the framework's own."""
    made = {**task(task_id, offer, "", cpus, mem), "executor": executor}
    del made["command"]
    return made


class Scheduler:
    def __init__(self, address, name, failover_timeout=0.0, checkpoint=True, framework_id=None, capabilities=()):
        self.address, self.id, self.stream_id = address, framework_id, None
        self.info = {"user": os.environ.get("USER") or "root", "name": name, "failover_timeout": failover_timeout, "checkpoint": checkpoint,
                     "capabilities": [{"type": capability} for capability in capabilities]}
        self.changed = threading.Condition()
        self.events, self.updates, self.offers, self.error, self.ended = [], [], [], None, True
        self.socket = self.reader = None

    def subscribe(self, **more):
        """Subscribes (again with the id it has), with `more` beside its description; returns when SUBSCRIBED is there."""
        self.close()
        info = dict(self.info, **({"id": {"value": self.id}} if self.id else {}))
        body = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info, **more}, **({"framework_id": {"value": self.id}} if self.id else {})}
        connection = http.client.HTTPConnection(self.address, timeout=WAIT_LIMIT_S)
        connection.connect()
        self.socket = connection.sock
        connection.request("POST", PATH, json.dumps(body), {"Content-Type": "application/json", "Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            text = answer.read().decode(errors="replace")
            connection.close()
            raise Refused(f"SUBSCRIBE: {answer.status} {text}")
        self.socket.settimeout(None)
        self.stream_id = answer.headers["Mesos-Stream-Id"]
        with self.changed:
            self.offers, self.error, self.ended = [], None, False
            seen = len(self.events)
        self.reader = threading.Thread(target=self.read, args=(answer, connection), daemon=True)
        self.reader.start()
        self.wait(lambda: self.error or self.ended or any(e["type"] == "SUBSCRIBED" for e in self.events[seen:]), what="SUBSCRIBED")
        if self.error:
            raise Refused(self.error)
        return self

    def read(self, answer, connection):
        try:
            while True:
                head = answer.readline()
                if not head:
                    break
                self.handle(json.loads(answer.read(int(head))))
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        finally:
            connection.close()
            with self.changed:
                self.ended = True
                self.changed.notify_all()

    def handle(self, event):
        kind = event["type"]
        with self.changed:
            self.events.append(event)
            if kind == "SUBSCRIBED":
                self.id = event["subscribed"]["framework_id"]["value"]
            elif kind == "OFFERS":
                self.offers += event["offers"]["offers"]
            elif kind == "RESCIND":
                self.offers = [o for o in self.offers if o["id"] != event["rescind"]["offer_id"]]
            elif kind == "UPDATE":
                self.updates.append(event["update"]["status"])
            elif kind == "ERROR":
                self.error = event["error"]["message"]
            self.changed.notify_all()
        if kind == "UPDATE" and "uuid" in event["update"]["status"]:
            status = event["update"]["status"]
            try:
                self.call("ACKNOWLEDGE", acknowledge={key: status[key] for key in ("agent_id", "task_id", "uuid")})
            except Refused:
                pass  # torn down or closed meanwhile; what is not acknowledged comes again

    def post(self, body, headers=None):
        """Any call of this subscription; returns (status, text)."""
        connection = http.client.HTTPConnection(self.address, timeout=WAIT_LIMIT_S)
        try:
            connection.request("POST", PATH, json.dumps(body), {"Content-Type": "application/json", "Mesos-Stream-Id": self.stream_id, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def call(self, kind, **body):
        """A call that must be accepted."""
        status, text = self.post({"type": kind, "framework_id": {"value": self.id}, **body})
        if status not in (200, 202):
            raise Refused(f"{kind}: {status} {text}")

    def wait(self, look, limit_s=WAIT_LIMIT_S, what="it"):
        """The first true value of `look()`; raises RuntimeError where there is none in time."""
        found = []

        def ready():
            value = look()
            if value:
                found.append(value)
            return bool(value)
        with self.changed:
            if not self.changed.wait_for(ready, limit_s):
                raise RuntimeError(f"{self.info['name']}: no {what} within {limit_s} s; last events: {self.events[-3:]}, error: {self.error}")
        return found[0]

    def take_offer(self, is_right, limit_s=WAIT_LIMIT_S):
        """Takes an offer for which `is_right(offer)` out of the outstanding ones, and declines the others for a moment: what a task used may come
        back with an offer of its own."""
        def look():
            right = next((o for o in self.offers if is_right(o)), None)
            if right is None and self.offers:
                others, self.offers = self.offers, []
                for offer in others:
                    self.decline(offer, 0.1)
            return right
        offer = self.wait(look, limit_s, "offer as wanted")
        with self.changed:
            self.offers.remove(offer)
        return offer

    def wait_offer(self, cpus=0.0, mem=0.0, limit_s=WAIT_LIMIT_S):
        """Takes an offer of at least this much out of the outstanding ones."""
        def look():
            return next((o for o in self.offers if amounts(o)[0] >= cpus and amounts(o)[1] >= mem), None)
        offer = self.wait(look, limit_s, f"offer of {cpus} cpus and {mem} MB")
        with self.changed:
            self.offers.remove(offer)
        return offer

    def accept(self, offer, *operations, refuse_seconds=0.0):
        self.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": list(operations), "filters": {"refuse_seconds": refuse_seconds}})

    def launch(self, offer, tasks, refuse_seconds=0.0):
        self.accept(offer, launch(*tasks), refuse_seconds=refuse_seconds)

    def launch_group(self, offer, executor, tasks):
        self.accept(offer, launch_group(executor, *tasks))

    def default_executor(self, name, **more):
        """The ExecutorInfo of one for task groups."""
        names = {"type": "DEFAULT", "executor_id": {"value": name}, "framework_id": {"value": self.id}}
        return {**names, "resources": scalars(cpus=0.1, mem=32, disk=8), **more}

    def custom_executor(self, name, command, **more):
        """The ExecutorInfo of one of the framework's own; `command` is a CommandInfo."""
        return {"type": "CUSTOM", "executor_id": {"value": name}, "framework_id": {"value": self.id}, "command": command, **more}

    def decline(self, offer, refuse_seconds=FOREVER_S):
        self.call("DECLINE", decline={"offer_ids": [offer["id"]], "filters": {"refuse_seconds": refuse_seconds}})

    def kill(self, task_id):
        self.call("KILL", kill={"task_id": {"value": task_id}})

    def end(self, *task_ids, limit_s=WAIT_LIMIT_S):
        """Kills tasks; returns when all are told as killed."""
        for task_id in task_ids:
            self.kill(task_id)
        for task_id in task_ids:
            self.wait_state(task_id, "TASK_KILLED", limit_s=limit_s)

    def updates_of(self, task_id, since=0):
        """All that was told of a task, in order, from the update number `since` on."""
        return [s for s in self.updates[since:] if s["task_id"]["value"] == task_id]

    def statuses(self, task_id, since=0):
        """As `updates_of`: the states."""
        return [s["state"] for s in self.updates_of(task_id, since)]

    def told(self, task_id):
        """As `statuses`, but each update once, and only those that want to be acknowledged: one whose acknowledgement was lost on the way comes
        again, with the uuid it had."""
        return list({s["uuid"]: s["state"] for s in self.updates_of(task_id) if s.get("uuid")}.values())

    def wait_state(self, task_id, state, since=0, limit_s=WAIT_LIMIT_S):
        """The status that says so."""
        def look():
            return next((s for s in self.updates_of(task_id, since) if s["state"] == state), None)
        return self.wait(look, limit_s, f"{state} of {task_id} (got {self.statuses(task_id)})")

    def is_echoed(self, agent_id, executor_id, text, limit_s=WAIT_LIMIT_S):
        """Whether a message to an executor comes back from it."""
        data, since = base64.b64encode(text.encode()).decode(), len(self.events)
        self.call("MESSAGE", message={"agent_id": {"value": agent_id}, "executor_id": {"value": executor_id}, "data": data})
        return wait(lambda: any(e["type"] == "MESSAGE" and e["message"]["data"] == data for e in self.events[since:]), limit_s)

    def reconcile(self, task_ids, limit_s=WAIT_LIMIT_S):
        """Asks explicitly; returns {task: state} of the answers."""
        since = len(self.updates)
        self.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": t}} for t in task_ids]})

        def look():
            answers = {s["task_id"]["value"]: s["state"] for s in self.updates[since:] if s.get("reason") == "REASON_RECONCILIATION"}
            return answers if set(task_ids) <= set(answers) else None
        return self.wait(look, limit_s, "answer to RECONCILE")

    def teardown(self):
        self.call("TEARDOWN")

    def close(self):
        """Ends the stream by closing its socket."""
        if self.socket:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if self.reader:
                self.reader.join(WAIT_LIMIT_S)
            self.socket.close()
            self.socket = None
