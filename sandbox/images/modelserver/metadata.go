package main

import (
	"fmt"
	"strings"
)

// The JSON of the status and metadata answers is protobuf's own layout (one space, 64-bit numbers as strings), not that
// of predictions.

// jsonEscaped is a string as protobuf's JSON writes it.
func jsonEscaped(text string) string {
	w := &prettyWriter{}
	w.string(text)
	return string(w.out)
}

func statusBody(versions []versionStatus) string {
	var body strings.Builder
	body.WriteString("{\n \"model_version_status\": [\n")
	for i, v := range versions {
		healthCode, message := codeOK, ""
		if v.health != nil {
			healthCode, message = v.health.code, v.health.message
		}
		fmt.Fprintf(&body, "  {\n   \"version\": \"%d\",\n   \"state\": \"%s\",\n", v.version, v.state)
		fmt.Fprintf(&body, "   \"status\": {\n    \"error_code\": \"%s\",\n    \"error_message\": %s\n   }\n  }",
			healthCode, jsonEscaped(message))
		if i < len(versions)-1 {
			body.WriteString(",")
		}
		body.WriteString("\n")
	}
	body.WriteString(" ]\n}\n")
	return body.String()
}

func metadataBody(name string, version int64) string {
	side := func(alias string) string {
		return `    "` + alias + `": {
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       },
       {
        "size": "1",
        "name": ""
       }
      ],
      "unknown_rank": false
     },
     "name": "` + alias + `:0"
    }
`
	}
	return fmt.Sprintf("{\n\"model_spec\":{\n \"name\": %s,\n \"signature_name\": \"\",\n \"version\": \"%d\"\n}\n,\n",
		jsonEscaped(name), version) +
		"\"metadata\": {\"signature_def\": {\n \"signature_def\": {\n  \"" + defaultSignature + "\": {\n" +
		"   \"inputs\": {\n" + side(inputName) + "   },\n   \"outputs\": {\n" + side(outputName) + "   },\n" +
		"   \"method_name\": \"" + predictMethod + "\",\n   \"defaults\": {}\n  }\n }\n}\n}\n}\n"
}

// signatureText is the signature in protobuf's text format, which TF Serving quotes when it is of the wrong kind.
func signatureText() string {
	side := func(field, alias string) string {
		return field + " {\n  key: \"" + alias + "\"\n  value {\n    name: \"" + alias + ":0\"\n    dtype: DT_FLOAT\n" +
			"    tensor_shape {\n      dim {\n        size: -1\n      }\n      dim {\n        size: 1\n      }\n    }\n  }\n}\n"
	}
	return side("inputs", inputName) + side("outputs", outputName) + "method_name: \"" + predictMethod + "\"\n"
}
