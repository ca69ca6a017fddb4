#!/bin/bash
# The node's first process, inside its own mount, network, process and host name spaces: mounts what is private to the
# node, starts its daemons and starts them again when they end. When it ends, the kernel ends everything in the node.
# Usage: node-init.sh STATE_FOLDER; the folder has `mounts` (lines "SOURCE TARGET") and `bin` (kubelet,
# kube-proxy, kube-router).
set -eu
root=$1
logs=$root/logs

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
while read -r source target; do
  mount --bind "$source" "$target"
done <"$root/mounts"
# Volumes that the kubelet mounts have to be seen by containers started later.
mount --make-rshared /var/lib/kubelet

hostname "$(cat "$root/hostname")"
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
for setting in /proc/sys/net/bridge/bridge-nf-call-iptables; do
  if [ -w "$setting" ]; then echo 1 >"$setting"; fi
done

# supervise NAME COMMAND...: keep it running, with its output in logs/NAME.log.
supervise() {
  local name=$1
  shift
  while :; do
    "$@" >>"$logs/$name.log" 2>&1 || echo "$name ended with exit code $?" >>"$logs/$name.log"
    sleep 1
  done
}

# wait_for FILE: kubeadm writes the files that the daemons below begin with.
wait_for() {
  until [ -s "$1" ]; do sleep 0.2; done
}

kubelet() {
  KUBELET_KUBEADM_ARGS=
  . /var/lib/kubelet/kubeadm-flags.env
  # shellcheck disable=SC2086 # the variable holds several arguments
  "$root/bin/kubelet" --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
    --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
}

supervise containerd containerd --config "$root/containerd.toml" &
(wait_for /var/lib/kubelet/config.yaml && wait_for /var/lib/kubelet/kubeadm-flags.env && supervise kubelet kubelet) &
# Conntrack settings are left as they are: the sysctls may be read-only.
(wait_for /etc/kubernetes/admin.conf && supervise kube-proxy "$root/bin/kube-proxy" \
  --kubeconfig=/etc/kubernetes/admin.conf --hostname-override="$(hostname)" --proxy-mode=iptables \
  --cluster-cidr="$(cat "$root/pod-cidr")" --conntrack-max-per-core=0 --conntrack-min=0 \
  --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s) &
# The bridge between the pods knows no NetworkPolicies; of kube-router only the part that enforces them runs.
(wait_for /etc/kubernetes/admin.conf && supervise kube-router "$root/bin/kube-router" \
  --kubeconfig=/etc/kubernetes/admin.conf --hostname-override="$(hostname)" --run-firewall=true --run-router=false \
  --run-service-proxy=false --service-cluster-ip-range="$(cat "$root/service-cidr")" --health-port=0) &
wait
