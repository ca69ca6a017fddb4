// Package property translates between the engine's property bags and plain Go trees.
//
// A tree is made of map[string]any, []any, string, float64, bool and nil, plus the three things that JSON has no word
// for: Secret, Unknown and Asset.
package property

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"
)

// The engine's wire format marks special objects by a signature under this key.
const (
	signatureKey    = "4dabf18193072939515e22adb298388d"
	secretSignature = "1b47061264138c4ac30d75fd1eb44270"
	assetSignature  = "c44067f5952c0a294b673a41bacd8c17"
	outputSignature = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
)

// unknownString is what an unknown value is sent as when nothing is known of its type.
const unknownString = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

// The wire has one sentinel for each type that an unknown value will have once it is known.
var sentinels = map[string]bool{
	"1c4a061d-8072-4f0a-a4cb-0ff528b18fe7": true, // boolean
	"3eeb2bf0-c639-47a8-9e75-3b44932eb421": true, // number
	unknownString:                          true,
	"6a19a0b0-7e62-4c92-b797-7f8e31da9cc2": true, // array
	"030794c1-ac77-496b-92df-f27374a8bd58": true, // asset
	"e48ece36-62e2-4504-bad9-02848725956a": true, // archive
	"dd056dcd-154b-4c76-9bd3-c8f88648b5ff": true, // object
}

// Secret is a value that may stand in encrypted state only.
type Secret struct{ Value any }

// Unknown is a value that exists only after an update; a preview carries it along.
type Unknown struct{ sentinel string }

// NewUnknown returns an unknown of no particular type.
func NewUnknown() Unknown { return Unknown{sentinel: unknownString} }

// Asset is a file, a text or a URL that the program hands over by reference.
type Asset struct{ fields map[string]any }

// Text returns the asset's inline text and whether it has one.
func (a Asset) Text() (string, bool) { return a.field("text") }

// Path returns the asset's file name and whether it has one.
func (a Asset) Path() (string, bool) { return a.field("path") }

func (a Asset) field(name string) (string, bool) {
	text, ok := a.fields[name].(string)
	return text, ok && (name == "text" || text != "")
}

// Decode reads a property bag; a nil bag is an empty tree.
func Decode(bag *structpb.Struct) map[string]any {
	tree := make(map[string]any, len(bag.GetFields()))
	for key, value := range bag.GetFields() {
		tree[key] = decodeValue(value)
	}
	return tree
}

func decodeValue(value *structpb.Value) any {
	switch kind := value.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return kind.BoolValue
	case *structpb.Value_NumberValue:
		return kind.NumberValue
	case *structpb.Value_StringValue:
		if sentinels[kind.StringValue] {
			return Unknown{sentinel: kind.StringValue}
		}
		return kind.StringValue
	case *structpb.Value_ListValue:
		list := make([]any, 0, len(kind.ListValue.GetValues()))
		for _, element := range kind.ListValue.GetValues() {
			list = append(list, decodeValue(element))
		}
		return list
	case *structpb.Value_StructValue:
		return decodeObject(Decode(kind.StructValue))
	default:
		return nil
	}
}

func decodeObject(tree map[string]any) any {
	switch tree[signatureKey] {
	case secretSignature:
		return Secret{Value: tree["value"]}
	case outputSignature:
		var value any = NewUnknown()
		if known, ok := tree["value"]; ok {
			value = known
		}
		if tree["secret"] == true {
			return Secret{Value: value}
		}
		return value
	case assetSignature:
		delete(tree, signatureKey)
		return Asset{fields: tree}
	default:
		return tree
	}
}

// Encode writes a tree as a property bag. Without keepSecrets the engine gets secrets as plain values, as it asked.
func Encode(tree map[string]any, keepSecrets bool) (*structpb.Struct, error) {
	fields := make(map[string]*structpb.Value, len(tree))
	for key, value := range tree {
		encoded, err := encodeValue(value, keepSecrets)
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", key, err)
		}
		fields[key] = encoded
	}
	return &structpb.Struct{Fields: fields}, nil
}

func encodeValue(value any, keepSecrets bool) (*structpb.Value, error) {
	switch value := value.(type) {
	case Secret:
		if !keepSecrets {
			return encodeValue(value.Value, keepSecrets)
		}
		return encodeValue(map[string]any{signatureKey: secretSignature, "value": value.Value}, keepSecrets)
	case Unknown:
		return structpb.NewStringValue(value.sentinel), nil
	case Asset:
		fields := map[string]any{signatureKey: assetSignature}
		for key, field := range value.fields {
			fields[key] = field
		}
		return encodeValue(fields, keepSecrets)
	case map[string]any:
		object, err := Encode(value, keepSecrets)
		if err != nil {
			return nil, err
		}
		return structpb.NewStructValue(object), nil
	case []any:
		elements := make([]*structpb.Value, 0, len(value))
		for _, element := range value {
			encoded, err := encodeValue(element, keepSecrets)
			if err != nil {
				return nil, err
			}
			elements = append(elements, encoded)
		}
		return structpb.NewListValue(&structpb.ListValue{Values: elements}), nil
	default:
		return structpb.NewValue(value)
	}
}
