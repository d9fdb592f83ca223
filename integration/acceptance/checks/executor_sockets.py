#!/usr/bin/env python3
"""executor_sockets.py: executors that reach their agent at a socket in the file system (--http-executor-domain-sockets), on real processes.

Wants TEPUI_BIN; with root also Debian's busybox-static. Ends with 0 or 1. The executors are the demo's, and this file, started by the agent with
`--executor`: with the machine's files and with an image's, over a restart of the agent. No endpoint of TCP is told to them that answers.
"""
import json
import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PATH = "/slave(1)/api/v1/executor"
NOWHERE = "127.0.0.1:1"
LIMIT_S = 30


if sys.argv[1:] == ["--executor"]:
    from executor import serve
    from unix_http import UnixConnection
    serve(lambda: UnixConnection(os.environ["MESOS_DOMAIN_SOCKET"]), PATH)

from agent_api import agent_id  # noqa: E402
from containers import boxed  # noqa: E402
from daemons import House, get  # noqa: E402
from executor import command  # noqa: E402
from image_maker import Image, busybox  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, shell, task, task_of  # noqa: E402
from unix_http import UnixConnection  # noqa: E402

report = Report()


class Checks:
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.location = house.path("agent.sock")
        self.framework = Scheduler(house.address, "sockets", failover_timeout=60, capabilities=("PARTITION_AWARE",))

    def command_task(self):
        self.framework.subscribe()
        flags = get(self.agent.port, "/flags")["flags"]
        report.equal("flags: the agent shows its socket", (flags["http_executor_domain_sockets"], flags["domain_socket_location"]), ("true", self.location))
        report.equal("it is open to every user's executors", oct(stat.S_IMODE(os.stat(self.location).st_mode)), "0o666")
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        self.framework.launch(offer, [task("plain", offer, f"test -S $MESOS_DOMAIN_SOCKET && test $MESOS_DOMAIN_SOCKET = {self.location}")])
        report.check("a command finds the socket where its variable says", self.framework.wait_state("plain", "TASK_FINISHED", limit_s=LIMIT_S))

    def ask(self, method, path, body=None):
        connection = UnixConnection(self.location)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", "Accept": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()

    def only_executors(self):
        call = json.dumps({"type": "GET_HEALTH"})
        found = [self.ask("POST", path, call) for path in ("/slave(1)/api/v1", "/api/v1")]
        report.equal("calls of the agent's API are answered there, with its name before them and without", found, [200, 200])
        report.equal("a call of no executor's is looked at", self.ask("POST", "/api/v1/executor", "{}"), 400)
        found = [self.ask("GET", path) for path in ("/state", "/slave(1)/state", "/metrics/snapshot", "/files/read?path=/slave/log", "/", "/nothing")]
        report.equal("and nothing else", found, [403] * 6)

    def launch(self, name, text, container=None, state="TASK_RUNNING"):
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        executor = self.framework.custom_executor(name, shell(text, MESOS_AGENT_ENDPOINT=NOWHERE), **({"container": container} if container else {}))
        self.framework.launch(offer, [task_of(executor, name, offer)])
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def of_the_kit(self):
        report.check("an executor on the kit takes the socket", self.launch("kit", f"exec {os.environ['TEPUI_BIN']} demo-executor", state="TASK_FINISHED"))

    def others(self):
        own, agent = command(__file__), agent_id(self.agent.port)
        self.launch("outside", own)
        names = ["outside"]
        if os.geteuid() == 0:
            # An image without anything but a shell, and what Python takes of the machine's.
            here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
            shown = [path for path in ("/usr", "/lib", "/lib64", sys.base_prefix, here) if os.path.isdir(path)]
            volumes = [{"mode": "RO", "container_path": path, "host_path": path} for path in dict.fromkeys(shown)]
            self.launch("inside", own, {**boxed(), "volumes": volumes})
            report.check("one in an image finds it there", self.framework.is_echoed(agent, "inside", "hello", LIMIT_S))
            names.append("inside")
        self.agent.kill()
        self.agent.start()
        report.need("the agent is back", wait(self.agent.registered, LIMIT_S), self.agent.log_tail())
        for name in names:
            report.check(f"restart: one {name} an image is there again", self.framework.is_echoed(agent, name, "again", LIMIT_S), self.framework.updates[-1:])
            report.equal(f"restart: and its task runs ({name})", self.framework.reconcile([name]), {name: "TASK_RUNNING"})


def main():
    house = House()
    os.chmod(house.folder, 0o755)
    flags = ["--http-executor-domain-sockets", "--domain-socket-location", house.path("agent.sock"), "--executor-reregistration-timeout", "10secs"]
    if os.geteuid() == 0:
        images = house.path("images")
        os.makedirs(images)
        Image().layer(busybox()).save(os.path.join(images, "box:1.tar"), "box:1")
        flags += ["--docker-registry", images]
    house.agents[0].command += flags
    with house:
        checks = Checks(house)
        report.run(checks.command_task, checks.only_executors, checks.of_the_kit, checks.others)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
