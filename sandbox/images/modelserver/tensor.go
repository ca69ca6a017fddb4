package main

import (
	"fmt"
	"sort"
	"strings"
)

// The models' one signature, named as in TF Serving's half_plus_two: float x in, float y out.
const (
	defaultSignature = "serving_default"
	inputName        = "x"
	outputName       = "y"
	predictMethod    = "tensorflow/serving/predict"
)

// tensor is a dense float tensor, values in row-major order.
type tensor struct {
	shape  []int
	values []float32
}

// requestFormat is how a predict request lists its inputs, and so how the answer lists the outputs.
type requestFormat int

const (
	rowFormat    requestFormat = iota // "instances" -> "predictions"
	columnFormat                      // "inputs" -> "outputs"
)

func formatError(v *jsonValue, words string) *status {
	return invalid("JSON Value: " + v.debugString() + " " + words)
}

func typeError(v *jsonValue) *status {
	return formatError(v, "Type: "+string(v.kind)+" is not of expected type: float")
}

// parseBody reads a request body, which has to be one JSON object.
func parseBody(body string) (jsonValue, *status) {
	document, failure := parseJSON(body)
	if failure == nil && document.kind != jsonObject {
		failure = formatError(&document, "Is not object")
	}
	return document, failure
}

// signatureOf gives the signature that a request names, "" when it names none.
func signatureOf(document *jsonValue) (string, *status) {
	named := document.member("signature_name")
	if named == nil {
		return "", nil
	}
	if named.kind != jsonString {
		return "", formatError(document, "not formatted correctly. 'signature_name' key must be a string value.")
	}
	return named.text, nil
}

