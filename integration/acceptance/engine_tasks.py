"""Tasks with containers of type DOCKER, on an agent whose engine is at hand. Standard library only.

    tasks = EngineTasks(house, framework, engine)
    out = tasks.run("hello", "echo hello", of("box:1"))
"""
import os
import sys

from containers import BOX, of_docker
from report import wait
from scheduler import amounts, task
from tasks import LIMIT_S, Tasks


def of(image=BOX, network="HOST", container=None, **more):
    return {**of_docker(image, network, **more), **(container or {})}


def parameters(**pairs):
    return [{"key": key.replace("_", "-"), "value": value} for key, value in pairs.items()]


class EngineTasks(Tasks):
    def __init__(self, house, framework, engine):
        super().__init__(house, framework)
        self.engine = engine

    def start(self, name, command, container, state, cpus=0.1, mem=32, extra=(), **more):
        """`extra`: resources besides."""
        def enough(offer):
            found = amounts(offer)
            return found[0] >= max(cpus, 0.5) and found[1] >= max(mem, 128) and {it["name"] for it in extra} <= {it["name"] for it in offer["resources"]}
        offer = self.framework.take_offer(enough, LIMIT_S)
        info = {**task(name, offer, "", cpus, mem), "container": container, **more}
        info["resources"] += extra
        info["command"] = {"shell": True, "value": command} if isinstance(command, str) else command
        self.framework.launch(offer, [info])
        try:
            return self.ended(name, state)
        except RuntimeError as error:
            raise RuntimeError(f"{error}; the agent says:\n{self.agent.log_tail()}") from error

    def inspected(self, name):
        return self.engine.get(f"/containers/mesos-{os.path.basename(self.sandbox(name))}/json")

    def kill(self, name, **more):
        self.framework.call("KILL", kill={"task_id": {"value": name}, **more})

    def waits(self, look):
        return wait(look, LIMIT_S)


if __name__ == "__main__":
    sys.exit(__doc__)
