"""ContainerInfos, of both types, and volumes in them. Standard library only."""

BOX = "box:1"


def of_mesos(image, **more):
    """With an image, of which `more` tells."""
    return {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": image}, **more}}}


def of_docker(image=BOX, network="HOST", **more):
    return {"type": "DOCKER", "docker": {"image": image, "network": network, **more}}


def boxed(**linux):
    """Of type MESOS, with the image of the checks."""
    return {**of_mesos(BOX), "linux_info": linux} if linux else of_mesos(BOX)


def plain(**linux):
    """Of type MESOS, without an image."""
    return {"type": "MESOS", "linux_info": linux}


def of_sandbox(path, container_path, kind="PARENT", mode="RW"):
    """A volume: a directory of the sandbox around it, or with SELF of its own."""
    return {"mode": mode, "container_path": container_path, "source": {"type": "SANDBOX_PATH", "sandbox_path": {"type": kind, "path": path}}}
