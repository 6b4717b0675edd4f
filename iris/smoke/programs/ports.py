"""Listens on each of its named ports, says which they are, and holds them until it is ended."""

import json
import os
import socket
import time

PREFIX = "IRIS_PORT_"
ports = {name: int(value) for name, value in os.environ.items() if name.startswith(PREFIX)}
servers = [socket.create_server(("", port)) for port in ports.values()]
print("ready " + json.dumps({"task": os.environ["IRIS_TASK_ID"], "ports": ports}), flush=True)
while True:
    time.sleep(3600)
