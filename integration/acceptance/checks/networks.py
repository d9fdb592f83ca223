#!/usr/bin/env python3
"""networks.py: containers with networks of their own, by Debian's CNI plug-ins, on real processes.

Wants TEPUI_BIN, root, and Debian's containernetworking-plugins, iptables, iproute2 and busybox-static. Ends with 0 or 1. All of it happens in a network
namespace of the check's own. Addresses, names and /etc; who reaches whom; several networks; port mappings; health checks; task groups;
Docker's modes; plug-ins that fail; and what is left after kill -9, after a reboot, and after the end.
"""
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from cni_machine import BLUE, BRIDGED, GREEN, Machine  # noqa: E402
from alone import alone  # noqa: E402
from containers import boxed, of_docker  # noqa: E402
from daemons import RUNTIME_ROOT, House, get, kill_all, post, processes_of  # noqa: E402
from image_maker import Image, busybox, text  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from tasks import Tasks  # noqa: E402
from tepui_command import tepui  # noqa: E402

report = Report()
LIMIT_S = 40
SERVE = "python3 -c '" \
        "import http.server, sys; sys.stdout.flush(); " \
        "http.server.HTTPServer((\"0.0.0.0\", 80), http.server.SimpleHTTPRequestHandler).serve_forever()'"


def fetch(address, port, path="/"):
    """The body of a GET; None where nobody answers."""
    try:
        with socket.create_connection((address, port), 5) as stream:
            stream.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            body = b""
            while True:
                more = stream.recv(65536)
                if not more:
                    return body.decode()
                body += more
    except OSError:
        return None


def joining(*names, **more):
    return {"type": "MESOS", "network_infos": [{"name": name} for name in names], **more}


def addresses(status):
    return [ip["ip_address"] for info in status["container_status"]["network_infos"] for ip in info["ip_addresses"]]


