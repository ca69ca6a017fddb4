package property

// Reveal returns the tree with every secret replaced by its plain value. Maps and lists are copied.
func Reveal(value any) any { return rewrite(value, false) }

// RevealKnown returns the tree with secrets replaced by their plain values and unknowns by nil.
func RevealKnown(value any) any { return rewrite(value, true) }

func rewrite(value any, dropUnknowns bool) any {
	switch value := value.(type) {
	case Secret:
		return rewrite(value.Value, dropUnknowns)
	case Unknown:
		if dropUnknowns {
			return nil
		}
		return value
	case map[string]any:
		copied := make(map[string]any, len(value))
		for key, element := range value {
			copied[key] = rewrite(element, dropUnknowns)
		}
		return copied
	case []any:
		copied := make([]any, len(value))
		for i, element := range value {
			copied[i] = rewrite(element, dropUnknowns)
		}
		return copied
	default:
		return value
	}
}

// RevealMap is Reveal for a whole property bag.
func RevealMap(tree map[string]any) map[string]any {
	revealed, _ := Reveal(tree).(map[string]any)
	return revealed
}

// HasUnknown tells whether anything in the tree is known only after an update.
func HasUnknown(value any) bool {
	return holds(value, func(v any) bool { _, ok := v.(Unknown); return ok })
}

// HasSecret tells whether anything in the tree is secret.
func HasSecret(value any) bool {
	return holds(value, func(v any) bool { _, ok := v.(Secret); return ok })
}

func holds(value any, found func(any) bool) bool {
	if found(value) {
		return true
	}
	switch value := value.(type) {
	case Secret:
		return holds(value.Value, found)
	case map[string]any:
		for _, element := range value {
			if holds(element, found) {
				return true
			}
		}
	case []any:
		for _, element := range value {
			if holds(element, found) {
				return true
			}
		}
	}
	return false
}

// CopySecrets marks in outputs what is secret in inputs, in place. Maps are followed key by key, so that one secret
// does not hide a whole object; a list with a secret in it becomes secret as a whole, since servers reorder lists.
// The data of a Kubernetes Secret is always secret, whatever the program said of it.
func CopySecrets(outputs, inputs map[string]any) {
	if outputs["kind"] == "Secret" {
		for _, key := range []string{"data", "stringData"} {
			if value, ok := outputs[key]; ok {
				outputs[key] = MakeSecret(value)
			}
		}
		return
	}
	for key, input := range inputs {
		output, ok := outputs[key]
		if !ok {
			continue
		}
		outputObject, outputIsObject := output.(map[string]any)
		inputObject, inputIsObject := input.(map[string]any)
		if outputIsObject && inputIsObject {
			CopySecrets(outputObject, inputObject)
		} else if HasSecret(input) {
			outputs[key] = MakeSecret(output)
		}
	}
}

// MakeSecret wraps a value unless it is secret already.
func MakeSecret(value any) Secret {
	if secret, ok := value.(Secret); ok {
		return secret
	}
	return Secret{Value: value}
}

// CopyUnknowns marks in outputs what is unknown in inputs, in place.
func CopyUnknowns(outputs, inputs map[string]any) {
	for key, input := range inputs {
		if output, ok := outputs[key]; ok {
			outputs[key] = copyUnknown(output, input)
		}
	}
}

func copyUnknown(output, input any) any {
	switch input := input.(type) {
	case Secret:
		return copyUnknown(output, input.Value)
	case Unknown:
		return input
	case map[string]any:
		if object, ok := output.(map[string]any); ok {
			CopyUnknowns(object, input)
		}
	case []any:
		if list, ok := output.([]any); ok {
			for i := 0; i < len(list) && i < len(input); i++ {
				list[i] = copyUnknown(list[i], input[i])
			}
		}
	}
	return output
}
