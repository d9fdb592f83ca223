"""Command tasks on a house's first agent: started, run to their ends, let go. Standard library only.

    tasks = Tasks(house, framework)
    out = tasks.run("hello", "echo hello", boxed())
    tasks.start("waits", WAIT_FOR_GO, plain())
    status = tasks.finish("waits")
"""
import os

from agent_api import call
from report import wait
from sandbox import Sandboxes
from scheduler import task

LIMIT_S = 60


class Tasks(Sandboxes):
    limit_s = LIMIT_S

    def __init__(self, house, framework):
        self.house, self.framework = house, framework
        self.agent = house.agents[0]

    def start(self, name, script, container, state="TASK_RUNNING", **more):
        """Launches a task; `script` is a shell's, or a CommandInfo. Gives the status in which it is `state`."""
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        info = {**task(name, offer, script), "container": container, **more}
        if not isinstance(script, str):
            info["command"] = script
        self.framework.launch(offer, [info])
        return self.ended(name, state)

    def ended(self, name, state="TASK_FINISHED"):
        """The status that says so."""
        return self.framework.wait_state(name, state, limit_s=self.limit_s)

    def attempt(self, name, script, container=None, state="TASK_FINISHED", **more):
        """As `start`; where the task gets into another state, its standard error is told too."""
        try:
            return self.start(name, script, container, state, **more)
        except RuntimeError as error:
            errors = self.output(name, "stderr") if self.sandbox(name) else "no sandbox"
            raise RuntimeError(f"{error}; its standard error: {errors}") from error

    def run(self, name, script, container=None, state="TASK_FINISHED", **more):
        """Runs a task to its end; gives what it printed, or where it has to end badly the status that says so."""
        status = self.attempt(name, script, container, state, **more)
        return self.output(name) if state == "TASK_FINISHED" else status

    def finish(self, name, state="TASK_FINISHED"):
        """Lets a task go, to its end."""
        self.go(name)
        return self.ended(name, state)

    def finish_within(self, executor, *names):
        """As `finish`, of tasks of a group."""
        for name in names:
            self.go(executor, f"tasks/{name}")
        for name in names:
            self.ended(name)

    def agent_says(self, kind, **body):
        """(status, text or parsed JSON) of a call of the agent's API."""
        return call(self.agent.port, kind, **body)

    def said(self, name, file="said"):
        """What a task that goes on has put there whole."""
        path = os.path.join(self.sandbox(name), file)
        if not wait(lambda: os.path.exists(path), self.limit_s):
            raise RuntimeError(f"{name} does not say {file}: {self.output(name, os.path.join(os.path.dirname(file), 'stderr'))}")
        return self.output(name, file)
