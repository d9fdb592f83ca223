"""Resources as frameworks and operators write them, reserved or not, and persistent volumes. Standard library only.

    scalars(cpus=0.1, mem=32)
    store = Reservation("store", "keeper")
    store.scalars(cpus=1, disk=64)
    store.volume("v", 64)
    store.on_disk(house, "v", "file")
"""
import os


def scalars(**amounts):
    return [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in amounts.items()]


class Reservation:
    """What one role has for itself, by the word of one principal."""

    def __init__(self, role, principal):
        self.role, self.principal = role, principal

    def scalars(self, **amounts):
        dynamic = [{"type": "DYNAMIC", "role": self.role, "principal": self.principal}]
        return [{**resource, "reservations": dynamic} for resource in scalars(**amounts)]

    def volume(self, volume_id, amount, path="data", mode="RW", **more):
        """A persistent one, which a task finds at `path`; `shared={}` for one that many tasks may have at once."""
        disk, = self.scalars(disk=amount)
        persistent = {"persistence": {"id": volume_id, "principal": self.principal}, "volume": {"mode": mode, "container_path": path}}
        return {**disk, "disk": persistent, **more}

    def on_disk(self, house, *names):
        """Where the first agent keeps the role's volumes, and what is in them."""
        return house.path(os.path.join("agent0", "volumes", "roles", self.role, *names))


def volumes_in(offer):
    """The ids of its persistent volumes."""
    return {resource["disk"]["persistence"]["id"] for resource in offer["resources"] if resource.get("disk", {}).get("persistence")}
