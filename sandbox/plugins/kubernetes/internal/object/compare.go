package object

import (
	"encoding/base64"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// The parts of metadata that only the server writes.
var readOnly = []string{
	"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
	"resourceVersion", "uid",
}

// Normalise brings inputs into the form that the server will give back, so that two ways to say the same ("1000m" and
// "1", stringData and data) are no difference. It returns a new tree; inputs with unknowns only lose read-only fields.
func Normalise(obj map[string]any) map[string]any {
	obj = property.RevealMap(obj)
	if !property.HasUnknown(obj) && IsBuiltIn(KindOfObject(obj).GroupVersion()) {
		obj = Prune(canonical(obj), obj)
	}
	for _, field := range readOnly {
		Remove(obj, "metadata", field)
	}
	return obj
}

func canonical(obj map[string]any) map[string]any {
	switch {
	case IsCRD(obj):
		if preserve, ok := Field(obj, "spec", "preserveUnknownFields"); ok && preserve == false {
			Remove(obj, "spec", "preserveUnknownFields")
		}
		delete(obj, "status")
		return obj
	case IsSecret(obj):
		return canonicalSecret(obj)
	}
	typed, err := scheme.Scheme.New(KindOfObject(obj))
	if err != nil {
		return obj
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj, typed); err != nil {
		return obj
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return obj
	}
	return fields
}

// canonicalSecret folds stringData into data, as the server does, and writes base64 the server's way. It changes obj
// itself: the shape to prune by has to have the folded data too.
func canonicalSecret(obj map[string]any) map[string]any {
	data, _ := obj["data"].(map[string]any)
	stringData, _ := obj["stringData"].(map[string]any)
	if data == nil && len(stringData) > 0 {
		data = map[string]any{}
		obj["data"] = data
	}
	for key, value := range data {
		text, _ := value.(string)
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			data[key] = base64.StdEncoding.EncodeToString(raw)
		}
	}
	if len(stringData) > 0 {
		for key, value := range stringData {
			text, _ := value.(string)
			data[key] = base64.StdEncoding.EncodeToString([]byte(text))
		}
		delete(obj, "stringData")
	}
	return obj
}

// Prune keeps of source what shape has too: of a live object, what the program had said. Values are source's. Lists
// are matched by index; of a longer source list, the rest is dropped.
func Prune(source, shape map[string]any) map[string]any {
	if source == nil || shape == nil {
		return nil
	}
	pruned := map[string]any{}
	for key, value := range source {
		if wanted, ok := shape[key]; ok {
			pruned[key] = pruneValue(value, wanted)
		}
	}
	return pruned
}

func pruneValue(value, wanted any) any {
	switch value := value.(type) {
	case map[string]any:
		if shape, ok := wanted.(map[string]any); ok {
			return Prune(value, shape)
		}
	case []any:
		if shape, ok := wanted.([]any); ok {
			return pruneList(value, shape)
		}
	}
	return value
}

func pruneList(source, shape []any) []any {
	pruned := []any{}
	if len(source) == 0 || len(shape) == 0 {
		return pruned
	}
	if reflect.TypeOf(source[0]) != reflect.TypeOf(shape[0]) {
		return append(pruned, source...)
	}
	for i := 0; i < len(source) && i < len(shape); i++ {
		pruned = append(pruned, pruneValue(source[i], shape[i]))
	}
	return pruned
}
