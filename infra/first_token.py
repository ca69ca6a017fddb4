"""The first token: a server that reads as an identity at Google begins when there is a token for it.

TensorFlow asks for a token once. Refused, it reads as nobody for the life of its process; and IAM takes minutes until
it knows a new grant. So the server's own container asks until it is given one, and becomes the server then. The startup
probe ends a wait that takes too long, and the log's last line, the reason, is what `pulumi up` shows. An init container
would do the same, but of its last words `pulumi up` shows nothing, and it does not run again when the server restarts.
"""

from infra.isolation import METADATA_ADDRESS, METADATA_PORTS

SCRIPT_FILE = "first-token.sh"
TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - where it is, not what it is
# By address: a name that could not be resolved would be "no token" for good as well.
METADATA_HOST = {"name": "GCE_METADATA_HOST", "value": METADATA_ADDRESS}
ANSWER_SECONDS = 5
PAUSE_SECONDS = 1


def first_token_script(
    program: str, host: str = METADATA_ADDRESS, port: int = METADATA_PORTS[METADATA_ADDRESS][0]
) -> str:
    """Return the script that waits for a token and then is `program`, run with the script's own arguments.

    It takes bash. Of an answer that holds a token it reads the first line alone, and hands on nothing.

    Args:
        program: path of the executable.
        host: address of the metadata server.
        port: of the metadata server.
    """
    return f"""\
# Becomes the server when Google gives out a token for who this pod is; asks until then.
ask() {{
  exec 3<>/dev/tcp/{host}/{port} || return
  printf '%s\\r\\n' 'GET {TOKEN_PATH} HTTP/1.1' 'Host: {host}' 'Metadata-Flavor: Google' 'Connection: close' '' >&3
  read -r -t {ANSWER_SECONDS} -u 3 _ status _
  [ "$status" = 200 ] && return
  read -r -t {ANSWER_SECONDS} -u 3 -d '' answer
  echo "{host} answered ${{status:-nothing}}: ${{answer##*$'\\r\\n\\r\\n'}}"
  return 1
}}
until reason=$(ask 2>&1); do
  [ "$reason" = "$told" ] || echo "There is no token yet for the Google account of this pod's model: $reason" >&2
  told=$reason
  sleep {PAUSE_SECONDS}
done
exec {program} "$@"
"""
