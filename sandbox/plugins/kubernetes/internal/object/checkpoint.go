package object

import (
	"strings"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Keys of the state that are the plugin's own.
const (
	inputsKey         = "__inputs"
	initialVersionKey = "__initialApiVersion"
	fieldManagerKey   = "__fieldManager"
)

const schemaKeyPrefix = "x-kubernetes-"

// Checkpoint is what the state of a resource consists of.
type Checkpoint struct {
	Inputs         map[string]any // what the program said, as checked
	Live           map[string]any // what the server had
	InitialVersion string         // the apiVersion that the object was created with
	FieldManager   string         // who the plugin is for server-side apply; "" in states from elsewhere
}

// Tree returns the state to keep. Whatever is secret in program (the inputs as the program sent them) is secret in the
// state too, and so is all of a Secret's data.
func (c Checkpoint) Tree(program map[string]any) map[string]any {
	tree, _ := renameKeys(c.Live, toUnderscore).(map[string]any)
	inputs, _ := renameKeys(c.Inputs, toUnderscore).(map[string]any)
	delete(tree, inputsKey)
	property.CopySecrets(tree, program)
	property.CopySecrets(inputs, program)
	tree[inputsKey] = inputs
	tree[initialVersionKey] = c.InitialVersion
	tree[fieldManagerKey] = c.FieldManager
	return tree
}

// ParseCheckpoint reads a state; secrets become plain values.
func ParseCheckpoint(state map[string]any) Checkpoint {
	live := Plain(state)
	inputs, _ := live[inputsKey].(map[string]any)
	checkpoint := Checkpoint{Inputs: inputs, Live: live}
	if checkpoint.Inputs == nil {
		checkpoint.Inputs = map[string]any{}
	}
	checkpoint.InitialVersion, _ = live[initialVersionKey].(string)
	checkpoint.FieldManager, _ = live[fieldManagerKey].(string)
	for _, key := range []string{inputsKey, initialVersionKey, fieldManagerKey} {
		delete(live, key)
	}
	return checkpoint
}

// Plain returns the Kubernetes object that a property bag stands for: secrets as plain values, and the x_kubernetes_
// keys that typed SDKs use in definitions spelled as Kubernetes does.
func Plain(bag map[string]any) map[string]any {
	plain, _ := renameKeys(property.Reveal(bag), toDash).(map[string]any)
	return plain
}

var schemaKeys = []string{
	"embedded-resource", "int-or-string", "list-map-keys", "list-type", "map-type", "preserve-unknown-fields",
	"validations",
}

func toDash(key string) string {
	if !strings.HasPrefix(key, "x_kubernetes_") {
		return key
	}
	for _, name := range schemaKeys {
		if key == strings.ReplaceAll(schemaKeyPrefix+name, "-", "_") {
			return schemaKeyPrefix + name
		}
	}
	return key
}

func toUnderscore(key string) string {
	if !strings.HasPrefix(key, schemaKeyPrefix) {
		return key
	}
	for _, name := range schemaKeys {
		if key == schemaKeyPrefix+name {
			return strings.ReplaceAll(key, "-", "_")
		}
	}
	return key
}

func renameKeys(value any, rename func(string) string) any {
	switch value := value.(type) {
	case map[string]any:
		renamed := make(map[string]any, len(value))
		for key, element := range value {
			renamed[rename(key)] = renameKeys(element, rename)
		}
		return renamed
	case []any:
		renamed := make([]any, len(value))
		for i, element := range value {
			renamed[i] = renameKeys(element, rename)
		}
		return renamed
	default:
		return value
	}
}
