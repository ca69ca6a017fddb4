package object

import (
	"strings"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Annotations that steer the plugin, as the real one documents them.
const (
	Autonamed           = "pulumi.com/autonamed"
	SkipAwait           = "pulumi.com/skipAwait"
	WaitFor             = "pulumi.com/waitFor"
	TimeoutSeconds      = "pulumi.com/timeoutSeconds"
	ReplaceUnready      = "pulumi.com/replaceUnready"
	PatchForce          = "pulumi.com/patchForce"
	PatchFieldManager   = "pulumi.com/patchFieldManager"
	DeletionPropagation = "pulumi.com/deletionPropagationPolicy"
)

const managedByLabel = "app.kubernetes.io/managed-by"

// Field follows a path of keys; found is false where the path ends early.
func Field(obj map[string]any, path ...string) (value any, found bool) {
	value = obj
	for _, key := range path {
		parent, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, found = parent[key]; !found {
			return nil, false
		}
	}
	return value, true
}

// Text is Field for strings; anything else is "".
func Text(obj map[string]any, path ...string) string {
	value, _ := Field(obj, path...)
	text, _ := value.(string)
	return text
}

// Name returns metadata.name, "" while it is unknown or unset.
func Name(obj map[string]any) string { return Text(obj, "metadata", "name") }

// Namespace returns metadata.namespace, "" while it is unknown or unset.
func Namespace(obj map[string]any) string { return Text(obj, "metadata", "namespace") }

// Annotation returns one annotation's value, "" when unset.
func Annotation(obj map[string]any, key string) string {
	return Text(obj, "metadata", "annotations", key)
}

// AnnotatedTrue tells whether an annotation says "true".
func AnnotatedTrue(obj map[string]any, key string) bool { return Annotation(obj, key) == "true" }

// IsNamed tells whether the object has a name, be it known or not yet.
func IsNamed(obj map[string]any) bool {
	name, _ := Field(obj, "metadata", "name")
	if _, unknown := name.(property.Unknown); unknown {
		return true
	}
	return Name(obj) != ""
}

// SetMetadata sets metadata.key; it does nothing while metadata as a whole is unknown.
func SetMetadata(obj map[string]any, key string, value any) {
	if metadata := child(obj, "metadata"); metadata != nil {
		metadata[key] = value
	}
}

// SetNamespace sets metadata.namespace, or removes it when namespace is "".
func SetNamespace(obj map[string]any, namespace string) {
	metadata := child(obj, "metadata")
	switch {
	case metadata == nil:
	case namespace == "":
		delete(metadata, "namespace")
	default:
		metadata["namespace"] = namespace
	}
}

// SetAnnotation sets an annotation; it does nothing while the annotations are unknown.
func SetAnnotation(obj map[string]any, key, value string) {
	if metadata := child(obj, "metadata"); metadata != nil {
		if annotations := child(metadata, "annotations"); annotations != nil {
			annotations[key] = value
		}
	}
}

// HasManagedBy tells whether the object carries the label that older versions of the real plugin set.
func HasManagedBy(obj map[string]any, by string) bool {
	return Text(obj, "metadata", "labels", managedByLabel) == by
}

// SetManagedBy sets that label.
func SetManagedBy(obj map[string]any, by string) {
	if metadata := child(obj, "metadata"); metadata != nil {
		if labels := child(metadata, "labels"); labels != nil {
			labels[managedByLabel] = by
		}
	}
}

// child returns the map under key, made when missing, nil when something else (an unknown) is there.
func child(parent map[string]any, key string) map[string]any {
	value, ok := parent[key]
	if !ok || value == nil {
		made := map[string]any{}
		parent[key] = made
		return made
	}
	existing, _ := value.(map[string]any)
	return existing
}

// Remove deletes the field at the end of a path, if there is one.
func Remove(obj map[string]any, path ...string) {
	parent, ok := Field(obj, path[:len(path)-1]...)
	if !ok {
		return
	}
	if fields, ok := parent.(map[string]any); ok {
		delete(fields, path[len(path)-1])
	}
}

// ID returns namespace/name, or the bare name of an object outside of namespaces.
func ID(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// ParseID takes an ID apart.
func ParseID(id string) (namespace, name string) {
	parts := strings.Split(id, "/")
	if len(parts) == 1 {
		return "", parts[0]
	}
	return parts[0], parts[1]
}
