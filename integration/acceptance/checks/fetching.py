#!/usr/bin/env python3
"""fetching.py: files of commands: by HTTP and by path, kept in a cache, checked by their sums, unpacked into the sandbox and nowhere else.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get  # noqa: E402
from report import Report, wait  # noqa: E402
from sandbox import Sandboxes  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 60
CACHE_KB = 64
report = Report()


def tar_of(*entries, mode="w"):
    """Entries are (name, bytes) or TarInfo."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            archive.addfile(info, io.BytesIO(entry[1]))
    return made.getvalue()


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zip_of(name, data):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return made.getvalue()


class Server:
    """Serves `files`, keeps count of what is asked for, and lets `held` wait."""

    def __init__(self):
        self.files, self.asked, self.held, self.go = {}, [], set(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                if self.path in outer.held:
                    outer.go.wait(LIMIT_S)
                data = outer.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                try:
                    self.wfile.write(data or b"")
                except BrokenPipeError:
                    pass  # nobody waits for it any more

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def uri(self, path, data=None, **more):
        if data is not None:
            self.files[path] = data
        return {"value": f"http://127.0.0.1:{self.server.server_port}{path}", **more}


class Checks(Sandboxes):
    def __init__(self, house, server):
        self.house, self.agent, self.server = house, house.agents[0], server
        self.framework = Scheduler(house.address, "fetching")
        self.number = 0

    def start(self, command, uris):
        self.number += 1
        name = f"t{self.number}"
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        made = task(name, offer, command)
        made["command"]["uris"] = uris
        self.framework.launch(offer, [made])
        return name

    def run(self, command, uris, state="TASK_FINISHED"):
        """What it says, or why it failed."""
        name = self.start(command, uris)
        ended = self.framework.wait_state(name, state, limit_s=LIMIT_S)
        return self.file(name, "stdout") if state == "TASK_FINISHED" else ended["message"]

    def file(self, name, file):
        with open(os.path.join(self.sandbox(name), file), encoding="utf-8", errors="replace") as opened:
            return opened.read()

    def numbers(self):
        found = get(self.agent.port, "/metrics/snapshot")
        return {name.rsplit("/", 1)[1]: number for name, number in found.items() if name.startswith("containerizer/fetcher/")}

    def kept(self):
        return sorted(os.listdir(self.house.path("agent0/fetch/tepui")))

    def flags(self):
        self.framework.subscribe()
        flags = get(self.agent.port, "/flags")["flags"]
        report.equal("flags: as Mesos shows them", [flags[n] for n in ("fetcher_cache_size", "fetcher_stall_timeout", "frameworks_home")],
                     [f"{CACHE_KB}KB", "1mins", self.house.path("home")])
        report.equal("metrics: the cache's size", self.numbers()["cache_size_total_bytes"], CACHE_KB * 1024)

    def plain(self):
        os.makedirs(self.house.path("home/bin"))
        with open(self.house.path("home/bin/tool"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\necho tool\n")
        uris = [{"value": "bin/tool", "executable": True, "output_file": "sub/tool"}, self.server.uri("/data?token=secret", b"data\n")]
        report.equal("plain: by a path below --frameworks-home, and by HTTP", self.run("./sub/tool; cat 'data?token=secret'", uris), "tool\ndata\n")
        said = self.file("t1", "stderr")
        report.check("plain: stderr tells what was done", "directly into the sandbox directory" in said and "Successfully fetched all URIs into" in said, said)
        report.check("plain: and no secret", "secret" not in said, said)
        failed = self.run("true", [{"value": "/no/such/file"}], "TASK_FAILED")
        report.check("plain: what is missing is told with the task's end", "/no/such/file: No such file or directory" in failed, failed)
        report.check("plain: and in stderr", "Failed to fetch /no/such/file" in self.file("t2", "stderr"), self.file("t2", "stderr"))
        counted = self.numbers()
        report.equal("metrics: containers that got their files, and those that did not", (counted["task_fetches_succeeded"], counted["task_fetches_failed"]), (1, 1))

    def archives(self):
        entries = (("sub/inner", b"packed\n"), link("way", "sub"), ("way/other", b"linked\n"))
        for name, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz"), ("tar.zst", "w")):
            uri = self.server.uri(f"/a.{name}", tar_of(*entries, mode=mode))
            report.equal(f"archives: {name}", self.run("cat sub/inner sub/other", [uri]), "packed\nlinked\n")
        uri = self.server.uri("/a.zip", zip_of("sub/inner", "zipped\n"))
        report.equal("archives: zip", self.run("cat sub/inner", [uri]), "zipped\n")
        outside = self.house.path("agent0/out")
        hostile = {
            "up": tar_of(("../" * 20 + outside.lstrip("/"), b"x")),
            "link": tar_of(link("way", os.path.dirname(outside)), ("way/out", b"x")),
            "hard": tar_of(link("out", "/etc/passwd", tarfile.LNKTYPE), ("out", b"x")),
            "device": tar_of(link("null", "", tarfile.CHRTYPE)),
            "cut": tar_of(("inner", b"x" * 4000))[:2000],
        }
        for name, archive in hostile.items():
            failed = self.run("true", [self.server.uri(f"/{name}.tar", archive)], "TASK_FAILED")
            report.check(f"archives: a hostile one ends the launch: {name}", "the archive" in failed, failed)
        report.check("archives: and nothing is outside", not os.path.exists(outside))

    def sums(self):
        data = b"#!/bin/sh\necho right\n"
        good = hashlib.sha256(data).hexdigest()
        uri = self.server.uri("/run", data, executable=True)
        report.equal("sums: a file that has its sum runs", self.run("./run", [{**uri, "value": f"{uri['value']}#sha256={good}"}]), "right\n")
        failed = self.run("./run", [{**uri, "value": f"{uri['value']}#sha256={'0' * 64}"}], "TASK_FAILED")
        report.check("sums: another one does not", f"its SHA-256 is {good}; expected" in failed, failed)

    # The cache

    def shared(self):
        self.server.files["/shared"], self.server.held = b"shared\n", {"/shared"}
        names = [self.start("cat shared", [self.server.uri("/shared", cache=True)]) for _ in range(3)]
        wait(lambda: "/shared" in self.server.asked and all(self.sandboxes_of(name) for name in names), LIMIT_S)
        report.equal("cache: three tasks wait for a file that comes once", [len(self.sandboxes_of(name)) for name in names] + [self.server.asked.count("/shared")], [1] * 4)
        self.server.go.set()
        for name in names:
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("cache: three tasks at once have it", [self.file(name, "stdout") for name in names], ["shared\n"] * 3)
        report.equal("cache: one more too", self.run("cat shared", [self.server.uri("/shared", b"changed\n", cache=True)]), "shared\n")
        report.equal("cache: the server was asked once", self.server.asked.count("/shared"), 1)
        report.equal("cache: what it takes", self.numbers()["cache_size_used_bytes"], 7)
        report.check("cache: nobody else looks into it", os.stat(self.house.path("agent0/fetch/tepui")).st_mode & 0o077 == 0)
        report.equal("cache: without it each launch fetches anew", self.run("cat shared", [self.server.uri("/shared")]), "changed\n")

    def damaged(self):
        path = self.house.path(f"agent0/fetch/tepui/{self.kept()[0]}")
        os.remove(path)
        report.equal("cache: one that is missing is fetched again", self.run("cat shared", [self.server.uri("/shared", cache=True)]), "changed\n")
        with open(self.house.path(f"agent0/fetch/tepui/{self.kept()[0]}"), "w", encoding="utf-8") as file:
            file.write("damaged")
        report.equal("cache: and one that is damaged", self.run("cat shared", [self.server.uri("/shared", cache=True)]), "changed\n")

    def full(self):
        half = bytes(CACHE_KB * 512)
        for name in ("one", "two", "three"):
            self.run("true", [self.server.uri(f"/{name}", half, cache=True)])
        report.equal("cache: old ones make way", [name.split("-")[1] for name in self.kept()], ["two", "three"])
        report.equal("cache: what does not fit comes without it", self.run("wc -c < big", [self.server.uri("/big", half * 3, cache=True)]), f"{CACHE_KB * 1536}\n")
        archive = self.server.uri("/c.tar.gz", tar_of(("inner", b"packed\n"), mode="w:gz"), cache=True)
        for _ in range(2):
            report.equal("cache: an archive is unpacked from it", self.run("cat inner; ls", [archive]), "packed\ninner\nstderr\nstdout\n")

    def killed(self):
        self.server.go.clear()
        self.server.held = {"/never"}
        name = self.start("true", [self.server.uri("/never", b"x", cache=True)])
        wait(lambda: "/never" in self.server.asked, LIMIT_S)
        self.framework.kill(name)
        ended = self.framework.wait_state(name, "TASK_KILLED", limit_s=LIMIT_S / 4)
        report.check("killed: a task whose file is being fetched waits for no server", ended, ended)
        self.server.held = set()
        report.equal("killed: the next one fetches it", self.run("cat never", [self.server.uri("/never", b"now\n", cache=True)]), "now\n")
        self.server.go.set()

    def again(self):
        self.agent.kill()
        self.agent.start()
        report.need("again: the agent is back", wait(lambda: get(self.agent.port, "/state")["id"] and self.house.active_agents() == 1, LIMIT_S), self.agent.log_tail())
        report.equal("again: its cache is empty", (self.kept(), self.numbers()["cache_size_used_bytes"]), ([], 0))
        report.equal("again: and works", self.run("cat shared", [self.server.uri("/shared", cache=True)]), "changed\n")


def main():
    house = House(resources="cpus:4;mem:2048;disk:1000;ports:[31000-31100]")
    house.agents[0].command += ["--fetcher-cache-size", f"{CACHE_KB}KB", "--frameworks-home", house.path("home")]
    with house:
        checks = Checks(house, Server())
        report.run(checks.flags)
        if not report.failed:
            report.run(checks.plain, checks.archives, checks.sums, checks.shared, checks.damaged, checks.full, checks.killed, checks.again)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
