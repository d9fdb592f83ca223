"""Drives one page of a headless Chromium over its DevTools pipe (file descriptors 3 and 4). Standard library only.

    with Browser() as page:
        page.open("http://127.0.0.1:5050/")
        page.wait("document.querySelectorAll('tbody tr').length > 3")
        page.screenshot("overview.png")

`--dump-dom` and `--screenshot` of the command line do not fit a live page: they look at once, or never.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"]
ANSWER_LIMIT_S = 60
WAIT_LIMIT_S = 30


class PageError(Exception):
    """The browser did not do as told, or the page never showed what was waited for."""


class Browser:
    """One browser with one page. `errors` gathers what the page got wrong: exceptions, refused files, policy violations."""

    def __init__(self, width=1280, height=900, hosts=()):
        """Names in `hosts` lead to this machine."""
        self.flags = [f"--host-resolver-rules={','.join(f'MAP {host} 127.0.0.1' for host in hosts)}"] if hosts else []
        self.size, self.errors, self.last_id, self.session, self.buffer = (width, height), [], 0, None, b""

    def __enter__(self):
        if not CHROMIUM:
            raise PageError("no Chromium is installed; expected 'chromium' on the PATH or its path in CHROMIUM (apt-get install chromium)")
        self.profile = tempfile.mkdtemp(prefix="tepui-browser.")
        to_child, self.to_browser = os.pipe()
        self.from_browser, from_child = os.pipe()
        command = [CHROMIUM, *FLAGS, *self.flags, f"--user-data-dir={self.profile}", "--window-size=%d,%d" % self.size, "--remote-debugging-pipe", "about:blank"]

        # The descriptors are first moved out of the way of 3 and 4, then put there.
        shell = ["sh", "-c", 'exec 3<"/dev/fd/$1" 4>"/dev/fd/$2"; shift 2; exec "$@"', "sh", str(to_child), str(from_child)]
        self.process = subprocess.Popen([*shell, *command], pass_fds=(to_child, from_child), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*self.size)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **params):
        """Returns the result of a DevTools command."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + ANSWER_LIMIT_S
        while True:
            answer = self.read(end, method)
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.note(answer)

    def read(self, end, method):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_browser], [], [], max(0, end - time.monotonic()))
            chunk = os.read(self.from_browser, 1 << 20) if ready else b""
            if not chunk:
                raise PageError(f"the browser did not answer {method} within {ANSWER_LIMIT_S} s")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def note(self, event):
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def open(self, url):
        """Goes to `url`, or only to another hash of the same page."""
        self.call("Page.navigate", url=url)

    def reload(self):
        self.call("Page.reload")

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme):
        """What the system prefers: `light` or `dark`."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression):
        """The JSON value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise PageError(f"{expression}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def text(self):
        return self.value("document.body?.innerText") or ""

    def wait(self, expression, limit_s=WAIT_LIMIT_S):
        """Returns the first true value of an expression; raises with the page's text where there is none in time."""
        end = time.monotonic() + limit_s
        while True:
            try:
                found = self.value(expression)
                if found:
                    return found
            except PageError:
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise PageError(f"{expression} was not true within {limit_s} s; the page says: {self.text()[:600]!r}")
            time.sleep(0.1)

    def screenshot(self, path):
        with open(path, "wb") as picture:
            picture.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
