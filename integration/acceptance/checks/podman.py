#!/usr/bin/env python3
"""podman.py: containers of type DOCKER that Podman runs through the same API as a Docker engine.

Wants TEPUI_BIN, root and Debian's busybox-static, podman and runc. Ends with 0 or 1. Without podman it says so.
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import engine  # noqa: E402 - the same checks with another engine
from daemons import House, alive  # noqa: E402
from engine_maker import Podman, own_network  # noqa: E402
from engine_tasks import of  # noqa: E402
from image_maker import Image, busybox  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from scheduler import Scheduler  # noqa: E402

report = engine.report


class Checks(engine.Checks):
    def service_dies(self):
        """Podman's containers have no daemon to die with."""
        self.start("outlives", f"{WAIT_FOR_GO}; echo over; exit 4", of(), "TASK_RUNNING")
        pid = self.inspected("outlives")["State"]["Pid"]
        self.engine.kill()
        self.engine.start()
        report.check("podman: its containers run on without its service", alive(pid))
        status = self.finish("outlives", "TASK_FAILED")
        report.equal("podman: whose end is told by the next", (status["message"], self.output("outlives")), ("Container exited with status 4", "over\n"))


def main():
    if os.geteuid() != 0 or not shutil.which("podman"):
        report.check("left out: podman is not here, or no root", True)
        sys.exit(report.end())
    own_network()
    house = House(resources="cpus:8;mem:8192;disk:1000;ports:[31000-32000]")
    podman = Podman(house.path("engine"))
    try:
        podman.start()
        podman.load(Image(env=["COLOUR=blue"]).layer(busybox()), "box:1")
        house.agents[0].command += ["--containerizers", "docker,mesos", "--docker-socket", podman.socket, "--docker-remove-delay", "3secs"]
        with house:
            framework = Scheduler(house.address, "podman", capabilities=["TASK_KILLING_STATE"]).subscribe()
            checks = Checks(house, framework, podman)
            # Not that memory was exceeded: with cgroups v1 Podman does not tell.
            report.run(checks.first, checks.commands, checks.limits, checks.volumes, checks.checked, checks.killed, checks.sessions, checks.a_terminal,
                       checks.sessions_end, checks.survives, checks.forsaken, checks.orphans, checks.service_dies)
            framework.close()
            podman.stop()
    finally:
        podman.stop()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
