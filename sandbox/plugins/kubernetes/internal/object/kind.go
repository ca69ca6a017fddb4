// Package object holds what the plugin knows of Kubernetes objects as such: their kinds, names, annotations, the form
// that inputs and live states are compared in, and the form that they are kept in.
package object

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// ReleaseType is the type token of a Helm release, the only resource that is no Kubernetes object.
const ReleaseType = "kubernetes:helm.sh/v3:Release"

// The types of the real plugin that this one has no code for, by their type token's module.
var unsupported = []string{
	"kubernetes:helm.sh/v2:", "kubernetes:helm.sh/v4:", "kubernetes:yaml:", "kubernetes:yaml/v2:",
	"kubernetes:kustomize:", "kubernetes:kustomize/v2:",
}

// TypeOfURN returns the type token of a resource, without those of its parents.
func TypeOfURN(urn string) string {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) < 4 {
		return ""
	}
	types := strings.Split(parts[2], "$")
	return types[len(types)-1]
}

// NameOfURN returns the name that the program gave to a resource.
func NameOfURN(urn string) string {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) < 4 {
		return ""
	}
	return parts[3]
}

// KindOf reads group, version and kind from a URN's type token, such as kubernetes:apps/v1:Deployment. It errs on
// types that are no Kubernetes objects, or that this stand-in does not support.
func KindOf(urn string) (schema.GroupVersionKind, error) {
	token := TypeOfURN(urn)
	for _, prefix := range unsupported {
		if strings.HasPrefix(token, prefix) {
			return schema.GroupVersionKind{}, fmt.Errorf("%s is not supported by this stand-in of the Kubernetes plugin", token)
		}
	}
	parts := strings.Split(token, ":")
	if len(parts) != 3 || parts[0] != "kubernetes" {
		return schema.GroupVersionKind{}, fmt.Errorf("unrecognized resource type: %q for this provider", token)
	}
	group, version, ok := strings.Cut(parts[1], "/")
	if !ok || strings.Contains(version, "/") {
		return schema.GroupVersionKind{}, fmt.Errorf("apiVersion does not have both a group and a version: %q", parts[1])
	}
	if group == "core" {
		group = ""
	}
	kind := schema.GroupVersionKind{Group: group, Version: version, Kind: parts[2]}
	if strings.HasSuffix(kind.Kind, "Patch") && IsBuiltIn(kind.GroupVersion()) {
		return kind, fmt.Errorf("patch resources (%s) are not supported by this stand-in of the Kubernetes plugin", token)
	}
	if strings.HasSuffix(kind.Kind, "List") && IsBuiltIn(kind.GroupVersion()) {
		return kind, fmt.Errorf("list resources exist for compatibility with YAML manifests and Helm charts, " +
			"and cannot be created directly. Use the underlying resource type instead")
	}
	return kind, nil
}

// KindOfObject reads group, version and kind from the object itself.
func KindOfObject(obj map[string]any) schema.GroupVersionKind {
	apiVersion, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	group, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group, version = "", apiVersion
	}
	if group == "core" {
		group = ""
	}
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

// IsBuiltIn tells whether Kubernetes itself serves the group, in contrast to a CustomResourceDefinition.
func IsBuiltIn(gv schema.GroupVersion) bool {
	switch gv.Group {
	case "apiextensions.k8s.io", "apiregistration.k8s.io":
		return true
	}
	return scheme.Scheme.IsVersionRegistered(gv)
}

// The built-in kinds that live outside of namespaces; all others live in one.
var clusterScoped = map[string]bool{
	"APIService": true, "CertificateSigningRequest": true, "ClusterRole": true, "ClusterRoleBinding": true,
	"ClusterTrustBundle": true, "ComponentStatus": true, "CSIDriver": true, "CSINode": true,
	"CustomResourceDefinition": true, "DeviceClass": true, "DeviceTaintRule": true, "FlowSchema": true,
	"IngressClass": true, "IPAddress": true, "MutatingAdmissionPolicy": true, "MutatingAdmissionPolicyBinding": true,
	"MutatingWebhookConfiguration": true, "Namespace": true, "Node": true, "PersistentVolume": true,
	"PriorityClass": true, "PriorityLevelConfiguration": true, "ResourceSlice": true, "RuntimeClass": true,
	"SelfSubjectAccessReview": true, "SelfSubjectReview": true, "SelfSubjectRulesReview": true, "ServiceCIDR": true,
	"StorageClass": true, "StorageVersion": true, "StorageVersionMigration": true, "SubjectAccessReview": true,
	"TokenReview": true, "ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	"ValidatingWebhookConfiguration": true, "VolumeAttachment": true, "VolumeAttributesClass": true,
}

// Namespaced tells whether objects of a built-in kind live in a namespace; known is false for other kinds, whose
// definition only the cluster has.
func Namespaced(kind schema.GroupVersionKind) (namespaced, known bool) {
	if !IsBuiltIn(kind.GroupVersion()) {
		return false, false
	}
	return !clusterScoped[kind.Kind], true
}

// IsCRD tells whether the object defines a custom resource.
func IsCRD(obj map[string]any) bool {
	kind := KindOfObject(obj)
	return kind.Group == "apiextensions.k8s.io" && kind.Kind == "CustomResourceDefinition"
}

// IsSecret tells whether the object is a Kubernetes Secret.
func IsSecret(obj map[string]any) bool {
	kind := KindOfObject(obj)
	return kind.Group == "" && kind.Kind == "Secret"
}

// IsConfigMap tells whether the object is a Kubernetes ConfigMap.
func IsConfigMap(obj map[string]any) bool {
	kind := KindOfObject(obj)
	return kind.Group == "" && kind.Kind == "ConfigMap"
}
