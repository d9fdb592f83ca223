"""An executor over HTTP, for checks that have an agent start them again with `--executor`. Standard library only.

    if sys.argv[1:] == ["--executor"]:
        serve(lambda: http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"], timeout=10))

It subscribes as often as its stream ends, tells of its tasks and echoes messages. In its sandbox it notes in `subscribed` what it was
answered each time, and in `shutdown` that it was asked to end; with STUBBORN in its environment it does not.
"""
import base64
import http.client
import json
import os
import sys
import time
import uuid

PAUSE_S = 0.1


class Executor:
    def __init__(self, dial, path):
        self.dial, self.path = dial, path
        self.names = {"framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]}, "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]}}
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}
        token = os.environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.unacknowledged, self.tasks = {}, {}

    def call(self, kind, **body):
        connection = self.dial()
        connection.request("POST", self.path, json.dumps({"type": kind, **self.names, **body}), self.headers)
        return connection, connection.getresponse()

    def tell(self, task_id, state):
        status = {"task_id": task_id, "state": state, "source": "SOURCE_EXECUTOR", "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
                  "labels": {"labels": [{"key": "told", "value": "by executor"}]}}
        self.unacknowledged[status["uuid"]] = {"status": status}
        self.call("UPDATE", update={"status": status})[0].close()

    def handle(self, event):
        kind = event["type"]
        if kind == "LAUNCH":
            task = event["launch"]["task"]
            self.tasks[task["task_id"]["value"]] = task
            self.tell(task["task_id"], "TASK_RUNNING")
        elif kind == "ACKNOWLEDGED":
            self.unacknowledged.pop(event["acknowledged"]["uuid"], None)
            self.tasks.pop(event["acknowledged"]["task_id"]["value"], None)
        elif kind == "MESSAGE":
            self.call("MESSAGE", message={"data": event["message"]["data"]})[0].close()
        elif kind == "KILL":
            self.tell(event["kill"]["task_id"], "TASK_KILLED")
        elif kind == "SHUTDOWN":
            with open("shutdown", "w", encoding="ascii"):
                pass
            if os.environ.get("STUBBORN"):
                time.sleep(600)
            os._exit(0)

    def follow(self):
        known = {"unacknowledged_tasks": list(self.tasks.values()), "unacknowledged_updates": list(self.unacknowledged.values())}
        connection, answer = self.call("SUBSCRIBE", subscribe=known)
        with open("subscribed", "a", encoding="ascii") as file:
            file.write(f"{answer.status}\n")
        connection.sock.settimeout(None)
        while answer.status == 200:
            head = answer.readline()
            if not head:
                break
            self.handle(json.loads(answer.read(int(head))))


def command(check):
    """The command that starts this file of a check again, as an executor."""
    return f"exec {sys.executable} {os.path.abspath(check)} --executor"


def serve(dial, path="/api/v1/executor"):
    """Until it is shut down."""
    executor = Executor(dial, path)
    while True:
        try:
            executor.follow()
        except (OSError, http.client.HTTPException, AttributeError):
            pass
        time.sleep(PAUSE_S)
