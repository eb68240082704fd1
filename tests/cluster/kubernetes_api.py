"""The part of a Kubernetes API that Snakemake talks to, over HTTP on loopback. A job's pod is a process of its command on this machine."""

import json
import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

OURS = "PENUMBRA_"  # variables that a node does not have by itself
JOB = re.compile(r"/apis/batch/v1/namespaces/(?P<namespace>[^/]+)/jobs(/(?P<name>[^/]+))?(?P<status>/status)?$")
POD = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods(/(?P<name>[^/]+))?(?P<log>/log)?$")


class Cluster:
    """A running API; `submitted` has every job as it came, `end` stops all of it."""

    def __init__(self, folder: Path, env: dict[str, str]):
        self.folder = folder
        self.env = {name: value for name, value in env.items() if not name.startswith(OURS)}
        self.submitted: list[dict[str, Any]] = []
        self.kill_next = ""  # part of the command of a job that is to be killed at once, as one is that needs too much memory
        self.deaf = 0  # questions about jobs that get no answer
        self._pods: dict[str, subprocess.Popen] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": self}))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def kubeconfig(self) -> Path:
        """What KUBECONFIG must name."""
        named = {"name": "here", "context": {"cluster": "here", "user": "me"}}
        server = {"server": f"http://127.0.0.1:{self._server.server_port}"}
        content = {"apiVersion": "v1", "kind": "Config", "current-context": "here", "contexts": [named]}
        content |= {"clusters": [{"name": "here", "cluster": server}], "users": [{"name": "me", "user": {"token": "none"}}]}
        (self.folder / "kubeconfig").write_text(json.dumps(content))
        return self.folder / "kubeconfig"

    def end(self) -> None:
        """Stop the API and all pods."""
        self._server.shutdown()
        self._server.server_close()
        for name in self._pods:
            self.delete(name)

    def create(self, job: dict[str, Any]) -> None:
        """Start the pod of a job."""
        self.submitted.append(job)
        name, container = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"][0]
        given = {each["name"]: each["value"] for each in container["env"]}
        command = [*container["command"], *container["args"]]
        if self.kill_next and self.kill_next in command[-1]:
            command, self.kill_next = ["sh", "-c", "kill -KILL $$"], ""
        with open(self.folder / f"{name}.log", "w") as log:
            options = {"cwd": container["workingDir"], "env": self.env | given, "stdout": log, "stderr": log}
            self._pods[name] = subprocess.Popen(command, start_new_session=True, **options)

    def delete(self, name: str) -> None:
        """End the pod of a job."""
        pod = self._pods[name]
        if pod.poll() is None:
            os.killpg(pod.pid, signal.SIGKILL)
        pod.wait()

    def exit_code(self, name: str) -> int | None:
        """How the pod of a job ended; None while it runs."""
        code = self._pods[name].poll()
        return code if code is None or code >= 0 else 128 - code

    def status(self, name: str) -> dict[str, Any]:
        """A job, as far as it has come."""
        code = self.exit_code(name)
        status = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "status": status}

    def pods(self, name: str) -> dict[str, Any]:
        """The pods of a job."""
        code = self.exit_code(name)
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "snakemake", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        pod = {"metadata": {"name": f"{name}-pod"}, "status": {"containerStatuses": [container]}}
        return {"apiVersion": "v1", "kind": "PodList", "items": [pod]}

    def log(self, pod: str) -> str:
        """What a pod has written."""
        return (self.folder / f"{pod.removesuffix('-pod')}.log").read_text()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if JOB.match(self.path):
            self.cluster.create(content)
        self._answer(content, 201)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if job := JOB.match(url.path):
            if self.cluster.deaf:
                self.cluster.deaf -= 1
                return self._answer({"kind": "Status", "reason": "the cluster is busy"}, 503)
            return self._answer(self.cluster.status(job["name"]))
        pod = POD.match(url.path)
        if not pod["log"]:
            return self._answer(self.cluster.pods(query["labelSelector"].removeprefix("job-name=")))
        if query.get("previous", "").lower() == "true":  # of a container that was started again, and none is
            return self._answer({"kind": "Status", "message": "previous terminated container not found"}, 400)
        self._answer(self.cluster.log(pod["name"]))

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if job := JOB.match(urlsplit(self.path).path):
            self.cluster.delete(job["name"])
        self._answer({"apiVersion": "v1", "kind": "Status", "status": "Success"})

    def _answer(self, content: Any, code: int = 200) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        with suppress(BrokenPipeError):
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""
