"""A command on a terminal of its own, as a person has it. Standard library only.

    person = Terminal(["tepui", "exec", "task", "sh"], os.environ)
    person.type(b"stty size\n")
    person.until(b"30 90")
    status = person.end()
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios

from report import wait

LIMIT_S = 40


class Terminal:
    """`tepui …` on a terminal of its own, as a person has it."""

    def __init__(self, words, env, rows=30, columns=90):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(words[0], words, {**env, "TERM": "vt220"})
        self.seen = b""

    def until(self, text):
        """Whether `text` appears."""
        def look():
            if select.select([self.fd], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    return True
            return text in self.seen
        wait(look, LIMIT_S)
        return text in self.seen

    def type(self, text):
        os.write(self.fd, text)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def is_raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def end(self):
        """Its exit status, after all it says."""
        self.until(b"\0never\0")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(__doc__)
