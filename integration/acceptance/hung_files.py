"""A file system whose server hears what is asked of it and never answers: who reads from it waits in the kernel, and takes no signal any more.
Needs root and /dev/fuse. Standard library only.

    with HungFiles(folder) as hung:             # mounted on `folder`
        ...                                     # `cat folder/file` hangs
        hung.release()                          # all that hangs goes on, with an error

It cannot outlive the process: the kernel gives it up with the last descriptor of its server.
"""
import ctypes
import os
import struct
import threading

MS_NOSUID, MS_NODEV = 2, 4
MNT_FORCE, MNT_DETACH = 1, 2
FUSE_INIT = 26
# Without it the kernel lets but one at a time ask, and the others wait for that one.
PARALLEL_LOOKUPS = 1 << 18
# Length, opcode, unique, node, user, group, process and padding of a request; length, error and unique of an answer.
HEAD_IN, HEAD_OUT = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
# Version 7.31: read ahead, flags, background, congestion, largest write, granularity of time, pages, and what is not used.
INIT_OUT = struct.Struct("=IIIIHHIIHH32x")
LARGEST = 1 << 20


class HungFiles:
    def __init__(self, folder):
        self.folder, self.asked = folder, threading.Event()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd, self.server = None, None

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self.libc.mount(b"hung", self.folder.encode(), b"fuse", MS_NOSUID | MS_NODEV, options):
            error = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(error, os.strerror(error), self.folder)
        self.server = threading.Thread(target=self.serve, daemon=True)
        self.server.start()
        return self

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, LARGEST)
            except OSError:
                return  # released
            _, opcode, unique, *_ = HEAD_IN.unpack_from(request)
            if opcode == FUSE_INIT:
                body = INIT_OUT.pack(7, 31, 0, PARALLEL_LOOKUPS, 0, 0, 4096, 1, 0, 0)
                os.write(self.fd, HEAD_OUT.pack(HEAD_OUT.size + len(body), 0, unique) + body)
            else:
                self.asked.set()

    def release(self):
        """Ends the connection, then the mount."""
        if self.server:
            self.libc.umount2(self.folder.encode(), MNT_FORCE)
            self.server.join()
            self.libc.umount2(self.folder.encode(), MNT_DETACH)
            os.close(self.fd)
            self.server = None

    def __exit__(self, *_):
        self.release()
