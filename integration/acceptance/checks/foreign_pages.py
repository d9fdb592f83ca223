#!/usr/bin/env python3
"""foreign_pages.py: what a page of somebody else can do to a master and an agent on loopback through the browser of their operator: lead there, and
nothing else. In headless Chromium, where the page's name leads to this machine, as an attacker's would (DNS rebinding).

Wants TEPUI_BIN and Chromium. Ends with 0 or 1.
"""
import http.server
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from browser import Browser  # noqa: E402
from daemons import House, get, request  # noqa: E402
from report import Report  # noqa: E402
from scheduler import Scheduler  # noqa: E402

EVIL = "evil.example"
LIMIT_S = 30
JSON_BODY = {"Content-Type": "application/json"}
report = Report()


class Page(http.server.BaseHTTPRequestHandler):
    """A page with nothing on it; what it does is told to the browser."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>evil</title><body>")

    def log_message(self, *_):
        pass


def form(url, fields):
    """Posts a form as a person's click would, into a frame: what is answered cannot be read."""
    inputs = "".join(f"i = document.createElement('input'); i.name = {json.dumps(k)}; i.value = {json.dumps(v)}; f.append(i);" for k, v in fields.items())
    return (f"(() => {{ const t = document.createElement('iframe'); t.name = 'hidden' + Math.random(); document.body.append(t); const f = document.createElement('form');"
            f"f.method = 'post'; f.action = {json.dumps(url)}; f.target = t.name; let i; {inputs} document.body.append(f);"
            "return new Promise((done) => { t.onload = () => done(true); f.submit(); }) })()")


def script(url):
    """Whether a script of that address could be run."""
    return (f"new Promise((done) => {{ const s = document.createElement('script'); s.src = {json.dumps(url)};"
            "s.onload = () => done('run'); s.onerror = () => done('refused'); document.body.append(s); })")


class Checks:
    def __init__(self, house, page, evil_port):
        self.house, self.page = house, page
        self.base, self.agent = (f"http://127.0.0.1:{port}" for port in (house.port, house.agents[0].port))
        self.evil = f"http://{EVIL}:{evil_port}/"

    def go_evil(self):
        self.page.open(self.evil)
        self.page.wait("document.title === 'evil'")

    def forms(self):
        framework = Scheduler(f"127.0.0.1:{self.house.port}", "of an operator", failover_timeout=600.0)
        framework.subscribe()
        self.go_evil()
        self.page.value(form(f"{self.base}/teardown", {"frameworkId": framework.id}))
        active = [it["id"] for it in get(self.house.port, "/state")["frameworks"]]
        report.check("a form of theirs ends no framework", framework.id in active, active)
        level = lambda: json.loads(request(self.house.port, "POST", "/api/v1", '{"type":"GET_LOGGING_LEVEL"}', JSON_BODY)[2])["get_logging_level"]["level"]  # noqa: E731
        self.page.value(form(f"{self.base}/logging/toggle?level=2&duration=1mins", {}))
        report.equal("nor changes the log", level(), 0)
        status, _, _ = request(self.house.port, "POST", "/teardown", f"frameworkId={framework.id}", {"Origin": f"http://127.0.0.1:{self.house.port}"})
        report.equal("a page of ours may", status, 200)
        framework.close()

    def scripts(self):
        self.go_evil()
        for name, base in (("master", self.base), ("agent", self.agent)):
            self.page.value("window.stolen = undefined")
            found = self.page.value(script(f"{base}/state?jsonp=window.stolen="))
            found = [found, self.page.value(script(f"{base}/flags?jsonp=String"))]
            report.equal(f"no script of theirs reads what the {name} knows", found, ["refused", "refused"])

    def rebinding(self):
        for name, port in (("master", self.house.port), ("agent", self.house.agents[0].port)):
            self.page.open(f"http://{EVIL}:{port}/state")
            told = self.page.wait("document.body?.innerText")
            report.check(f"by their name nothing of the {name} is read", EVIL in told and "--http-hosts" in told and "flags" not in told, told)

    def links(self):
        self.go_evil()
        self.page.value(f"void (location = {json.dumps(self.base + '/')})")
        self.page.wait("document.body?.innerText.includes('live')")
        report.check("a link of theirs leads to the web admin", True)
        body = json.dumps({"type": "GET_HEALTH"})
        call = f"fetch('/api/v1', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {json.dumps(body)}}}).then((it) => it.status)"
        report.equal("a page of ours calls", self.page.value(call), 200)

    def told(self):
        with open(self.house.path("master.log"), encoding="utf-8", errors="replace") as log:
            lines = [line for line in log if "a request was refused" in line]
        report.check("the log tells of what was refused", any("/teardown" in line and "status=403" in line for line in lines), lines[:5])


def main():
    evil = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=evil.serve_forever, daemon=True).start()
    with House() as house, Browser(hosts=[EVIL]) as page:
        checks = Checks(house, page, evil.server_port)
        report.run(checks.forms, checks.scripts, checks.rebinding, checks.links, checks.told)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
