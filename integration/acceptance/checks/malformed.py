#!/usr/bin/env python3
"""malformed.py: what the scheduler API says to malformed calls, one check or more for each step in which the handler decides
(method, headers, body, validation, Accept, stream id, framework, UNKNOWN type), and to odd URLs and connections; the master lives on.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import base64
import gzip
import json
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, request  # noqa: E402
from report import Report  # noqa: E402
from scheduler import PATH, Scheduler, task  # noqa: E402

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
ZEROS = base64.b64encode(bytes(16)).decode()
INFO = {"user": "root", "name": "malformed"}
report = Report()


class Checks:
    def __init__(self, house):
        self.house = house
        self.framework = Scheduler(house.address, "well-formed", failover_timeout=60).subscribe()
        self.me = {"framework_id": {"value": self.framework.id}}

    def raw(self, data, answers=1, limit_s=5, port=None):
        """What comes back for these bytes until the peer closes, or `answers` heads are there and it is silent for a moment."""
        received = b""
        with socket.create_connection(("127.0.0.1", port or self.house.port), timeout=limit_s) as stream:
            try:
                stream.sendall(data)
                while received.count(b"HTTP/1.") < answers or b"\r\n\r\n" not in received:
                    chunk = stream.recv(65536)
                    if not chunk:
                        break
                    received += chunk
                    if received.count(b"HTTP/1.") >= answers:
                        stream.settimeout(0.3)
            except (ConnectionError, TimeoutError):
                pass
        return received

    def says(self, name, status, text, body=b"", headers=None, method="POST", starts=False):
        """The answer to one call has this status and text."""
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        found_status, _, found = request(self.house.port, method, PATH, body, JSON if headers is None else headers)
        found = found.decode(errors="replace")
        fits = found_status == status and (found.startswith(text) if starts else found == text)
        return report.check(name, fits, f"found {found_status} {found!r}, expected {status} {text!r}")

    def with_stream(self, **headers):
        return {**JSON, "Mesos-Stream-Id": self.framework.stream_id, **headers}

    def step_4_method(self):
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "TRACE"):
            self.says(f"4 {method} is 405", 405, f"405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{method}'.", method=method)
        status, headers, _ = request(self.house.port, "GET", PATH)
        report.equal("4 with Allow", (status, headers["Allow"]), (405, "POST"))
        report.equal("4 HEAD is 405", request(self.house.port, "HEAD", PATH)[0], 405)

    def steps_5_and_6_content_type(self):
        self.says("5 no Content-Type", 400, "Expecting 'Content-Type' to be present", b"{}", headers={})
        expected = "Expecting 'Content-Type' of application/json or application/x-protobuf"
        for media in ("text/plain", "Application/JSON", "application/json;charset=utf-8", "application/protobuf"):
            self.says(f"6 Content-Type {media}", 415, expected, b"{}", headers={"Content-Type": media})

    def step_7_body(self):
        self.says("7 not JSON", 400, "Failed to parse body into JSON: syntax error at line 1 near: not json", b"{not json")
        self.says("7 empty body", 400, "Failed to parse body into JSON: syntax error at line 1 near: ", b"")
        self.says("7 not protobuf", 400, "Failed to parse body into Call protobuf", b"\xff\xff\xff", headers=PROTOBUF)
        convert = "Failed to convert JSON into Call protobuf: "
        self.says("7 no object", 400, convert + "Expecting a JSON object", b"[]")
        missing = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"name": "no user"}}}
        self.says("7 missing field", 400, convert + "Missing required fields: subscribe.framework_info.user", missing)
        self.says("7 number for an enum", 400, convert + "Not expecting a JSON number for field 'type'", {"type": 1})
        acknowledge = {"type": "ACKNOWLEDGE", **self.me, "acknowledge": {"agent_id": {"value": "a"}, "task_id": {"value": "t"}}}
        acknowledge["acknowledge"]["uuid"] = {}
        self.says("7 object for bytes", 400, convert + "Not expecting a JSON object for field 'uuid'", acknowledge)
        acknowledge["acknowledge"]["uuid"] = "!"
        self.says("7 not base64", 400, convert + "Failed to base64 decode bytes field 'uuid': Invalid character '!'", acknowledge)
        deep = b'{"a":' * 100_000
        status, _, _ = request(self.house.port, "POST", PATH, deep, JSON)
        report.equal("7 nested 100,000 deep", status, 400)
        framework = {"type": "SUPPRESS", **self.me}
        status, _, body = request(self.house.port, "POST", PATH, gzip.compress(json.dumps(framework).encode()), self.with_stream(**{"Content-Encoding": "gzip"}))
        report.equal("7 gzip is understood", (status, body), (202, b""))
        self.framework.call("REVIVE")

    def step_8_validation(self):
        prefix = "Failed to validate scheduler::Call: "
        self.says("8 no type", 400, prefix + "Expecting 'type' to be present", {})
        self.says("8 unrecognised type", 400, prefix + "Expecting 'type' to be present", {"type": "MAKE_COFFEE"})
        self.says("8 no framework id", 400, prefix + "Expecting 'framework_id' to be present", {"type": "REVIVE"})
        bodies = ("subscribe", "accept", "decline", "accept_inverse_offers", "decline_inverse_offers", "kill", "shutdown", "acknowledge",
                  "acknowledge_operation_status", "reconcile", "reconcile_operations", "message", "request", "update_framework")
        for field in bodies:
            self.says(f"8 no {field}", 400, f"{prefix}Expecting '{field}' to be present", {"type": field.upper(), **self.me})
        differs = {"type": "SUBSCRIBE", **self.me, "subscribe": {"framework_info": {**INFO, "id": {"value": "another"}}}}
        self.says("8 ids differ", 400, prefix + "'framework_id' differs from 'subscribe.framework_info.id'", differs)
        acknowledge = {"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": ZEROS}
        self.says("8 a uuid of zeros", 400, prefix + "Not a valid UUID", {"type": "ACKNOWLEDGE", **self.me, "acknowledge": acknowledge})

    def steps_9_to_11_subscribe(self):
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}}
        refused = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"
        self.says("9 Accept admits neither", 406, refused, call, {**JSON, "Accept": "text/html"})
        self.says("9 also for RECONCILE_OPERATIONS", 406, refused, {"type": "RECONCILE_OPERATIONS", **self.me, "reconcile_operations": {}}, self.with_stream(Accept="text/html"))
        self.says("9 any Accept passes on other calls", 202, "", {"type": "REVIVE", **self.me}, self.with_stream(Accept="text/html"))
        self.says("10 SUBSCRIBE with a stream id", 400, "Subscribe calls should not include the 'Mesos-Stream-Id' header", call, self.with_stream())
        invalid = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {**INFO, "role": "/bad"}}}
        status, headers, body = request(self.house.port, "POST", PATH, json.dumps(invalid), {**JSON, "Accept": "application/json"})
        length, _, record = body.partition(b"\n")
        event = json.loads(record)
        report.equal("11 a refused SUBSCRIBE is 200 with one record that ends", (status, int(length), event["type"]), (200, len(record), "ERROR"))
        report.check("11 and has a stream id and the type of its records", headers["Mesos-Stream-Id"] and headers["Content-Type"] == "application/json", dict(headers))
        report.check("11 and says why", "Role '/bad' cannot start with a slash" in event["error"]["message"], event)

    def steps_12_to_19_calls(self):
        revive = {"type": "REVIVE", **self.me}
        stranger = {"type": "REVIVE", "framework_id": {"value": "stranger"}}
        self.says("12 unknown framework", 400, "Framework cannot be found", stranger, self.with_stream())
        gone = Scheduler(self.house.address, "gone", failover_timeout=60).subscribe()
        gone.close()
        call = {"type": "REVIVE", "framework_id": {"value": gone.id}}

        def refused():
            return request(self.house.port, "POST", PATH, json.dumps(call), JSON)[::2] == (403, b"Framework is not subscribed")
        for _ in range(100):  # the master learns of the closed stream a little later
            if refused():
                break
        self.says("14 not subscribed", 403, "Framework is not subscribed", call)
        self.says("16 no stream id", 400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header", revive)
        other = f"The stream ID 'other' included in this request didn't match the stream ID currently associated with framework ID {self.framework.id}"
        self.says("17 another stream id", 400, other, revive, {**JSON, "Mesos-Stream-Id": "other"})
        unknown = {"type": "UNKNOWN", **self.me}
        self.says("18 UNKNOWN from a stranger", 400, "Framework cannot be found", {**unknown, "framework_id": {"value": "stranger"}}, self.with_stream())
        self.says("18 UNKNOWN is 501", 501, "501 Not Implemented.", unknown, self.with_stream())
        binary = b"\x0a" + bytes([len(self.framework.id) + 2]) + b"\x0a" + bytes([len(self.framework.id)]) + self.framework.id.encode() + b"\x10\x00"
        self.says("18 UNKNOWN is 501 as protobuf too", 501, "501 Not Implemented.", binary, {**PROTOBUF, "Mesos-Stream-Id": self.framework.stream_id})
        status, headers, body = request(self.house.port, "POST", PATH, json.dumps(revive), self.with_stream())
        report.equal("19 accepted: 202, empty, no Content-Type", (status, body, headers["Content-Type"], headers["Content-Length"]), (202, b"", None, "0"))
        extra = {**revive, "unheard_of": {"a": [1]}}
        self.says("19 unknown fields are ignored", 202, "", extra, self.with_stream())
        update = {"type": "UPDATE_FRAMEWORK", **self.me, "update_framework": {"framework_info": {**self.framework.info, "id": self.me["framework_id"]}}}
        self.says("19 UPDATE_FRAMEWORK is 200", 200, "", update, self.with_stream())

    def odd_urls(self):
        for path in ("/state/", "/state/foo", "/version//", "/health/x", "/%76ersion", "/version?", "/master/state", "/master/health", "/master//state",
                     "//state", "///state", "/metrics//snapshot"):
            report.equal(f"GET {path} is 200", request(self.house.port, "GET", path)[0], 200)
        for path in ("//version", "/master//version", "/api//v1", "/./version", "/VERSION", "/api", "/metrics/x", "/master/version"):
            status, _, body = request(self.house.port, "GET", path)
            report.equal(f"GET {path} is 404", (status, body), (404, b"404 Not Found."))
        call = json.dumps({"type": "REVIVE", **self.me})
        for path in (PATH + "/x", "/master" + PATH, "/" + PATH):
            report.equal(f"POST {path} is the scheduler API", request(self.house.port, "POST", path, call, self.with_stream())[0], 202)
        for path in ("/", "/master", "/master/"):
            status, headers, _ = request(self.house.port, "GET", path)
            report.check(f"GET {path} is the web admin", status == 200 and headers["Content-Type"].startswith("text/html"), f"{status} {headers['Content-Type']}")
        for method in ("OPTIONS", "PUT", "DELETE"):
            status, _, body = request(self.house.port, method, "/version")
            report.check(f"{method} /version has the normal body", status == 200 and b'"version"' in body, f"{status} {body[:100]!r}")

    def odd_connections(self):
        line, host = b"GET /version HTTP/1.1\r\n", b"Host: x\r\n"
        first = b"HTTP/1.1 200 OK\r\n"
        report.check("no Host header is answered", self.raw(line + b"\r\n").startswith(b"HTTP/1.1 "))
        report.check("an absolute target works", self.raw(b"GET http://127.0.0.1/version HTTP/1.1\r\n" + host + b"\r\n").startswith(first))
        old = self.raw(b"GET /version HTTP/1.0\r\n\r\n")
        report.check("HTTP/1.0 works", old.startswith(b"HTTP/1.") and b" 200 OK\r\n" in old, old[:100])
        report.check("a header of 70,000 bytes works", self.raw(line + host + b"X-Long: " + b"a" * 70_000 + b"\r\n\r\n").startswith(first))
        report.check("a header of 1,000,000 bytes does not", not self.raw(line + host + b"X-Long: " + b"a" * 1_000_000 + b"\r\n\r\n").startswith(first))
        report.equal("no HTTP at all is refused or closed", self.raw(b"\x00\x01\x02\r\n\r\n")[:12] in (b"", b"HTTP/1.1 400"), True)
        both = self.raw((line + host + b"\r\n") + b"GET /health HTTP/1.1\r\n" + host + b"\r\n", answers=2)
        report.check("pipelined requests are answered in order", both.count(first) == 2 and both.startswith(first) and b'"version"' in both.partition(b"\r\n\r\n")[2], both[:300])
        call = json.dumps({"type": "REVIVE", **self.me}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nMesos-Stream-Id: {self.framework.stream_id}\r\n".encode()
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(call), call)
        report.check("a chunked body is accepted", self.raw(chunked).startswith(b"HTTP/1.1 202 "))
        report.check("a body that never comes holds nobody up", self.raw(head + b"Content-Length: 100\r\n\r\n", limit_s=0.3) == b"" and request(self.house.port, "GET", "/health")[0] == 200)

    def other_protocols(self):
        """Whoever offers another protocol, as Java's client does each time, is told that the connection ends."""
        call = b'{"type":"GET_HEALTH"}'
        head = b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(call)
        for name, daemon in (("master", self.house.master), ("agent", self.house.agents[0])):
            for protocol in (b"h2c", b"websocket"):
                for kind, text in (("GET", b"GET /version HTTP/1.1\r\nHost: x\r\n%s\r\n"), ("POST", head + b"%s\r\n" + call)):
                    found = self.raw(text % (b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"), port=daemon.port)
                    report.check(f"{name}: a {kind} that offers {protocol.decode()} is answered, and the connection ends",
                                 found.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nConnection: close\r\n" in found, found)
            found = self.raw(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", port=daemon.port)
            report.check(f"{name}: headers are spelled as Mesos spells them", b"\r\nContent-Type: application/json\r\n" in found, found)

    def bodies_nobody_reads(self):
        """A body where none is expected does not end the connection."""
        body = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
        for name, daemon in (("master", self.house.master), ("agent", self.house.agents[0])):
            for path in (b"/state", b"/health"):
                found = self.raw(body % path + b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", answers=2, port=daemon.port)
                report.equal(f"{name}: the request behind a POST {path.decode()} is answered", found.count(b"HTTP/1.1 200 OK"), 2)

    def disabled(self):
        """A rule for one of an endpoint's paths holds for all of them."""
        agent = self.house.agents[0]
        for path in ("/containers", "/slave(1)/containers", "/slave(1)//containers", "/monitor/statistics", "/slave(1)/monitor/statistics/"):
            report.equal(f"{path} is disabled", request(agent.port, "GET", path)[0], 403)
        report.equal("/state is not", request(agent.port, "GET", "/state")[0], 200)

    def silent_connections(self):
        """A client may be silent for as long as it likes, as those of Mesos' libraries are, but not within a request."""
        line, rest = b"GET /version HTTP/1.1\r\n", b"Host: x\r\n\r\n"
        silent, asked, begun, begun_later = (socket.create_connection(("127.0.0.1", self.house.port), timeout=30) for _ in range(4))
        with silent, asked, begun, begun_later:
            for stream in (asked, begun_later):
                stream.sendall(line + rest)
                report.check("a request is answered", stream.recv(65536).startswith(b"HTTP/1.1 200 "))
            for stream in (begun, begun_later):
                stream.sendall(line)
            for name, stream in (("the first", begun), ("a later", begun_later)):
                report.equal(f"{name} request whose head does not end is given up", stream.recv(65536), b"")
            for name, stream in (("never", silent), ("before", asked)):
                stream.sendall(line + rest)
                report.check(f"who asked {name} and was silent is answered", stream.recv(65536).startswith(b"HTTP/1.1 200 "))

    def lives_on(self):
        report.check("the master is still the same process", self.house.master.running(), self.house.master.log_tail())
        offer = self.framework.wait_offer(cpus=1)
        self.framework.launch(offer, [task("after-all-that", offer, "exit 0")])
        self.framework.wait_state("after-all-that", "TASK_FINISHED")
        report.check("and runs tasks", True)
        self.framework.close()


def main():
    house = House()
    house.agents[0].command += ["--firewall-rules", '{"disabled_endpoints": {"paths": ["/slave(1)/containers", "/monitor/statistics"]}}']
    with house:
        checks = Checks(house)
        report.run(checks.step_4_method, checks.steps_5_and_6_content_type, checks.step_7_body, checks.step_8_validation, checks.steps_9_to_11_subscribe,
                   checks.steps_12_to_19_calls, checks.odd_urls, checks.odd_connections, checks.other_protocols, checks.bodies_nobody_reads, checks.disabled,
                   checks.silent_connections, checks.lives_on)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