// readInputs makes the tensor of a predict request out of its "instances" or "inputs".
func readInputs(document *jsonValue) (tensor, requestFormat, *status) {
	instances, inputs := document.member("instances"), document.member("inputs")
	switch {
	case instances != nil && inputs != nil:
		return tensor{}, 0, formatError(document,
			"Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
	case instances != nil && instances.kind != jsonArray:
		return tensor{}, 0, formatError(document, "Expecting 'instances' to be an list/array")
	case instances != nil && len(instances.items) == 0:
		return tensor{}, 0, formatError(document, "No values in 'instances' array")
	case instances != nil:
		read, failure := readInstances(instances.items)
		return read, rowFormat, failure
	case inputs != nil:
		read, failure := readColumn(inputs)
		return read, columnFormat, failure
	}
	return tensor{}, 0, invalid("Missing 'inputs' or 'instances' key")
}

// isBase64 tells the one kind of JSON object that stands for a value.
func isBase64(v *jsonValue) bool {
	return v.kind == jsonObject && len(v.members) == 1 && v.members[0].name == "b64" &&
		v.members[0].value.kind == jsonString
}

func isNamed(v *jsonValue) bool { return v.kind == jsonObject && !isBase64(v) }

// readInstances stacks the elements, plain values or objects {"x": value}, into one tensor.
func readInstances(items []jsonValue) (tensor, *status) {
	var stacked tensor
	named := isNamed(&items[0])
	for i := range items {
		item := &items[i]
		if named && !isNamed(item) {
			return tensor{}, invalid(fmt.Sprintf("Expecting object but got list at item %d of input list", i))
		}
		if !named && isNamed(item) {
			return tensor{}, invalid(fmt.Sprintf("Expecting value/list but got object at item %d of input list", i))
		}
		if failure := stacked.addInstance(item, i, named); failure != nil {
			return tensor{}, failure
		}
	}
	stacked.shape = append([]int{len(items)}, stacked.shape...)
	return stacked, nil
}

// addInstance appends one element's values; the shape of the first is that of all.
func (t *tensor) addInstance(item *jsonValue, position int, named bool) *status {
	if !named {
		if failure := t.addItem(item, position == 0); failure != nil {
			return invalid(fmt.Sprintf("Failed to process element: %d of 'instances' list. Error: %s", position, failure))
		}
		return nil
	}
	keys := map[string]bool{}
	for i := range item.members {
		key := item.members[i].name
		keys[key] = true
		failure := invalid("JSON object: does not have named input: " + key)
		if key == inputName {
			failure = t.addItem(&item.members[i].value, position == 0)
		}
		if failure != nil {
			return invalid(fmt.Sprintf("Failed to process element: %d key: %s of 'instances' list. Error: %s",
				position, key, failure))
		}
	}
	if !keys[inputName] {
		return invalid(fmt.Sprintf("Failed to process element: %d of 'instances' list. JSON object: %s keys must be equal to: %s",
			position, item.debugString(), inputName))
	}
	return nil
}

func (t *tensor) addItem(item *jsonValue, first bool) *status {
	one := tensor{shape: denseShape(item)}
	if failure := one.fill(item, 0); failure != nil {
		return failure
	}
	if first {
		t.shape = one.shape
	} else if sizeOf(t.shape) != len(one.values) {
		return invalid(fmt.Sprintf("Expecting tensor size: %d but got: %d", sizeOf(t.shape), len(one.values)))
	} else if shapeString(t.shape) != shapeString(one.shape) {
		return invalid("Expecting shape " + shapeString(t.shape) + " but got: " + shapeString(one.shape))
	}
	t.values = append(t.values, one.values...)
	return nil
}

// readColumn reads "inputs": the tensor itself, or an object that holds it under its name.
func readColumn(inputs *jsonValue) (tensor, *status) {
	value := inputs
	if isNamed(inputs) {
		if value = inputs.member(inputName); value == nil {
			return tensor{}, invalid("Missing named input: " + inputName + " in 'inputs' object.")
		}
	}
	read := tensor{shape: denseShape(value)}
	return read, read.fill(value, 0)
}

// denseShape follows the first element of each list down.
func denseShape(v *jsonValue) []int {
	var shape []int
	for v.kind == jsonArray {
		shape = append(shape, len(v.items))
		if len(v.items) == 0 {
			break
		}
		v = &v.items[0]
	}
	return shape
}

func sizeOf(shape []int) int {
	size := 1
	for _, length := range shape {
		size *= length
	}
	return size
}

func shapeString(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}

// fill appends the numbers of v, which stands level lists deep, if lists and numbers stand where the shape has them.
func (t *tensor) fill(v *jsonValue, level int) *status {
	if v.kind != jsonArray {
		if level != len(t.shape) {
			return invalid(fmt.Sprintf("JSON Value: %s found at incorrect level: %d in the JSON DOM. Expected at level: %d",
				v.debugString(), level+1, len(t.shape)))
		}
		if v.kind != jsonNumber {
			return typeError(v)
		}
		t.values = append(t.values, float32(v.number))
		return nil
	}
	if level >= len(t.shape) {
		return invalid(fmt.Sprintf("Encountered list at unexpected level: %d expected < %d", level, len(t.shape)))
	}
	if len(v.items) != t.shape[level] {
		return invalid(fmt.Sprintf("Encountered list at unexpected size: %d at level: %d expected size: %d",
			len(v.items), level, t.shape[level]))
	}
	for i := range v.items {
		if failure := t.fill(&v.items[i], level+1); failure != nil {
			return failure
		}
	}
	return nil
}

// render writes the answer in the format of the request.
func (t *tensor) render(format requestFormat) string {
	w := &prettyWriter{out: make([]byte, 0, 64+16*len(t.values))}
	rest := t.values
	w.begin(false)
	if format == columnFormat {
		w.string("outputs")
		w.tensor(t.shape, &rest)
		w.end()
		return string(w.out)
	}
	w.string("predictions")
	w.begin(true)
	for range t.shape[0] {
		w.singleLine = true
		w.tensor(t.shape[1:], &rest)
		w.singleLine = false // so that the closing bracket stands alone, as in the real answers
	}
	w.end()
	w.end()
	return string(w.out)
}

func (w *prettyWriter) tensor(shape []int, rest *[]float32) {
	if len(shape) == 0 {
		w.raw(decimal((*rest)[0]))
		*rest = (*rest)[1:]
		return
	}
	w.begin(true)
	for range shape[0] {
		w.tensor(shape[1:], rest)
	}
	w.end()
}

// readExamples checks a classify or regress request, which has to hold a list of feature objects.
func readExamples(document *jsonValue) *status {
	if context := document.member("context"); context != nil {
		if failure := checkExample(context); failure != nil {
			return failure
		}
	}
	examples := document.member("examples")
	switch {
	case examples == nil:
		return formatError(document, "When method is classify, key 'examples' is expected and was not found")
	case examples.kind != jsonArray:
		return formatError(document, "Expecting 'examples' value to be an list/array")
	case len(examples.items) == 0:
		return formatError(document, "'examples' value is an empty array")
	}
	for i := range examples.items {
		if failure := checkExample(&examples.items[i]); failure != nil {
			return failure
		}
	}
	return nil
}

func checkExample(example *jsonValue) *status {
	if example.kind != jsonObject {
		return invalid("Example must be JSON object but got JSON " + string(example.kind))
	}
	for i := range example.members {
		feature := &example.members[i]
		values := []jsonValue{feature.value}
		if feature.value.kind == jsonArray {
			values = feature.value.items
		}
		for j := range values {
			kind := values[j].kind
			if kind == jsonNull || kind == jsonArray || isNamed(&values[j]) {
				return invalid("Feature: " + feature.name + " has element with unexpected JSON type: " + string(kind))
			}
		}
	}
	return nil
}

// sortedKeys lists a map's keys in order, for answers that do not change from call to call.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
