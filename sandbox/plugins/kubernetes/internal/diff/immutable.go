package diff

import (
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// Mutable says which kinds of data the provider was configured to change in place.
type Mutable struct {
	Secrets    bool
	ConfigMaps bool
}

var always = []string{"metadata.name", "metadata.namespace"}

var (
	selector = []string{"spec.selector"}
	job      = []string{"spec.completions", "spec.parallelism", "spec.selector", "spec.template"}
	roleRef  = []string{"roleRef"}
	stateful = []string{
		"spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName",
		"spec.volumeClaimTemplates",
	}
)

// By group and kind, what the API server refuses to change. Fields whose change it accepts although it has no effect
// are not listed.
var immutable = map[string][]string{
	"apps/DaemonSet":              selector,
	"apps/Deployment":             selector,
	"apps/StatefulSet":            stateful,
	"batch/Job":                   job,
	"/PersistentVolume":           volumeSources,
	"/PersistentVolumeClaim":      {"spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"},
	"/Pod":                        pod,
	"/ResourceQuota":              {"spec.scopes"},
	"/Secret":                     {"type"},
	"/Service":                    {"spec.clusterIP"},
	"storage.k8s.io/StorageClass": {"parameters", "provisioner"},

	"rbac.authorization.k8s.io/ClusterRoleBinding": roleRef,
	"rbac.authorization.k8s.io/RoleBinding":        roleRef,
}

var volumeSources = prefixed("spec.",
	"awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
	"gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume",
	"quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume")

var pod = append(append(prefixed("spec.",
	"affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "hostIPC",
	"hostNetwork", "hostPID", "hostname", "imagePullSecrets", "nodeName", "nodeSelector", "overhead", "preemptionPolicy",
	"priority", "priorityClassName", "readinessGates", "restartPolicy", "runtimeClassName", "schedulerName",
	"securityContext", "serviceAccount", "serviceAccountName", "shareProcessNamespace", "subdomain",
	"terminationGracePeriodSeconds", "volumes"),
	prefixed("spec.containers[*].", container...)...), prefixed("spec.initContainers[*].", container...)...)

var container = []string{
	"args", "command", "env", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports", "readinessProbe",
	"resources", "securityContext", "stdin", "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "tty",
	"volumeDevices", "volumeMounts", "workingDir",
}

func prefixed(prefix string, names ...string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = prefix + name
	}
	return paths
}

// ForceNew lists the properties whose change replaces the object: its name and namespace, what is immutable for its
// kind, and a Secret's and ConfigMap's data unless it may change in place.
func ForceNew(obj map[string]any, mutable Mutable) []Path {
	kind := object.KindOfObject(obj)
	names := append([]string{}, always...)
	fixed := obj["immutable"] == true
	switch {
	case object.IsSecret(obj) && (!mutable.Secrets || fixed):
		names = append(names, "type", "stringData", "data")
	case object.IsConfigMap(obj) && (!mutable.ConfigMaps || fixed):
		names = append(names, "binaryData", "data")
	case kind.Group == "policy" && kind.Version == "v1beta1" && kind.Kind == "PodDisruptionBudget":
		names = append(names, "spec")
	default:
		names = append(names, immutable[kind.Group+"/"+kind.Kind]...)
	}
	return Paths(names...)
}

// Paths parses the fixed paths of this package and its users; they are literals, so one that does not parse is a bug.
func Paths(texts ...string) []Path {
	paths := make([]Path, len(texts))
	for i, text := range texts {
		path, err := ParsePath(text)
		if err != nil {
			panic(err)
		}
		paths[i] = path
	}
	return paths
}
