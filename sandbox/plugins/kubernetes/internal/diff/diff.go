// Package diff compares what a program says with what stands in the state, property by property, and knows which
// changes Kubernetes can only make by replacing the object.
package diff

import (
	"reflect"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Kind names the ways in which a property may differ.
type Kind = pulumirpc.PropertyDiff_Kind

// Detailed maps property paths, such as spec.http[0].route[1].weight, to how they differ.
type Detailed map[string]*pulumirpc.PropertyDiff

// Compare lists the properties that differ between the old state, pruned to what the program had said, and the new
// inputs. A change at or below a path of forceNew replaces the object.
func Compare(old, news map[string]any, forceNew []Path) Detailed {
	c := comparison{forceNew: forceNew, found: Detailed{}}
	c.maps(nil, old, news)
	return c.found
}

// Replaces lists the paths whose change replaces the object.
func (d Detailed) Replaces() []string {
	var replaces []string
	for path, difference := range d {
		switch difference.Kind {
		case pulumirpc.PropertyDiff_ADD_REPLACE, pulumirpc.PropertyDiff_DELETE_REPLACE,
			pulumirpc.PropertyDiff_UPDATE_REPLACE:
			replaces = append(replaces, path)
		case pulumirpc.PropertyDiff_DELETE:
			if path == "metadata" {
				replaces = append(replaces, path)
			}
		}
	}
	return replaces
}

// Ignore removes the differences at and below the given paths.
func (d Detailed) Ignore(ignored []string) error {
	for _, text := range ignored {
		pattern, err := ParsePath(text)
		if err != nil {
			return err
		}
		for found := range d {
			path, err := ParsePath(found)
			if err != nil {
				return err
			}
			if pattern.Contains(path) {
				delete(d, found)
			}
		}
	}
	return nil
}

type comparison struct {
	forceNew []Path
	found    Detailed
}

func (c *comparison) maps(path Path, old, news map[string]any) {
	for key, value := range news {
		before, had := old[key]
		switch {
		case had && before == nil && value == nil, !had && value == nil:
		case had:
			c.values(path.With(key), before, value)
		default:
			c.record(path.With(key), pulumirpc.PropertyDiff_ADD, value)
		}
	}
	for key := range old {
		if _, has := news[key]; !has {
			c.record(path.With(key), pulumirpc.PropertyDiff_DELETE, nil)
		}
	}
}

func (c *comparison) lists(path Path, old, news []any) {
	for i := 0; i < len(old) || i < len(news); i++ {
		switch {
		case i >= len(old):
			c.record(path.With(i), pulumirpc.PropertyDiff_ADD, news[i])
		case i >= len(news):
			c.record(path.With(i), pulumirpc.PropertyDiff_DELETE, nil)
		default:
			c.values(path.With(i), old[i], news[i])
		}
	}
}

func (c *comparison) values(path Path, old, news any) {
	if news == nil && old != nil {
		c.record(path, pulumirpc.PropertyDiff_DELETE, nil)
		return
	}
	oldMap, oldIsMap := old.(map[string]any)
	newMap, newIsMap := news.(map[string]any)
	oldList, oldIsList := old.([]any)
	newList, newIsList := news.([]any)
	switch {
	case oldIsMap && newIsMap:
		c.maps(path, oldMap, newMap)
	case oldIsList && newIsList:
		c.lists(path, oldList, newList)
	case !Equal(old, news):
		c.record(path, pulumirpc.PropertyDiff_UPDATE, news)
	}
}

// Equal compares scalars; numbers by value, whatever type they were read as. An unknown equals nothing.
func Equal(a, b any) bool {
	if _, unknown := b.(property.Unknown); unknown {
		return false
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}

func number(value any) (float64, bool) {
	switch value := value.(type) {
	case int:
		return float64(value), true
	case int32:
		return float64(value), true
	case int64:
		return float64(value), true
	case float32:
		return float64(value), true
	case float64:
		return value, true
	}
	return 0, false
}

func (c *comparison) record(path Path, kind Kind, value any) {
	difference := &pulumirpc.PropertyDiff{Kind: kind, InputDiff: kind == pulumirpc.PropertyDiff_DELETE}
	for _, immutable := range c.forceNew {
		if immutable.touched(path, value) {
			difference.Kind = replacing(kind)
			break
		}
	}
	c.found[path.String()] = difference
}

func replacing(kind Kind) Kind {
	switch kind {
	case pulumirpc.PropertyDiff_ADD:
		return pulumirpc.PropertyDiff_ADD_REPLACE
	case pulumirpc.PropertyDiff_DELETE:
		return pulumirpc.PropertyDiff_DELETE_REPLACE
	default:
		return pulumirpc.PropertyDiff_UPDATE_REPLACE
	}
}
