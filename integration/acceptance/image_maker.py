"""Makes images of containers out of Debian's static busybox, as archives of `docker save` and as OCI layouts. Standard library only.

    image = Image(env=["COLOUR=blue"], cmd=["sh", "-c", "echo hello"])
    image.layer(busybox(), text("etc/motd", "hello"))
    image.save("/images/box:1.tar", "box:1")
    image.layout("/images/other", "1")
"""
import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import subprocess
import tarfile
import threading
import urllib.parse
import urllib.request

BUSYBOX = "/bin/busybox"
PROGRAMS = ("sh", "cat", "ls", "echo", "sleep", "id", "touch", "mount", "grep", "pwd", "env", "test", "rm", "mkdir", "stat", "head", "tr", "readlink", "true", "false")


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def entry(path, kind=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, gid=0, link="", device=(0, 0)):
    """One member of a layer, with whatever name, as strangers make them."""
    info = tarfile.TarInfo(path)
    info.type, info.size, info.mode, info.uid, info.gid, info.linkname = kind, len(data), mode, uid, gid, link
    info.devmajor, info.devminor = device
    return info, data


def text(path, words, **more):
    return entry(path, data=words.encode(), **more)


def folder(path, mode=0o755, **more):
    return entry(path, tarfile.DIRTYPE, mode=mode, **more)


def symlink(path, to):
    return entry(path, tarfile.SYMTYPE, link=to, mode=0o777)


def busybox():
    """The members that make a layer with a shell and a few programs."""
    with open(os.path.realpath(BUSYBOX), "rb") as file:
        program = file.read()
    links = [symlink(f"bin/{name}", "busybox") for name in PROGRAMS]
    users = "root:x:0:0:root:/root:/bin/sh\nbox:x:4321:4322:box:/:/bin/sh\n"
    groups = "root:x:0:\nbox:x:4322:\nmore:x:4323:box\n"
    return [folder("bin"), entry("bin/busybox", data=program, mode=0o755), *links, folder("etc"), folder("tmp", 0o1777),
            text("etc/passwd", users), text("etc/group", groups)]


def archive(members):
    """The bytes of a layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Image:
    def __init__(self, **config):
        names = {"env": "Env", "cmd": "Cmd", "entrypoint": "Entrypoint", "workdir": "WorkingDir", "user": "User"}
        self.config = {names[key]: value for key, value in config.items()}
        self.layers = []

    def layer(self, *members):
        """Adds a layer on top; a list among the members is more of them."""
        flat = [one for member in members for one in (member if isinstance(member, list) else [member])]
        self.layers.append(archive(flat))
        return self

    def description(self):
        found = {"architecture": "amd64", "os": "linux", "config": self.config, "rootfs": {"type": "layers", "diff_ids": [digest(it) for it in self.layers]}}
        return json.dumps(found).encode()

    def save(self, path, name):
        """As `docker save -o path name`."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        config = self.description()
        members = {f"{digest(config)[7:]}.json": config}
        layers = []
        for number, layer in enumerate(self.layers):
            layers.append(f"{number}/layer.tar")
            members[layers[-1]] = layer
        members["manifest.json"] = json.dumps([{"Config": f"{digest(config)[7:]}.json", "RepoTags": [name], "Layers": layers}]).encode()
        with open(path, "wb") as file:
            file.write(archive([entry(member, data=data) for member, data in members.items()]))

    def blobs(self):
        """(manifest, {digest: bytes}) in the form of OCI, layers packed with gzip."""
        config = self.description()
        packed = [gzip.compress(layer, 1, mtime=0) for layer in self.layers]
        described = [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(it), "size": len(it)} for it in packed]
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": described}).encode()
        return manifest, {digest(data): data for data in (config, manifest, *packed)}

    def layout(self, path, tag):
        """An OCI image layout with this one image in it."""
        os.makedirs(os.path.join(path, "blobs", "sha256"))
        manifest, blobs = self.blobs()
        for name, data in blobs.items():
            with open(os.path.join(path, "blobs", "sha256", name[7:]), "wb") as file:
                file.write(data)
        named = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
                 "annotations": {"org.opencontainers.image.ref.name": tag}}
        for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": [named]})):
            with open(os.path.join(path, name), "w", encoding="utf-8") as file:
                json.dump(content, file)

    def push(self, port, repository, tag):
        """Into a registry on this machine, by its HTTP API."""
        def send(method, url, data=b"", kind="application/octet-stream"):
            request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.headers
        base = f"http://127.0.0.1:{port}/v2/{repository}"
        manifest, blobs = self.blobs()
        for name, data in blobs.items():
            place = urllib.parse.urljoin(base, send("POST", f"{base}/blobs/uploads/")["Location"])
            send("PUT", f"{place}{'&' if '?' in place else '?'}digest={urllib.parse.quote(name)}", data)
        send("PUT", f"{base}/manifests/{tag}", manifest, "application/vnd.oci.image.manifest.v1+json")
        return digest(manifest)


class Registry:
    """Debian's docker-registry on loopback."""

    def __init__(self, folder, port):
        self.port = port
        config = os.path.join(folder, "registry.yml")
        with open(config, "w", encoding="utf-8") as file:
            # JSON is YAML.
            json.dump({"version": "0.1", "storage": {"filesystem": {"rootdirectory": os.path.join(folder, "registry")}}, "http": {"addr": f"127.0.0.1:{port}"}}, file)
        with open(os.path.join(folder, "registry.log"), "wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/", timeout=5) as answer:
            return answer.status == 200

    def stop(self):
        self.process.kill()
        self.process.wait()


class TokenRegistry:
    """A registry that gives nothing without a token, and tokens only for a login. Blobs are redirected to. `requests` are the paths asked for."""

    def __init__(self, login, images):
        basic = "Basic " + base64.b64encode(login.encode()).decode()
        manifests, blobs = {}, {}
        for name, image in images.items():
            repository, _, tag = name.partition(":")
            manifest, parts = image.blobs()
            manifests[f"/v2/{repository}/manifests/{tag}"] = manifest
            blobs.update(parts)
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                registry.requests.append(path)
                given = self.headers.get("Authorization")
                here = f"http://127.0.0.1:{registry.port}"
                if path == "/token":
                    asked = urllib.parse.parse_qs(query)
                    right = given == basic and asked.get("service") == ["here"] and asked.get("scope", [""])[0].startswith("repository:")
                    return self.answer(200 if right else 401, json.dumps({"token": "opens"}).encode() if right else b"")
                if path.startswith("/data/"):
                    return self.answer(200, blobs[path[len("/data/"):]])
                if given != "Bearer opens":
                    scope = "/".join(path.split("/")[2:-2])
                    return self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{here}/token",service="here",scope="repository:{scope}:pull"'})
                if path in manifests:
                    return self.answer(200, manifests[path])
                name = path.rpartition("/")[2]
                if name in blobs:
                    return self.answer(307, b"", {"Location": f"{here}/data/{name}"})
                return self.answer(404, b"")

            def answer(self, status, body, headers=None):
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **(headers or {})}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.requests = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
