"""A GKE cluster as the config describes it: what each value may be, and what must fit together. No Pulumi import.

Names, ranges and limits are those of Google's API (container v1, compute v1) and of GKE's documentation for VPC-native
clusters. What only Google can know, such as whether a zone has a machine type, is left to Google.
"""

import ipaddress
import re
from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from infra.config_errors import MISSING, Report, Set
from infra.config_fields import Switch, WrongValueError, one_of, text, whole_between
from infra.config_shape import Bounds, Section

REGION_KEY: Final = "gcp:region"
PROJECT_KEY: Final = "gcp:project"
DEFAULT_KUBERNETES: Final = "1.35"
CHANNELS: Final = ("REGULAR", "RAPID", "STABLE", "EXTENDED")

# Kubernetes minors that an Istio minor is supported on: istio.io's table of supported releases.
ISTIO_KUBERNETES: Final = {
    24: (28, 31),
    25: (29, 32),
    26: (29, 33),
    27: (29, 33),
    28: (30, 34),
    29: (31, 35),
    30: (32, 36),
    31: (32, 36),
}

_REGION: Final = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")
_PROJECT: Final = re.compile(r"([a-z][a-z0-9.-]*[a-z0-9]:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_VERSION: Final = re.compile(r"1\.([1-9][0-9])(\.[0-9]+(-gke\.[0-9]+)?)?")
_MACHINE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_NODE_LABEL_KEY: Final = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_NODE_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")

IPRange: TypeAlias = ipaddress.IPv4Network
_PRIVATE: Final = [
    ipaddress.IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
]
# A range of addresses wider than this belongs to no office: a slip of the prefix opens the API server to a continent.
WIDEST_AUTHORIZED: Final = 8


def _range(low: int, high: int, example: str) -> BeforeValidator:
    right = (
        f"it is a private IPv4 range of /{low} to /{high} that begins at its first address"
        if low < high
        else (f"it is a private IPv4 range of exactly /{low} that begins at its first address")
    )

    def check(value: object) -> str:
        network = _network(value)
        if network is None or not low <= network.prefixlen <= high or not any(map(network.subnet_of, _PRIVATE)):
            raise WrongValueError(right, example)
        return str(network)

    return BeforeValidator(check)


def _network(value: object) -> IPRange | None:
    if not isinstance(value, str) or "/" not in value:
        return None
    try:
        return ipaddress.IPv4Network(value)
    except ValueError:
        return None


def _authorized(value: object) -> bool:
    network = _network(value)
    return network is not None and network.prefixlen >= WIDEST_AUTHORIZED


def _labels(key: re.Pattern[str], value: re.Pattern[str], right: str) -> BeforeValidator:
    def check(given: object) -> dict[str, str]:
        if not isinstance(given, dict):
            raise WrongValueError(right, None)
        for name, content in given.items():
            if not key.fullmatch(name) or not isinstance(content, str) or not value.fullmatch(content):
                raise WrongValueError(right, None, (name,))
        return given

    return BeforeValidator(check)


KubernetesVersion = Annotated[
    str,
    text(
        _VERSION.fullmatch,
        "it is a minor of Kubernetes or one of its GKE versions, in quotes: 1.35, 1.35.5-gke.1163012",
        DEFAULT_KUBERNETES,
    ),
    # Runs first. YAML reads a bare 1.35 as a number, and 1.40 as 1.4, which is then no minor of Kubernetes any more.
    BeforeValidator(lambda value: str(value) if isinstance(value, float) else value),
]
ZoneLetter = Annotated[
    str, text(re.compile(r"[a-f]").fullmatch, "it is the letter of a zone of the region: b for europe-west1-b", "b")
]
MachineType = Annotated[str, text(_MACHINE.fullmatch, "it is a machine type of Compute Engine", "e2-standard-4")]
Accelerator = Annotated[str, text(_MACHINE.fullmatch, "it is an accelerator type of Compute Engine", "nvidia-tesla-t4")]
AuthorizedRange = Annotated[
    str,
    text(
        _authorized,
        f"it is an IPv4 range of /{WIDEST_AUTHORIZED} or narrower that begins at its first address; "
        "a list that lets in the world is none",
        "203.0.113.0/24",
    ),
]
Labels = Annotated[
    dict[str, str],
    _labels(
        _LABEL_KEY, _LABEL_VALUE, "a label of Google Cloud has a-z, 0-9, _ and -, 63 at most, its key a letter first"
    ),
]
NodeLabels = Annotated[
    dict[str, str],
    _labels(_NODE_LABEL_KEY, _NODE_LABEL_VALUE, "it is a label of Kubernetes: key and text of 63 characters at most"),
]


class AuthorizedNetwork(Section):
    """Addresses that may open a connection to the control plane's IP endpoint."""

    cidr: AuthorizedRange = Field(default=None, validate_default=True)
    name: Annotated[
        str, text(lambda name: 0 < len(name.strip()) <= 100, "it says whose addresses these are", "office")
    ] = Field(default=None, validate_default=True)


class Ranges(Section):
    """Private addresses. All of them are fixed for the life of the cluster: another one means another cluster.

    Attributes:
        nodes: the subnetwork's.
        pods: each node takes a /24 of it (GKE's default of 110 pods per node).
        services: cluster IPs.
        control_plane: the control plane's own network.
    """

    nodes: Annotated[str, _range(8, 28, "10.0.0.0/20")] = "10.0.0.0/20"
    pods: Annotated[str, _range(9, 21, "10.4.0.0/14")] = Field(default="10.4.0.0/14", validate_default=True)
    services: Annotated[str, _range(9, 27, "10.8.0.0/20")] = Field(default="10.8.0.0/20", validate_default=True)
    control_plane: Annotated[str, _range(28, 28, "172.16.0.0/28")] = Field(
        default="172.16.0.0/28", alias="controlPlane", validate_default=True
    )

    @field_validator("pods", "services", "control_plane")
    @classmethod
    def _apart(cls, value: str, info: ValidationInfo) -> str:
        own = ipaddress.IPv4Network(value)
        others = {name: ipaddress.IPv4Network(other) for name, other in info.data.items()}
        for name, other in others.items():
            if own.overlaps(other):
                right = f"it must not overlap the {name.replace('_', ' ')} range, {other}"
                raise WrongValueError(right, _free(own.prefixlen, others.values()))
        return value


def _free(length: int, taken: Iterable[IPRange]) -> str:
    used = list(taken)
    spaces = [space for space in _PRIVATE if space.prefixlen <= length]
    candidates = chain.from_iterable(space.subnets(new_prefix=length) for space in spaces)
    return str(next(range_ for range_ in candidates if not any(map(range_.overlaps, used))))


class Pool(Bounds):
    """What pools of nodes have in common.

    Attributes:
        spot: nodes at a lower price that Google may take back at any time.
    """

    spot: Switch = False


class Nodes(Pool):
    """The pool that runs Istio and the models' servers.

    Attributes:
        min: nodes per zone that always run.
        max: nodes per zone that the autoscaler may start.
        disk_gb: boot disk of each node, in GB.
        labels: Kubernetes labels of the nodes.
    """

    machine_type: MachineType = Field(default="e2-standard-4", alias="machineType")
    min: Annotated[int, whole_between(1, 1000, "the pool has 1-1000 nodes per zone", 1)] = 1
    max: Annotated[int, whole_between(1, 1000, "the pool has 1-1000 nodes per zone", 3)] = Field(
        default=3, validate_default=True
    )
    disk_gb: Annotated[int, whole_between(20, 65536, "a boot disk has 20-65536 GB", 50)] = Field(
        default=50, alias="diskGb"
    )
    labels: NodeLabels = Field(default_factory=dict)


class GpuNodes(Pool):
    """The pool with accelerators; GKE taints its nodes, so that only pods that ask for one run there.

    Attributes:
        enabled: whether the pool exists.
        accelerator: the type of the accelerators.
        count: accelerators per node.
        min: nodes per zone that always run; 0 costs nothing while no pod asks for a GPU.
        max: nodes per zone that the autoscaler may start.
        zones: letters of the zones that have the accelerator; all of the cluster's when empty.
    """

    enabled: Switch = True
    machine_type: MachineType = Field(default="n1-standard-4", alias="machineType")
    accelerator: Accelerator = "nvidia-tesla-t4"
    count: Annotated[int, whole_between(1, 16, "a node has 1-16 accelerators", 1)] = 1
    min: Annotated[int, whole_between(0, 1000, "the pool has 0-1000 nodes per zone", 0)] = 0
    max: Annotated[int, whole_between(1, 1000, "the pool has 1-1000 nodes per zone", 1)] = Field(
        default=1, validate_default=True
    )
    disk_gb: Annotated[int, whole_between(20, 65536, "a boot disk has 20-65536 GB", 100)] = Field(
        default=100, alias="diskGb"
    )
    zones: tuple[ZoneLetter, ...] = ()


class GkeCluster(Section):
    """A cluster on GKE that the stack makes, with its network and its nodes.

    Attributes:
        zone: letter of the zone of a zonal cluster; None is a regional one.
        channel: GKE's release channel, which upgrades control plane and nodes.
        kubernetes_version: what a new cluster begins with; the channel upgrades it, and an older one is upgraded to it.
        endpoint: how the control plane is reached: by its DNS name, where Google's IAM guards it, or by its public
            address, which only `authorized_networks` may dial.
        deletion_protection: whether neither Google nor Pulumi may delete the cluster.
        labels: Google Cloud labels of the cluster and its nodes.
        gpu: a pool of nodes with accelerators.
    """

    kind: Annotated[Literal["gke"], one_of("gke", "existing")]
    zone: ZoneLetter | None = None
    channel: Annotated[str, one_of(*CHANNELS)] = CHANNELS[0]
    kubernetes_version: KubernetesVersion = Field(default=DEFAULT_KUBERNETES, alias="kubernetesVersion")
    authorized_networks: tuple[AuthorizedNetwork, ...] = Field(default=(), alias="authorizedNetworks")
    endpoint: Annotated[Literal["dns", "ip"], one_of("dns", "ip")] = "dns"
    deletion_protection: Switch = Field(default=True, alias="deletionProtection")
    ranges: Ranges = Field(default_factory=Ranges)
    labels: Labels = Field(default_factory=dict)
    nodes: Nodes = Field(default_factory=Nodes)
    gpu: GpuNodes | None = None

    @field_validator("endpoint")
    @classmethod
    def _somebody_may_dial(cls, endpoint: str, info: ValidationInfo) -> str:
        if endpoint == "ip" and info.data.get("authorized_networks") == ():
            right = "an IP endpoint needs authorizedNetworks, or nobody could reach the cluster"
            raise WrongValueError(right, "dns")
        return endpoint


class GkeSettings(GkeCluster):
    """A GKE cluster with where it is.

    Attributes:
        project: Google Cloud's project ID.
        region: Compute Engine's region.
    """

    project: str
    region: str

    @property
    def location(self) -> str:
        """The cluster's location: its zone, or the region of a regional cluster."""
        return f"{self.region}-{self.zone}" if self.zone else self.region


def check_place(report: Report) -> None:
    """Report a project or region of the Google provider that is missing or cannot be."""
    for key, pattern, right, example in (
        (PROJECT_KEY, _PROJECT, "a GKE cluster lives in a Google Cloud project, named by its ID", "my-project"),
        (
            REGION_KEY,
            _REGION,
            "a GKE cluster lives in a region of Compute Engine, without a zone's letter",
            "europe-west1",
        ),
    ):
        found = report.at((key,))
        if not isinstance(found, str) or not pattern.fullmatch(found):
            report.add((key,), right, Set((key,), example))


def check_versions(default_istio: str, report: Report) -> None:
    """Report a Kubernetes that the chosen Istio does not support, or is not known to.

    Args:
        default_istio: Istio's release where the config names none, such as 1.30.4.
        report: holds the config, and takes the problem.
    """
    place = ("cluster", "kubernetesVersion")
    asked, istio = report.at(place), report.at(("istio", "version"))
    kubernetes = _minor(DEFAULT_KUBERNETES if asked is MISSING else asked)
    mesh = _minor(default_istio if istio is MISSING else istio)
    if kubernetes is None or mesh is None:
        return  # that it is no version is told by its field
    oldest, newest = min(ISTIO_KUBERNETES), max(ISTIO_KUBERNETES)
    low, high = ISTIO_KUBERNETES[min(max(mesh, oldest), newest)]
    # Of an Istio newer than the table the upper bound is not known; it supports no older Kubernetes than the last.
    if kubernetes < low or (kubernetes > high and mesh <= newest):
        right = f"Istio 1.{mesh} is supported on Kubernetes 1.{low} to 1.{high}"
        value = f"1.{kubernetes}, by default" if asked is MISSING else None
        report.add(place, right, Set(place, f"1.{min(max(kubernetes, low), high)}"), value=value)


def _minor(version: object) -> int | None:
    match = re.match(r"1\.([1-9][0-9])(?![0-9])", str(version))
    return int(match[1]) if match else None
