package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/diff"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// ownNames are the names that versions of the plugin have written under.
var ownNames = map[string]bool{
	"pulumi-kubernetes": true, "pulumi-kubernetes.exe": true, "pulumi-resource-kubernetes": true,
}

// predecessors are the managers, by the start of their names, whose fields become the plugin's at an update: its own
// creations, and what someone wrote with kubectl.
var predecessors = []struct {
	prefix    string
	operation metav1.ManagedFieldsOperationType
}{
	{"kubectl", metav1.ManagedFieldsOperationApply},
	{"kubectl", metav1.ManagedFieldsOperationUpdate},
	{"before-first-apply", metav1.ManagedFieldsOperationUpdate},
	{"pulumi-kubernetes", metav1.ManagedFieldsOperationUpdate},
	{"pulumi-resource-kubernetes", metav1.ManagedFieldsOperationUpdate},
}

// takeOver makes the manager the owner of its predecessors' fields, so that what the program no longer says is removed
// and what it says differently is no conflict. It returns the object after that.
func takeOver(
	ctx context.Context, client dynamic.ResourceInterface, live *unstructured.Unstructured, manager string,
) (*unstructured.Unstructured, error) {
	var kept []metav1.ManagedFieldsEntry
	var own *metav1.ManagedFieldsEntry
	changed := false
	for _, entry := range live.GetManagedFields() {
		isOwn := entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
		switch {
		case isOwn || isPredecessor(entry):
			merged, err := merge(own, entry)
			if err != nil {
				return nil, err
			}
			own, changed = merged, changed || !isOwn
		default:
			kept = append(kept, entry)
		}
	}
	if !changed {
		return live, nil
	}
	own.Manager, own.Operation = manager, metav1.ManagedFieldsOperationApply
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": append(kept, *own)},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
	})
	if err != nil {
		return nil, err
	}
	return client.Patch(ctx, live.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{})
}

func isPredecessor(entry metav1.ManagedFieldsEntry) bool {
	for _, predecessor := range predecessors {
		if entry.Subresource == "" && entry.Operation == predecessor.operation &&
			strings.HasPrefix(entry.Manager, predecessor.prefix) {
			return true
		}
	}
	return false
}

func merge(own *metav1.ManagedFieldsEntry, other metav1.ManagedFieldsEntry) (*metav1.ManagedFieldsEntry, error) {
	if own == nil {
		return &other, nil
	}
	ours, err := fieldSet(*own)
	if err != nil {
		return nil, err
	}
	theirs, err := fieldSet(other)
	if err != nil {
		return nil, err
	}
	raw, err := ours.Union(theirs).ToJSON()
	if err != nil {
		return nil, err
	}
	merged := *own
	merged.FieldsV1 = &metav1.FieldsV1{Raw: raw}
	return &merged, nil
}

func fieldSet(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if entry.FieldsV1 == nil {
		return set, nil
	}
	if err := set.FromJSON(bytes.NewReader(entry.FieldsV1.Raw)); err != nil {
		return nil, fmt.Errorf("unable to parse the managed fields of %q: %w", entry.Manager, err)
	}
	return set, nil
}

// leaveIgnored keeps an update off the properties whose changes are to be ignored: what only others manage is left
// out, what the plugin manages is sent as it is now, since leaving it out would remove it.
func leaveIgnored(obj, live *unstructured.Unstructured, manager string, ignored []string) error {
	if len(ignored) == 0 {
		return nil
	}
	ours, theirs := &fieldpath.Set{}, &fieldpath.Set{}
	for _, entry := range live.GetManagedFields() {
		set, err := fieldSet(entry)
		if err != nil {
			return err
		}
		if entry.Manager == manager {
			ours = ours.Union(set)
		} else {
			theirs = theirs.Union(set)
		}
	}
	for _, text := range ignored {
		path, err := diff.ParsePath(text)
		if err != nil {
			return fmt.Errorf("unable to parse ignoreField path %q: %w", text, err)
		}
		keys, ok := plainKeys(path)
		if !ok {
			// Elements of lists are managed by their keys, not by their index: they are sent as the program says.
			continue
		}
		if holds(theirs, keys) && !holds(ours, keys) {
			object.Remove(obj.Object, keys...)
			continue
		}
		if value, found := object.Field(live.Object, keys...); found {
			if err := unstructured.SetNestedField(obj.Object, value, keys...); err != nil {
				return fmt.Errorf("unable to set field %q with last used value: %w", text, err)
			}
		}
	}
	return nil
}

func plainKeys(path diff.Path) ([]string, bool) {
	keys := make([]string, len(path))
	for i, step := range path {
		key, ok := step.(string)
		if !ok || key == "*" {
			return nil, false
		}
		keys[i] = key
	}
	return keys, len(keys) > 0
}

// holds tells whether the set has the field itself or anything below it.
func holds(set *fieldpath.Set, keys []string) bool {
	at := set
	for i, key := range keys {
		element := fieldpath.PathElement{FieldName: &key}
		if i == len(keys)-1 && at.Members.Has(element) {
			return true
		}
		below, ok := at.Children.Get(element)
		if !ok {
			return false
		}
		at = below
	}
	return true
}
