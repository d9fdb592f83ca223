"""What containers of an agent have left on its machine. Standard library only.

    with Remains(house) as remains, house:      # before it starts: its agents get a cgroup of their own name, which is removed after them
        remains.of(0)                           # [] where nothing of any container is left
"""
import glob
import hashlib
import os

from daemons import RUNTIME_ROOT, processes_of, request


def stuck(port):
    """How many kills and cleanups hang, by the agent's own count."""
    _, _, text = request(port, "GET", "/metrics")
    numbers = dict(line.rsplit(" ", 1) for line in text.decode().splitlines())
    return [float(numbers[f"mesos_containers_stuck_{name}"]) for name in ("kills", "cleanups")]


def roots(house):
    """Root file systems of the first agent's containers."""
    return os.listdir(house.path("agent0/provisioner"))


class Remains:
    def __init__(self, house):
        self.house = house
        # Pids that belong to no container.
        self.known = set()
        self.roots = [f"tepui-check-{os.getpid()}-{index}" for index in range(len(house.agents))]
        for agent, root in zip(house.agents, self.roots):
            agent.command += ["--cgroups-root", root]

    def cgroups(self, index):
        """Directories of containers in all hierarchies."""
        found = []
        for hierarchy in ["/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*/")]:
            found += [path for path in glob.glob(os.path.join(hierarchy, self.roots[index], "*")) if os.path.isdir(path)]
        return sorted({os.path.realpath(path) for path in found})

    def runtime_dir(self, index):
        name = hashlib.sha256(self.house.path(f"agent{index}").encode()).hexdigest()[:16]
        return os.path.join(RUNTIME_ROOT, name)

    def records(self, index):
        folder = self.runtime_dir(index)
        return [name for name in os.listdir(folder) if os.path.exists(os.path.join(folder, name, "record"))]

    def mounts(self, index):
        work_dir = self.house.path(f"agent{index}")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            return [line.split()[4] for line in mounts if line.split()[4].startswith(work_dir)]

    def processes(self):
        """Of containers and of their shims; spare shims are children of their agent."""
        daemons = {daemon.process.pid for daemon in [*self.house.masters, *self.house.agents] if daemon.process}
        return [pid for pid in processes_of(self.house.folder) if pid not in daemons | self.known]

    def of(self, index=0):
        return [*self.cgroups(index), *self.records(index), *self.mounts(index), *self.processes()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for root in self.roots:
            for path in [f"/sys/fs/cgroup/{root}", *glob.glob(f"/sys/fs/cgroup/*/{root}")]:
                try:
                    os.rmdir(path)
                except OSError:
                    pass
