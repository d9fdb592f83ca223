#!/usr/bin/env python3
"""containment_apart.py: the attempts of containment.py, by root of a container with a network of its own, and with users of its own, compared with
the last two columns of the table in docs/containment.md.

Wants TEPUI_BIN, root, and Debian's containernetworking-plugins, iptables, iproute2 and busybox-static. Ends with 0 or 1. All of it happens in a
network namespace of the check's own.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from cni_machine import Machine  # noqa: E402
from containment import Containment, report  # noqa: E402
from alone import alone  # noqa: E402
from daemons import House, alive  # noqa: E402
from image_maker import Image, busybox  # noqa: E402
from scheduler import Scheduler  # noqa: E402

FIRST_USER = 200_000


class Apart(Containment):
    def network(self):
        self.prepare()
        self.attempt("network", "root", network_infos=[{"name": "blue"}])
        report.check("network: the machine is what it was", alive(self.process.pid) and os.uname().nodename == self.host_name)

    def users(self):
        self.prepare()
        self.attempt("users", "root")
        report.check("users: the machine is what it was", alive(self.process.pid) and os.uname().nodename == self.host_name)


def with_house(part, flags=()):
    house = House()
    # Others than root must reach the sandboxes.
    os.chmod(house.folder, 0o755)
    images = house.path("images")
    os.makedirs(images)
    Image().layer(*busybox()).save(os.path.join(images, "plain:1.tar"), "plain:1")
    house.agents[0].command += ["--docker-registry", images, *flags, *Machine(house).flags()]
    with house:
        framework = Scheduler(house.address, "containment").subscribe()
        checks = Apart(house, framework, images)
        try:
            report.run(getattr(checks, part))
        finally:
            checks.close()
        framework.close()


def main():
    if os.geteuid() != 0:
        report.check("left out: images need root", True)
        sys.exit(report.end())
    alone()
    os.environ["AGENT_CANARY"] = "canary"
    with_house("network")
    with_house("users", ["--user-namespace-range", f"{FIRST_USER}:65536"])
    sys.exit(report.end())


if __name__ == "__main__":
    main()
