"""What an agent is asked and tells of itself. Standard library only.

    status, answer = call(port, "WAIT_CONTAINER", container_id=nested(outer, "inner"))
    executor_of(port, "own")["directory"]
"""
import json

from daemons import get, request

LIMIT_S = 60
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


def call(port, kind, **body):
    """(status, text or parsed JSON)"""
    status, headers, answer = request(port, "POST", "/api/v1", json.dumps({"type": kind, kind.lower(): body}), HEADERS, LIMIT_S)
    return status, json.loads(answer) if headers.get("Content-Type") == "application/json" else answer.decode()


def nested(*names):
    """The id of `names`, the outermost first."""
    found = None
    for name in names:
        found = {"value": name, **({"parent": found} if found else {})}
    return found


def agent_id(port):
    return get(port, "/state")["id"]


def executors(port):
    """Those that run, as /state lists them."""
    return [executor for framework in get(port, "/state")["frameworks"] for executor in framework["executors"]]


def executor_of(port, executor_id):
    """None where it does not run."""
    return next((it for it in executors(port) if it["id"] == executor_id), None)
