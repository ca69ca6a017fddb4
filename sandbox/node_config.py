"""The node's configuration files, as text: containerd, CNI, kubeadm and kubelet; nothing here touches the machine."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import yaml

from sandbox import images

NODE_NAME = "sandbox"
INTERFACE = "tfserving-mesh"
"""The host's end of the pair of interfaces that joins it to the node."""
LINK = ipaddress.IPv4Network("10.243.255.0/30")
HOST_ADDRESS, NODE_ADDRESS = (str(address) for address in LINK.hosts())
PODS = ipaddress.IPv4Network("10.244.0.0/16")
NODE_PODS = ipaddress.IPv4Network("10.244.0.0/24")
"""The part of PODS that the one node has: what the host has a route to."""
SERVICES = ipaddress.IPv4Network("10.96.0.0/12")
CGROUP = "tfserving-mesh-sandbox"
KUBERNETES_VERSION = "v1.35.4"

# Kept away from the host: folder in the state -> where the node's programs see it.
PRIVATE_FOLDERS = {
    "etc-kubernetes": "/etc/kubernetes",
    "etc-cni": "/etc/cni",
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "etcd": "/var/lib/etcd",
    "cni": "/var/lib/cni",
    "pods-log": "/var/log/pods",
    "containers-log": "/var/log/containers",
}


def containerd(cni_plugins: Path) -> str:
    """Configuration of containerd."""
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE.reference}"
  # Writing a negative oom_score_adj needs a capability that a container or small VM may lack.
  restrict_oom_score_adj = true
  # A profile would stay loaded in the kernel after the sandbox has gone.
  disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni_plugins}"
  conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def cni() -> str:
    """The pod network: a bridge. Pods keep their address towards the host, which has a route back."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(NODE_PODS)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": NODE_NAME, "plugins": [bridge, portmap]}, indent=2)


def kubeadm() -> str:
    """Configuration of kubeadm and, with it, of the kubelet."""
    volume_plugins = "/var/lib/kubelet/volume-plugins"  # the default folder would be made on the host
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": NODE_ADDRESS, "bindPort": 6443},
        "nodeRegistration": {
            "name": NODE_NAME,
            "criSocket": "unix:///run/containerd/containerd.sock",
            "taints": [],
            "kubeletExtraArgs": [{"name": "node-ip", "value": NODE_ADDRESS}],
        },
    }
    cluster = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": KUBERNETES_VERSION,
        "networking": {"podSubnet": str(PODS), "serviceSubnet": str(SERVICES), "dnsDomain": "cluster.local"},
        "controllerManager": {"extraArgs": [{"name": "flex-volume-plugin-dir", "value": volume_plugins}]},
    }
    return yaml.safe_dump_all([init, cluster, _kubelet(volume_plugins)], sort_keys=False)


def _kubelet(volume_plugins: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",  # all cgroups in one place, so that `down` finds them
        "failSwapOn": False,
        "failCgroupV1": False,
        "resolvConf": "/dev/null",  # names outside the cluster are none of the pods' business
        "volumePluginDir": volume_plugins,
        # Images cannot be pulled again, and a developer's disk is often nearly full: nothing may be thrown away.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }
