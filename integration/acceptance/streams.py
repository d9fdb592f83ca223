"""Clients of the agent's streaming calls: sessions and attached terminals, over plain sockets. Standard library only.

    with Output(port, "ATTACH_CONTAINER_OUTPUT", container_id=…) as output:
        output.read_until(b"ready")
    with Input(port, container_id) as stdin:
        stdin.send(b"text"); status, text = stdin.end()
"""
import base64
import hashlib
import http.client
import json
import socket

LIMIT_S = 60
STREAM = "application/recordio"


class Output:
    """A call whose answer is a stream of ProcessIO. Says which status it got and, where it is refused, why."""

    def __init__(self, port, kind, accept=STREAM, **body):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        headers = {"Content-Type": "application/json", "Accept": accept}
        if accept == STREAM:
            headers["Message-Accept"] = "application/json"
        self.connection.request("POST", "/api/v1", json.dumps({"type": kind, kind.lower(): body}), headers)
        # The answer takes the connection's socket over: whoever wants to cut it needs it.
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.status, self.headers = self.answer.status, self.answer.headers
        self.text = self.answer.read().decode() if self.status != 200 else ""
        self.said = {"STDOUT": bytearray(), "STDERR": bytearray()}
        self.heartbeats = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def record(self):
        """The next message, None at the end."""
        head = self.answer.readline()
        if not head:
            return None
        message = json.loads(self.answer.read(int(head)))
        if message["type"] == "DATA":
            self.said[message["data"]["type"]] += base64.b64decode(message["data"]["data"])
        elif message["control"]["type"] == "HEARTBEAT":
            self.heartbeats += 1
        return message

    def read_until(self, text, stream="STDOUT"):
        """Whether the stream has said `text`; reads on until it has, or ends."""
        while text not in self.said[stream]:
            if self.record() is None:
                return False
        return True

    def read_all(self):
        """(stdout, stderr) up to the end."""
        while self.record() is not None:
            pass
        return bytes(self.said["STDOUT"]), bytes(self.said["STDERR"])

    def digest(self):
        """(length, sha256) of all that comes on stdout, without keeping it."""
        sha, length = hashlib.sha256(), 0
        while (message := self.record()) is not None:
            if message["type"] == "DATA" and message["data"]["type"] == "STDOUT":
                data = bytes(self.said["STDOUT"])
                self.said["STDOUT"].clear()
                sha.update(data)
                length += len(data)
        return length, sha.hexdigest()

    def close(self):
        """Cuts the connection, whoever else holds the socket."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.answer.close()
        self.connection.close()


class Input:
    """ATTACH_CONTAINER_INPUT: a request that goes on until `end`."""

    def __init__(self, port, container_id, first=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        head = ["POST /api/v1 HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Type: {STREAM}", "Message-Content-Type: application/json",
                "Accept: application/json", "Transfer-Encoding: chunked"]
        self.socket.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        self.record(first or {"type": "CONTAINER_ID", "container_id": container_id})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def record(self, attached):
        message = json.dumps({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": attached}).encode()
        framed = str(len(message)).encode() + b"\n" + message
        self.socket.sendall(f"{len(framed):x}\r\n".encode() + framed + b"\r\n")

    def send(self, data):
        self.record({"type": "PROCESS_IO", "process_io": {"type": "DATA", "data": {"type": "STDIN", "data": base64.b64encode(data).decode()}}})

    def control(self, **control):
        self.record({"type": "PROCESS_IO", "process_io": {"type": "CONTROL", "control": control}})

    def resize(self, rows, columns):
        self.control(type="TTY_INFO", tty_info={"window_size": {"rows": rows, "columns": columns}})

    def heartbeat(self):
        self.control(type="HEARTBEAT", heartbeat={"interval": {"nanoseconds": 30000000000}})

    def end(self):
        """Ends the request; (status, text) of its answer."""
        self.socket.sendall(b"0\r\n\r\n")
        return self.answer()

    def answer(self):
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        return answer.status, answer.read().decode()