class Checks(Tasks):
    limit_s = LIMIT_S

    def __init__(self, house, machine, framework):
        super().__init__(house, framework)
        self.machine = machine

    def offer(self, ports=()):
        """One of much, with these ports."""
        while True:
            offer = self.framework.wait_offer(cpus=1, mem=256, limit_s=LIMIT_S)
            ranges = [it for resource in offer["resources"] if resource["name"] == "ports" for it in resource["ranges"]["range"]]
            if all(any(it["begin"] <= port <= it["end"] for it in ranges) for port in ports):
                return offer
            self.framework.decline(offer, 0)

    def start(self, name, command, container, state="TASK_RUNNING", ports=(), **more):
        offer = self.offer(ports)
        info = task(name, offer, command)
        if ports:
            info["resources"].append({"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": port, "end": port} for port in ports]}})
        self.framework.launch(offer, [{**info, "container": container, **more}])
        return self.ended(name, state)

    def run(self, name, command, container, **more):
        """What a task printed, and its last status."""
        status = self.attempt(name, command, container, **more)
        return self.output(name), status

    def end(self, *names):
        self.framework.end(*names, limit_s=LIMIT_S)

    def kept_in(self):
        digest = hashlib.sha256(self.house.path("agent0").encode()).hexdigest()[:16]
        lasting = self.house.path("agent0/networks")
        return lasting if os.path.isdir(lasting) else os.path.join(RUNTIME_ROOT, f"{digest}.networks")

    def kept(self):
        """The containers with networks, as the agent keeps them."""
        return [os.path.join(self.kept_in(), name) for name in os.listdir(self.kept_in())]

    def nothing_is_left(self, what):
        """Of containers that have ended: no lease, no namespace, no cable, no record."""
        def gone():
            links = subprocess.run(["ip", "-o", "link", "show", "type", "veth"], capture_output=True, text=True, check=True).stdout
            leases = [lease for network in ("blue", "green", "mapped", "bridge", "named") for lease in self.machine.leased(network)]
            mounts = [line for line in open("/proc/self/mounts", encoding="utf-8") if line.startswith(f"nsfs {self.kept_in()}")]
            return "" if not (links or leases or self.kept() or mounts) else f"{links} {leases} {self.kept()} {mounts}"
        wait(lambda: not gone(), LIMIT_S)
        report.equal(f"{what}: nothing of it is left", gone(), "")

    # What a container sees and how it is known.

    def joined(self):
        script = ("hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf; echo IP $LIBPROCESS_IP; ls /proc/self/root > /dev/null; grep : /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '; "
                  f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {self.agent.port}), 2)' 2>&1 | grep -o refused | tail -1; sleep 1000")
        status = self.start("joined", script, joining("blue"))
        container = status["container_status"]["container_id"]["value"]
        found = addresses(status)
        report.check("joined: the address is one of the network's, and in the status", len(found) == 1 and found[0].startswith(BLUE), status["container_status"])
        report.equal("joined: the status names the network", status["container_status"]["network_infos"][0]["name"], "blue")
        wait(lambda: "refused" in self.output("joined"), LIMIT_S)
        out = self.output("joined").splitlines()
        report.equal("joined: it is called by its container's id", out[:2], [container, container])
        report.equal("joined: and finds itself in /etc/hosts", out[2:4], ["127.0.0.1 localhost", f"{found[0]} {container}"])
        report.equal("joined: names are looked up as the agent's flag has it for the network", out[4:7], ["domain blue.example", "options ndots:3", "nameserver 192.0.2.1"])
        report.equal("joined: libprocess binds to what there is", out[7], "IP 0.0.0.0")
        report.equal("joined: it has its own interfaces only, and its loopback is not the machine's", out[8].split(), ["eth0", "lo", "refused"])
        state = get(self.agent.port, "/state")
        statuses = [s for f in state["frameworks"] for e in f["executors"] for t in e["tasks"] for s in t["statuses"] if t["id"] == "joined"]
        report.equal("joined: /state of the agent shows the address", addresses(statuses[-1]), found)
        containers = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {"show_nested": True}})["get_containers"]["containers"]
        own = next(it for it in containers if it["container_id"]["value"] == container)
        report.equal("joined: GET_CONTAINERS shows it", addresses(own), found)
        listed = next(it for it in get(self.agent.port, "/containers") if it["container_id"] == container)
        report.equal("joined: /containers shows it", [ip["ip_address"] for info in listed["status"]["network_infos"] for ip in info["ip_addresses"]], found)
        _, shown, _ = tepui("exec", "--master", self.house.address, "joined", "--", "sh", "-c", "grep -c eth0 /proc/net/dev; hostname", timeout=LIMIT_S)
        report.equal("joined: a session is in the same network", shown.split(), ["1", container])
        self.end("joined")
        self.nothing_is_left("joined")

    def machine_s(self):
        """Without a network of its own a container has the machine's address and files."""
        out, status = self.run("machine-s", "cat /etc/hosts", {"type": "MESOS"})
        with open("/etc/hosts", encoding="utf-8") as file:
            report.equal("machine's: a container without networks has the machine's files", out, file.read())
        report.equal("machine's: and the agent's address", addresses(status), ["127.0.0.1"])

    def named(self):
        out, _ = self.run("hostname", "hostname; cat /etc/hostname; tail -1 /etc/hosts", joining("green", hostname="my-name"))
        words = out.split()
        report.equal("named: a hostname is the container's own", [words[0], words[1], words[3]], ["my-name"] * 3)
        out, _ = self.run("dns", "cat /etc/resolv.conf", joining("named"))
        report.equal("named: what a plug-in says of name servers comes first", out, "search named.example\nnameserver 192.0.2.9\n")
        out, _ = self.run("dns-default", "cat /etc/resolv.conf", joining("green"))
        report.equal("named: others have the default", out, "nameserver 192.0.2.2\n")

    def between(self):
        first = addresses(self.start("server", f"echo hello > index.html; exec {SERVE}", joining("blue")))[0]
        report.check("between: the machine reaches a container", wait(lambda: "hello" in (fetch(first, 80) or ""), LIMIT_S), fetch(first, 80))
        script = f"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{first}/\", timeout=10).read().decode())'"
        out, _ = self.run("client", script, joining("blue"))
        report.equal("between: two containers of one network reach each other", out.strip(), "hello")
        traffic = next(it["statistics"] for it in get(self.agent.port, "/monitor/statistics") if it["executor_id"] == "server")
        report.check("between: its traffic is counted", traffic.get("net_rx_bytes", 0) > 0 and traffic.get("net_tx_packets", 0) > 0, traffic)
        self.end("server")
        self.nothing_is_left("between")

    def several(self):
        out, status = self.run("several", "grep : /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort", joining("blue", "green"))
        report.equal("several: an interface a network", out.split(), ["eth0", "eth1", "lo"])
        report.equal("several: an address each, in the order asked for", [ip.rpartition(".")[0] for ip in addresses(status)], [BLUE, GREEN])
        self.nothing_is_left("several")

    def mapped(self):
        for network, port in (("blue", 31001), ("mapped", 31002)):
            infos = [{"name": network, "port_mappings": [{"host_port": port, "container_port": 80, "protocol": "tcp"}]}]
            name = f"mapped-{network}"
            status = self.start(name, f"echo {network} > index.html; exec {SERVE}", {"type": "MESOS", "network_infos": infos}, ports=[port])
            shown = status["container_status"]["network_infos"][0]["port_mappings"]
            report.equal(f"mapped: the status of {name} shows the mapping", shown, infos[0]["port_mappings"])
            report.check(f"mapped: a port of the machine leads to it ({name})", wait(lambda: network in (fetch("127.0.0.1", port) or ""), LIMIT_S), fetch("127.0.0.1", port))
            self.end(name)
            report.equal(f"mapped: and no longer ({name})", wait(lambda: fetch("127.0.0.1", port) is None, LIMIT_S), True)
        self.nothing_is_left("mapped")

    def wrong(self):
        failed = self.start("failing", "true", joining("failing"), "TASK_FAILED")
        report.check("wrong: what a plug-in says is in the status", "no cable in the wall" in failed["message"] and "to CNI network 'failing'" in failed["message"], failed)
        report.equal("wrong: with its reason", failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED")
        failed = self.start("unknown", "true", joining("later"), "TASK_FAILED")
        report.check("wrong: an unknown network is named", "Unknown CNI network 'later'" in failed["message"], failed)
        self.machine.config("80-later.conf", {"name": "later", **self.machine.bridge("later0", "10.88.6")})
        _, status = self.run("later", "true", joining("later"))
        report.check("wrong: a network is known as soon as it is configured", addresses(status)[0].startswith("10.88.6"), status)
        os.remove(os.path.join(self.machine.configs, "80-later.conf"))
        failed = self.start("earlier", "true", joining("later"), "TASK_FAILED")
        report.check("wrong: and no longer when it is not", "Unknown CNI network 'later'" in failed["message"], failed)
        failed = self.start("twice", "true", joining("blue", "blue"), "TASK_FAILED")
        report.check("wrong: no network is joined twice", "multiple times" in failed["message"], failed)
        report.check("wrong: a broken configuration is told in the log", "40-broken.conf" in open(self.agent.log, encoding="utf-8").read())
        self.nothing_is_left("wrong")

    def checked(self):
        """Ports of the machine with the same numbers are closed: what answers is in the container."""
        port = {"port": 80}
        for name, health in (("http", {"type": "HTTP", "http": {**port, "path": "/"}}), ("tcp", {"type": "TCP", "tcp": port}),
                             ("command", {"type": "COMMAND", "command": {"shell": True, "value": "grep -q eth0 /proc/net/dev && test \"$(hostname)\" = inside"}})):
            timing = {"delay_seconds": 0, "interval_seconds": 0.1, "grace_period_seconds": 30}
            self.start(f"health-{name}", f"exec {SERVE}", joining("blue", hostname="inside"), health_check={**health, **timing})
            told = self.framework.wait(lambda: next((s for s in self.framework.updates_of(f"health-{name}") if s.get("healthy")), None), LIMIT_S, f"health of {name}")
            report.check(f"checked: {name} is asked within the container's network", told["healthy"], told)
            self.end(f"health-{name}")
        self.nothing_is_left("checked")

    def group(self):
        offer = self.offer()
        executor = self.framework.default_executor("pod", container=joining("blue", hostname="pod-name"))
        tasks = [task("one", offer, f"echo $MESOS_CONTAINER_IP > index.html; exec {SERVE}"),
                 task("two", offer, "while ! python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1/\").read().decode())'; do sleep 0.1; done; hostname; cat /etc/hosts; sleep 1000")]
        self.framework.launch_group(offer, executor, tasks)
        one, two = (self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S) for name in ("one", "two"))
        report.check("group: all have the address of their executor", addresses(one) == addresses(two) and addresses(one)[0].startswith(BLUE), (one, two))

        def seen():
            for top, _, _ in os.walk(self.house.path("agent0")):
                path = os.path.join(top, "tasks", "two", "stdout")
                if "/executors/pod/runs/" in top and os.path.exists(path):
                    return open(path, encoding="utf-8").read()
            return ""
        wait(lambda: "pod-name" in seen().split(), LIMIT_S)
        words = seen().split()
        report.equal("group: they reach each other by the loopback, and know their address", words[:1], addresses(one))
        report.equal("group: and have one name", [words[1], words[-1]], ["pod-name"] * 2)
        self.agent.kill()
        self.agent.start()
        self.back()

        def known():
            containers = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {"show_nested": True}})["get_containers"].get("containers", [])
            return [addresses(it) for it in containers]
        report.equal("group: an agent after kill -9 knows the address of all", wait(lambda: known() == [addresses(one)] * 3, LIMIT_S) and known(), [addresses(one)] * 3)
        self.end("one", "two")
        self.nothing_is_left("group")

    # What outlives whom.

    def killed(self):
        infos = [{"name": "blue", "port_mappings": [{"host_port": 31003, "container_port": 80}]}]
        status = self.start("killed", f"echo alive > index.html; exec {SERVE}", {"type": "MESOS", "network_infos": infos}, ports=[31003])
        wait(lambda: "alive" in (fetch("127.0.0.1", 31003) or ""), LIMIT_S)
        self.agent.kill()
        report.check("killed: without an agent the network goes on", "alive" in (fetch("127.0.0.1", 31003) or ""))
        self.agent.start()
        self.back()
        report.check("killed: and with the next one", "alive" in (fetch("127.0.0.1", 31003) or ""))
        container = status["container_status"]["container_id"]["value"]

        def known():
            containers = post(self.agent.port, {"type": "GET_CONTAINERS", "get_containers": {}})["get_containers"].get("containers", [])
            return [addresses(it) for it in containers if it["container_id"]["value"] == container]
        report.equal("killed: which knows the address", wait(lambda: known() == [addresses(status)], LIMIT_S) and known(), [addresses(status)])
        self.end("killed")
        ended = self.framework.wait_state("killed", "TASK_KILLED")
        report.equal("killed: and tells it at the end", addresses(ended), addresses(status))
        self.nothing_is_left("killed")

    def orphaned(self):
        """The agent dies while a plug-in is at work; the next one undoes it when that has ended, not before."""
        offer = self.offer()
        self.framework.launch(offer, [{**task("orphan", offer, "sleep 1000"), "container": joining("green", "slow")}])
        wait(self.machine.called, LIMIT_S)
        self.agent.kill()
        self.agent.start()
        self.back()
        time.sleep(0.2)
        begun = self.machine.called()
        report.check("orphaned: nothing is undone while it is being done", len(begun) == 1 and begun[0].startswith("ADD"), begun)
        open(self.machine.go, "w", encoding="utf-8").close()
        wait(lambda: self.machine.called()[-1] == "DEL done", LIMIT_S)
        words = [line.split()[0:2] for line in self.machine.called()]
        report.equal("orphaned: then it is", [words[1], words[2][0], words[3]], [["ADD", "done"], "DEL", ["DEL", "done"]])
        self.framework.wait(lambda: any(state in self.framework.statuses("orphan") for state in ("TASK_FAILED", "TASK_LOST", "TASK_GONE", "TASK_DROPPED")), LIMIT_S, "end of the orphan")
        self.nothing_is_left("orphaned")

    def called_off(self):
        """A task is killed while a plug-in is at work for it."""
        self.machine.forget_calls()
        offer = self.offer()
        self.framework.launch(offer, [{**task("called-off", offer, "sleep 1000"), "container": joining("green", "slow")}])
        wait(self.machine.called, LIMIT_S)
        self.framework.kill("called-off")
        open(self.machine.go, "w", encoding="utf-8").close()
        self.framework.wait_state("called-off", "TASK_KILLED", limit_s=LIMIT_S)
        wait(lambda: self.machine.called()[-1] == "DEL done", LIMIT_S)
        report.equal("called off: what was begun is undone", [line.split()[0] for line in self.machine.called()], ["ADD", "ADD", "DEL", "DEL"])
        self.nothing_is_left("called off")

    def called_off_before(self):
        """A task is killed while its image is fetched: what has not been begun is not undone."""
        self.machine.forget_calls()
        silent = socket.create_server(("127.0.0.1", 0))
        silent.settimeout(LIMIT_S)
        image = {"image": {"type": "DOCKER", "docker": {"name": f"127.0.0.1:{silent.getsockname()[1]}/never/comes:1"}}}
        offer = self.offer()
        self.framework.launch(offer, [{**task("called-off-before", offer, "sleep 1000"), "container": joining("slow", mesos=image)}])
        asked, _ = silent.accept()
        self.framework.end("called-off-before", limit_s=LIMIT_S)
        self.nothing_is_left("called off before")
        report.equal("called off before: no plug-in is called for what none had begun", self.machine.called(), [])
        asked.close()
        silent.close()

    def ended_meanwhile(self):
        self.start("meanwhile", f"while [ ! -e {self.house.path('end')} ]; do sleep 0.05; done; exit 0", joining("blue"))
        self.agent.kill()
        open(self.house.path("end"), "w", encoding="utf-8").close()
        time.sleep(0.5)
        self.agent.start()
        self.framework.wait_state("meanwhile", "TASK_FINISHED", limit_s=LIMIT_S)
        self.back()
        self.nothing_is_left("ended meanwhile")

    def back(self):
        wait(lambda: self.house.active_agents() == 1 and get(self.agent.port, "/state"), LIMIT_S)

    def rebooted(self):
        """As after a reboot: no process, no mount, no runtime directory; only what was to last."""
        self.start("rebooted", "sleep 1000", joining("green"))
        report.equal("rebooted: an address is given", len(self.machine.leased("green")), 1)
        self.agent.kill()
        end_containers(self.house)
        for kept in self.kept():
            subprocess.run(["umount", os.path.join(kept, "ns")], check=True)
        self.house.forget_runtime(self.house.path("agent0"))
        self.agent.start()
        self.back()
        report.check("rebooted: the next agent gives it back", wait(lambda: not self.machine.leased("green"), LIMIT_S), self.machine.leased("green"))
        self.nothing_is_left("rebooted")

    # Images, and Docker's modes.

    def imaged(self):
        script = ("hostname; cat /etc/hosts /etc/resolv.conf; ls /sys/class/net; /bin/busybox nc -w 2 127.0.0.1 %d < /dev/null || echo closed; echo more >> /etc/hosts || echo kept; echo %s > /etc/resolv.conf || echo kept"
                  % (self.agent.port, "x"))
        container = {**boxed(), "network_infos": [{"name": "blue"}], "hostname": "imaged"}
        out, status = self.run("imaged", script, container)
        words = out.split()
        report.equal("imaged: the files are the container's", [words[0], words[1], words[3], words[4]], ["imaged", "127.0.0.1", addresses(status)[0], "imaged"])
        report.check("imaged: names are looked up as the flag has it", "nameserver 192.0.2.1" in out, out)
        report.equal("imaged: it sees its own interfaces, its loopback is not the machine's, and its files stay", words[-5:], ["eth0", "lo", "closed", "kept", "kept"])
        out, _ = self.run("imaged-names", "cat /etc/resolv.conf", {**container, "network_infos": [{"name": "named"}]})
        report.equal("imaged: names are looked up as a plug-in says", out, "search named.example\nnameserver 192.0.2.9\n")
        self.nothing_is_left("imaged")

    def docker(self):
        failed = self.start("bridge-unknown", "true", of_docker(network="BRIDGE"), "TASK_FAILED")
        report.check("docker: BRIDGE without a network of that name is refused with what to do", "Unknown CNI network 'bridge'" in failed["message"] and "--network-cni-config-dir" in failed["message"], failed)
        self.machine.config("90-bridge.conf", {"name": "bridge", **self.machine.bridge("bridged0", BRIDGED)})
        mapping = {"port_mappings": [{"host_port": 31004, "container_port": 80, "protocol": "tcp"}]}
        failed = self.start("bridge-plain", "true", of_docker(network="BRIDGE", **mapping), "TASK_FAILED", ports=[31004])
        report.check("docker: a network that maps no ports is refused to who wants it", "maps no ports" in failed["message"], failed)
        plugins = [self.machine.bridge("bridged0", BRIDGED), {"type": "portmap", "capabilities": {"portMappings": True}}]
        os.remove(os.path.join(self.machine.configs, "90-bridge.conf"))
        self.machine.config("90-bridge.conflist", {"cniVersion": "0.4.0", "name": "bridge", "plugins": plugins})
        serve = "echo bridged > /tmp/index.html; exec /bin/busybox httpd -f -p 80 -h /tmp"
        status = self.start("bridged", serve, of_docker(network="BRIDGE", **mapping), ports=[31004])
        report.check("docker: BRIDGE is the network of that name", addresses(status)[0].startswith(BRIDGED), status)
        report.check("docker: with its port mappings", wait(lambda: "bridged" in (fetch("127.0.0.1", 31004, "/index.html") or ""), LIMIT_S), fetch("127.0.0.1", 31004, "/index.html"))
        self.end("bridged")
        out, status = self.run("user", "ls /sys/class/net", {**of_docker(network="USER"), "network_infos": [{"name": "green"}]})
        report.equal("docker: USER is the network it names", [out.split(), addresses(status)[0].rpartition(".")[0]], [["eth0", "lo"], GREEN])
        out, _ = self.run("none", "ls /sys/class/net", of_docker(network="NONE"))
        report.equal("docker: NONE is no network", out.split(), ["lo"])
        self.nothing_is_left("docker")

    # Ports of the machine.

    def listen(self, port):
        return f"exec python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", {port})); print(\"there\", flush=True); time.sleep(1000)'"

    def ports(self):
        self.start("good", self.listen(31010), {"type": "MESOS"}, ports=[31010])
        status = self.start("bad", self.listen(31012), {"type": "MESOS"}, "TASK_FAILED", ports=[31011])
        report.equal("ports: who listens elsewhere is ended", [status["reason"], status["source"]], ["REASON_CONTAINER_LIMITATION", "SOURCE_AGENT"])
        report.check("ports: with the port in words", "is listening on unallocated port(s): [31012-31012]" in status["message"], status)
        limitation = status.get("limitation", {}).get("resources", [])
        report.equal("ports: and as a resource", [(it["name"], it["ranges"]) for it in limitation], [("ports", {"range": [{"begin": 31012, "end": 31012}]})])
        self.start("outside", self.listen(32700), {"type": "MESOS"})
        self.start("apart", self.listen(31013), joining("blue"))
        self.agent.kill()
        self.agent.start()
        self.back()
        late = self.start("bad-later", self.listen(31014), {"type": "MESOS"}, "TASK_FAILED")
        report.check("ports: also by an agent that was killed meanwhile", "31014" in late["message"], late)
        slow = f"while [ ! -e {self.house.path('listen')} ]; do sleep 0.05; done; {self.listen(31015)}"
        self.start("bad-before", slow, {"type": "MESOS"})
        self.agent.kill()
        open(self.house.path("listen"), "w", encoding="utf-8").close()
        wait(lambda: "there" in self.output("bad-before"), LIMIT_S)
        self.agent.start()
        ended = self.framework.wait_state("bad-before", "TASK_FAILED", limit_s=LIMIT_S)
        report.check("ports: one that an agent before let be is ended by the next", "31015" in ended["message"], ended)
        self.back()
        time.sleep(2.5)
        ended = [name for name in ("good", "outside", "apart") if any(state != "TASK_RUNNING" and state != "TASK_STARTING" for state in self.framework.statuses(name))]
        report.equal("ports: others go on: with their own ports, outside of the offered, in a network of their own", ended, [])
        self.end("good", "outside", "apart")


def end_containers(house):
    """Kills all processes of the agent's containers, and what supervises them."""
    daemons = {daemon.process.pid for daemon in house.masters}
    kill_all(lambda: [pid for pid in processes_of(house.path("agent0")) if pid not in daemons], LIMIT_S)


def with_house(parts, *flags, images=False):
    house = House()
    machine = Machine(house)
    house.agents[0].command += [*machine.flags(), *flags]
    if images:
        os.makedirs(house.path("images"))
        Image().layer(busybox(), text("mark", "of the image")).save(house.path("images/box:1.tar"), "box:1")
        house.agents[0].command += ["--docker-registry", house.path("images")]
    with house:
        framework = Scheduler(house.address, "networks").subscribe()
        checks = Checks(house, machine, framework)
        report.run(*parts(checks))
        framework.call("TEARDOWN")
        framework.close()
        wait(lambda: not checks.kept(), LIMIT_S)
        kept_in = checks.kept_in()
    shutil.rmtree(kept_in, ignore_errors=True)


def main():
    if os.geteuid() != 0:
        report.check("left out: networks need root", True)
        sys.exit(report.end())
    alone()
    with_house(lambda it: [it.joined, it.machine_s, it.named, it.between, it.several, it.mapped, it.wrong, it.checked, it.group, it.killed, it.orphaned, it.called_off, it.called_off_before, it.ended_meanwhile])
    with_house(lambda it: [it.imaged, it.docker], images=True)
    with_house(lambda it: [it.rebooted], "--network-cni-root-dir-persist")
    with_house(lambda it: [it.ports], "--isolation", "network/cni,network/ports", "--enforce-container-ports", "--check-agent-port-range-only", "--container-ports-watch-interval", "1secs")
    sys.exit(report.end())


if __name__ == "__main__":
    main()
