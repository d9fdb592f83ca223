"""Files in which commands note their pids, by `echo $$ > FILE` or, each time they are started, `echo $$ >> FILE`. Standard library only."""


def pid_in(path):
    """None where it is not there yet."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def pids_in(path):
    """One a line; none where there is no file."""
    try:
        with open(path, encoding="ascii") as lines:
            return [int(line) for line in lines]
    except FileNotFoundError:
        return []


def pids_of(house, name):
    """Of a command that notes them in the house's folder."""
    return pids_in(house.path(f"{name}.pids"))
