"""Warm-up: requests that a pod sends to its own server before anybody else may.

TF Serving replays the requests that a SavedModel brings along (assets.extra/tf_serving_warmup_requests), and needs
nothing of this. For a model without them the startup probe sends some: the pod is ready when they are answered. The
server's image has no HTTP client, but it is an Ubuntu, whose bash opens connections itself.
"""

import json
import shlex
from typing import Any

from infra import naming
from infra.config_models import Warmup

SCRIPT_FILE = "warmup.sh"
REQUEST_FILE = "warmup.json"
# What kubelet shows of a container that ended, and `pulumi up` after it; the log's last lines when it is empty.
NOTICE = "/dev/termination-log"


def warmup_files(
    model: str, version: int, wanted: Warmup, folder: str, port: int = naming.HTTP_PORT, notice: str = NOTICE
) -> dict[str, str]:
    """Return the request's body and the script that sends it, by file name.

    Args:
        model: TF Serving's name of the model.
        version: its number there.
        wanted: which request, and how often.
        folder: where the files lie in the container.
        port: of the REST API.
        notice: the file for the reason of a failure.
    """
    body = json.dumps(wanted.request)
    path = f"/v1/models/{model}/versions/{version}"
    script = f"""\
# Succeeds when the model is AVAILABLE and has answered {wanted.count} warm-up requests. Run by the startup probe.
ask() {{ # METHOD PATH FILE LENGTH
  exec 3<>/dev/tcp/127.0.0.1/{port} || return
  printf '%s %s HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n' "$1" "$2" >&3
  printf 'Connection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' "$4" >&3
  cat "$3" >&3
  read -r -u 3 _ status _
  answer=$(cat <&3)
  exec 3>&-
  [ "$status" = 200 ]
}}
ask GET {path}/metadata /dev/null 0 || exit 1 # it loads, or its log says why it does not
for number in {{1..{wanted.count}}}; do
  if ! ask POST {path}:predict {shlex.quote(f"{folder}/{REQUEST_FILE}")} {len(body)}; then
    said=${{answer##*$'\\r\\n\\r\\n'}}
    echo "Warm-up request $number of {wanted.count} was answered $status: $said" | tee {notice} >&2
    exit 1
  fi
done
: >{notice}
"""
    return {REQUEST_FILE: body, SCRIPT_FILE: script}


def startup_command(folder: str) -> dict[str, Any]:
    """Return the exec action that runs the script."""
    return {"command": ["/bin/bash", f"{folder}/{SCRIPT_FILE}"]}
