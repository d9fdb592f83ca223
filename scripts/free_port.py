#!/usr/bin/env python3
"""free_port.py [--span N] [--count M] [--prefer P]: prints M base ports, one a line, each the first of N free neighbours on loopback.

Ports come from 12000-29999: below Linux' ephemeral range, so that no outgoing connection takes one, and away from the
31000-32000 that agents offer to tasks. A port is probed by binding it; no process is given one twice, since it may be free
only because its daemon has not started yet.
With --prefer the first is P where P and its neighbours are free.
"""
import argparse
import random
import socket
import sys
import threading

LOW, HIGH, TRIES = 12000, 29999, 2000
given, giving = set(), threading.Lock()


def is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ranges(span, count, prefer=None):
    """Returns `count` base ports whose `span` neighbours are free; raises RuntimeError if the machine has none."""
    with giving:
        bases = draw(span, count, prefer)
        given.update(port for base in bases for port in range(base, base + span))
        return bases


def draw(span, count, prefer):
    taken, bases = set(given), []
    if prefer and all(is_free(port) and port not in taken for port in range(prefer, prefer + span)):
        taken.update(range(prefer, prefer + span))
        bases.append(prefer)
        if count == 1:
            return bases
    for _ in range(TRIES):
        base = random.randrange(LOW, HIGH - span)
        wanted = range(base, base + span)
        if taken.isdisjoint(wanted) and all(is_free(port) for port in wanted):
            taken.update(wanted)
            bases.append(base)
            if len(bases) == count:
                return bases
    raise RuntimeError(f"found only {len(bases)} of {count} ranges of {span} free ports between {LOW} and {HIGH}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--span", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--prefer", type=int)
    args = parser.parse_args()
    try:
        print("\n".join(str(port) for port in free_ranges(args.span, args.count, args.prefer)))
    except RuntimeError as error:
        sys.exit(f"free_port.py: {error}")


if __name__ == "__main__":
    main()
