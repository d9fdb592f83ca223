"""Masters in network namespaces of their own, joined by a bridge with agents and clients, so that any of them can be cut off.

All of it is in namespaces of the test's own (`masters_network`): no bridge, rule or name is left however the test ends. Needs root, iproute2 and
iptables.
"""
import http.client
import json
import os
import subprocess

from alone import alone
from daemons import House

NET = "10.77.0"
HERE = f"{NET}.254"
NAMES = "/run/netns"


def masters_network():
    """What the masters stand in, and the bridge between them."""
    alone()
    os.makedirs(NAMES, exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", NAMES)
    run("ip", "link", "add", "masters", "type", "bridge")
    run("ip", "address", "add", f"{HERE}/24", "dev", "masters")
    run("ip", "link", "set", "masters", "up")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")


class Apart(House):
    """A House whose masters m1, m2, … have the addresses 10.77.0.1, …; `hosts` has them by port."""

    def __init__(self, **more):
        super().__init__(**more)
        self.hosts, self.names = {}, {}
        for number, master in enumerate(self.masters, 1):
            self.hosts[master.port], self.names[master.port] = f"{NET}.{number}", f"m{number}"
        for master in self.masters:
            host = self.hosts[master.port]
            words = [self.moved(word) for word in master.command]
            master.command = ["ip", "netns", "exec", self.names[master.port], *words, "--ip", host, "--hostname", host]
        for agent in self.agents:
            agent.command = [self.moved(word) for word in agent.command]
        for name, number in zip(self.names.values(), range(1, len(self.masters) + 1)):
            run("ip", "netns", "add", name)
            run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", name, "master", "masters", "up")
            run("ip", "-n", name, "address", "add", f"{NET}.{number}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", link, "up")

    def moved(self, word):
        """The word with each address of a master, HTTP or bridge, as it is here: both follow each other in the order of the masters."""
        if "127.0.0.1:" not in word:
            return word
        parts = word.split(",")
        return ",".join(part.replace("127.0.0.1", f"{NET}.{number}") for number, part in enumerate(parts, 1))

    def addresses(self):
        return [f"{self.hosts[master.port]}:{master.port}" for master in self.masters]

    def all_are_there(self):
        for address in self.addresses():
            try:
                connection = http.client.HTTPConnection(address, timeout=3)
                connection.request("GET", "/slaves")
                answer = connection.getresponse()
                if answer.status == 200:
                    return sum(agent["active"] for agent in json.loads(answer.read())["slaves"]) == len(self.agents)
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        return False

    def cut(self, deed, port):
        """Carries out `isolate`, `deafen`, `mute`, `unplug` or `mend` on the master at this port."""
        within = ["ip", "netns", "exec", self.names[port]]
        others = ",".join(host for other, host in self.hosts.items() if other != port)
        if deed in ("isolate", "deafen"):
            run(*within, "iptables", "-w", "-A", "INPUT", "-s", others, "-j", "DROP")
        if deed in ("isolate", "mute"):
            run(*within, "iptables", "-w", "-A", "OUTPUT", "-d", others, "-j", "DROP")
        if deed == "unplug":
            run(*within, "ip", "link", "set", "eth0", "down")
        if deed == "mend":
            run(*within, "iptables", "-w", "-F")
            run(*within, "ip", "link", "set", "eth0", "up")
