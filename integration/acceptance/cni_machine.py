"""Networks for containers by Debian's CNI plug-ins, and by some that fail or take their time. Standard library only.

    machine = Machine(house)                    # configurations and plug-ins in the house's folder
    house.agents[0].command += machine.flags()
    machine.leased("blue")                      # ["10.88.1.2"]
"""
import json
import os
import re

PLUGINS = "/usr/lib/cni"
BLUE, GREEN, MAPPED, BRIDGED = "10.88.1", "10.88.2", "10.88.3", "10.88.4"
SLOW = """#!/bin/sh
cat > /dev/null
echo "$CNI_COMMAND $CNI_CONTAINERID ${{CNI_NETNS:-none}}" >> {calls}
[ $CNI_COMMAND = DEL ] || while [ ! -e {go} ]; do sleep 0.05; done
echo "$CNI_COMMAND done" >> {calls}
echo '{{"cniVersion": "0.4.0", "ips": []}}'
"""


class Machine:
    """Networks as an operator configures them."""

    def __init__(self, house):
        self.house = house
        self.configs, self.plugins, self.leases = (house.path(name) for name in ("cni", "plugins", "leases"))
        self.calls, self.go = house.path("calls"), house.path("go")
        for made in (self.configs, self.plugins):
            os.makedirs(made)
        port_map = {"type": "portmap", "capabilities": {"portMappings": True}}
        self.config("10-blue.conflist", {"cniVersion": "0.4.0", "name": "blue", "plugins": [self.bridge("blue0", BLUE), port_map]})
        self.config("20-green.conf", {"name": "green", **self.bridge("green0", GREEN)})
        self.config("30-mapped.conf", {"name": "mapped", "type": "mesos-cni-port-mapper", "chain": "MESOS", "excludeDevices": ["mapped0"],
                                       "delegate": {"cniVersion": "0.3.1", **self.bridge("mapped0", MAPPED)}})
        self.config("40-broken.conf", "{")
        self.config("50-failing.conf", {"name": "failing", "type": "failing"})
        self.config("60-slow.conf", {"cniVersion": "0.4.0", "name": "slow", "type": "slow"})
        self.config("70-named.conf", {"name": "named", "dns": {"nameservers": ["192.0.2.9"], "search": ["named.example"]}, **self.bridge("named0", "10.88.5")})
        self.plugin("failing", "#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\necho '{\"code\": 11, \"msg\": \"no cable in the wall\"}'; exit 1\n")
        self.plugin("slow", SLOW.format(calls=self.calls, go=self.go))

    def bridge(self, name, subnet):
        ipam = {"type": "host-local", "dataDir": self.leases, "subnet": f"{subnet}.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
        return {"type": "bridge", "bridge": name, "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}

    def config(self, name, config):
        with open(os.path.join(self.configs, name), "w", encoding="utf-8") as file:
            file.write(config if isinstance(config, str) else json.dumps(config))

    def plugin(self, name, script):
        path = os.path.join(self.plugins, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        os.chmod(path, 0o755)

    def flags(self):
        dns = {"mesos": [{"network_mode": "CNI", "network_name": "blue", "dns": {"nameservers": ["192.0.2.1"], "domain": "blue.example", "options": ["ndots:3"]}},
                         {"network_mode": "CNI", "dns": {"nameservers": ["192.0.2.2"]}}]}
        return ["--network-cni-plugins-dir", f"{PLUGINS}:{self.plugins}", "--network-cni-config-dir", self.configs, "--default-container-dns", json.dumps(dns)]

    def leased(self, network):
        """The addresses that host-local has given and not taken back."""
        try:
            return sorted(name for name in os.listdir(os.path.join(self.leases, network)) if re.fullmatch(r"[\d.]+", name))
        except FileNotFoundError:
            return []

    def forget_calls(self):
        for path in (self.calls, self.go):
            if os.path.exists(path):
                os.remove(path)

    def called(self):
        try:
            with open(self.calls, encoding="utf-8") as lines:
                return lines.read().splitlines()
        except FileNotFoundError:
            return []
