"""What a framework does with an offer. Standard library only.

    framework.accept(offer, reserve(*resources), create(volume), launch(task))
"""


def reserve(*resources):
    return {"type": "RESERVE", "reserve": {"resources": list(resources)}}


def unreserve(*resources):
    return {"type": "UNRESERVE", "unreserve": {"resources": list(resources)}}


def create(*volumes):
    return {"type": "CREATE", "create": {"volumes": list(volumes)}}


def destroy(*volumes):
    return {"type": "DESTROY", "destroy": {"volumes": list(volumes)}}


def launch(*tasks):
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}


def launch_group(executor, *tasks):
    return {"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": list(tasks)}}}
