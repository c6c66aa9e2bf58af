"""A small MCP server for tests, over stdio and without a library, so that it starts at once and misbehaves on demand.

Its arguments: `stubborn` (ignores SIGTERM and the end of its stdin, and so does a child of it), `child` (leaves a child
behind when it leaves), `mute` (never answers), `many=N` (has N tools), `pages` (lists its tools one at a time),
`die` (ends at once, with a word on stderr), `loud` (writes a lot to stderr).
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

WORDS = sys.argv[1:]
SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}
TOOLS = ["look", "big", "picture", "fail", "refuse", "die", "slow", "environment", "count"]
calls = itertools.count(1)
"""A state: how often `count` was called."""


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def call(name: str, args: dict[str, Any]) -> dict[str, Any]:
    match name:
        case "look":
            return text(f"a {args.get('word', 'cat')}")
        case "big":
            return text("x" * 1_000_000)
        case "picture":
            return {"content": [{"type": "image", "data": "iVBORw0KGgouLi4uSUVORA==", "mimeType": "image/png"}]}
        case "fail":
            return text("it did not work") | {"isError": True}
        case "die":
            sys.exit(3)
        case "slow":
            time.sleep(60)
        case "count":
            return text(str(next(calls)))
        case "environment":
            # The descriptor of the folder that is listed is among them, and gone when it is looked at.
            links = {fd: os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
            found = {"names": sorted(os.environ), "sockets": [fd for fd, to in links.items() if "socket:" in to]}
            return text(json.dumps(found | {"session": os.getsid(0) == os.getpid(), "folder": os.getcwd()}))
    raise ValueError(name)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params", {})
    match request["method"]:
        case "initialize":
            info = {"name": "box", "version": "1"}
            version = params["protocolVersion"]
            return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
        case "tools/list":
            count = next((int(word[5:]) for word in WORDS if word.startswith("many=")), 0)
            names = [f"t{number}" for number in range(count)] or TOOLS
            at = int(params.get("cursor", 0)) if "pages" in WORDS else 0
            shown = names[at : at + 1] if "pages" in WORDS else names
            tools = [{"name": name, "description": f"To {name}.", "inputSchema": SCHEMA} for name in shown]
            more = {"nextCursor": str(at + 1)} if "pages" in WORDS and at + 1 < len(names) else {}
            return {"result": {"tools": tools, **more}}
        case "tools/call" if params["name"] != "refuse":
            return {"result": call(params["name"], params.get("arguments", {}))}
    return {"error": {"code": -32601, "message": f"there is no {request['method']}"}}


def main() -> None:
    if "die" in WORDS:
        sys.exit("no key in the environment")
    if "loud" in WORDS:
        sys.stderr.write("noise\n" * 10_000)
        sys.stderr.flush()
    if "child" in WORDS or "stubborn" in WORDS:
        if "stubborn" in WORDS:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "1000"])  # ignores what we ignore, and holds our pipes
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request and "mute" not in WORDS:
            print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer(request)}), flush=True)
    while "stubborn" in WORDS:
        time.sleep(1000)


if __name__ == "__main__":
    main()
