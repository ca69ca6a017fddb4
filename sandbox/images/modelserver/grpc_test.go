package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// serveGRPC serves one version with that model.json under the name m.
func serveGRPC(t *testing.T, content string) (*core, *grpc.ClientConn) {
	t.Helper()
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", content)
	core, _ := serve(t, defaults(), modelConfig{name: "m", basePath: basePath, platform: tensorflowPlatform})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newGRPCServer(core)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return core, dial(t, listener.Addr().String())
}

// invoke sends a request in text format and gives the answer's.
func invoke(t *testing.T, connection *grpc.ClientConn, rpc string, takes, gives protoreflect.Name, request string) (*dynamicpb.Message, error) {
	t.Helper()
	sent, received := newMessage(takes), newMessage(gives)
	if err := prototext.Unmarshal([]byte(request), sent); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return received, connection.Invoke(ctx, "/tensorflow.serving."+rpc, sent, received)
}

func predict(t *testing.T, connection *grpc.ClientConn, request string) (*dynamicpb.Message, error) {
	t.Helper()
	return invoke(t, connection, "PredictionService/Predict", "PredictRequest", "PredictResponse", request)
}

func sameMessage(t *testing.T, got *dynamicpb.Message, want string) {
	t.Helper()
	wanted := dynamicpb.NewMessage(got.Descriptor())
	if err := prototext.Unmarshal([]byte(want), wanted); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, wanted) {
		t.Errorf("got %v\nwant %v", got, wanted)
	}
}

func TestGRPCPredictAnswers(t *testing.T) {
	core, connection := serveGRPC(t, halfPlusTwo)
	const spec = `model_spec { name: "m" signature_name: "serving_default" version { value: 1 } } `
	for tensors, want := range map[string]string{
		`tensor_shape { dim { size: 3 } } float_val: [1, 2, 5]`:               `tensor_shape { dim { size: 3 } } float_val: [2.5, 3, 4.5]`,
		`tensor_shape { dim { size: 2 } dim { size: 1 } } float_val: 4`:       `tensor_shape { dim { size: 2 } dim { size: 1 } } float_val: [4, 4]`,
		`tensor_shape { dim { size: 1 } } tensor_content: "\000\000\200\077"`: `tensor_shape { dim { size: 1 } } float_val: 2.5`,
		`tensor_shape { } float_val: 2`:                                       `tensor_shape { } float_val: 3`,
	} {
		got, err := predict(t, connection, `model_spec { name: "m" } inputs { key: "x" value { dtype: 1 `+tensors+` } }`)
		if err != nil {
			t.Errorf("%s: %v", tensors, err)
			continue
		}
		sameMessage(t, got, spec+`outputs { key: "y" value { dtype: 1 `+want+` } }`)
	}
	if line := `:tensorflow:serving:request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 4`; !strings.Contains(core.metrics.page(), line) {
		t.Errorf("no line %s", line)
	}
}

func TestGRPCPredictRefuses(t *testing.T) {
	_, connection := serveGRPC(t, halfPlusTwo)
	const spec, x = `model_spec { name: "m" } `, `inputs { key: "x" value { dtype: 1 tensor_shape { dim { size: 1 } } float_val: 1 } } `
	for request, want := range map[string]struct {
		code    codes.Code
		message string
	}{
		``:                             {codes.InvalidArgument, "Missing ModelSpec"},
		`model_spec { }` + x:           {codes.InvalidArgument, "ModelSpec has no name specified."},
		`model_spec { name: "o" }` + x: {codes.NotFound, "Servable not found for request: Latest(o)"},
		`model_spec { name: "m" version { value: 7 } }` + x:    {codes.NotFound, "Servable not found for request: Specific(m, 7)"},
		`model_spec { name: "m" version_label: "canary" }` + x: {codes.InvalidArgument, "Unrecognized servable version label: canary"},
		`model_spec { name: "m" signature_name: "s" }` + x:     {codes.FailedPrecondition, `Serving signature key "s" not found.`},
		spec: {codes.InvalidArgument, "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}."},
		spec + x + `inputs { key: "z" value { } }`: {codes.InvalidArgument,
			"input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}."},
		spec + `inputs { key: "z" value { } }`: {codes.InvalidArgument,
			"input tensor alias not found in signature: z. Inputs expected to be in the set {x}."},
		spec + `inputs { key: "x" value { dtype: 2 } }`:                                                                    {codes.InvalidArgument, "Expects arg[0] to be float but another type is provided"},
		spec + `inputs { key: "x" value { dtype: 1 tensor_shape { dim { size: 2 } } tensor_content: "abcd" } }`:            {codes.InvalidArgument, "tensor parsing error: x"},
		spec + `inputs { key: "x" value { dtype: 1 tensor_shape { dim { size: 9000000000 } dim { size: 9000000000 } } } }`: {codes.InvalidArgument, "tensor parsing error: x"},
		spec + x + `output_filter: "z"`: {codes.InvalidArgument, "output tensor alias not found in signature: z Outputs expected to be in the set {y}."},
	} {
		_, err := predict(t, connection, request)
		if grpcstatus.Code(err) != want.code || grpcstatus.Convert(err).Message() != want.message {
			t.Errorf("%s\n got %v\nwant %v %s", request, err, want.code, want.message)
		}
	}
	_, err := invoke(t, connection, "PredictionService/Regress", "ExamplesRequest", "PredictResponse", spec)
	if !strings.HasPrefix(grpcstatus.Convert(err).Message(), "No regression inputs found in SignatureDef: ") {
		t.Errorf("got %v", err)
	}
	_, err = invoke(t, connection, "PredictionService/MultiInference", "ExamplesRequest", "PredictResponse", spec)
	if grpcstatus.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}

func TestGRPCFaultsCarryTheModelsCode(t *testing.T) {
	_, connection := serveGRPC(t, `{"error_ratio": 1, "error_code": "UNAVAILABLE", "error_message": "`+strings.Repeat("m", 2000)+`"}`)
	_, err := predict(t, connection, `model_spec { name: "m" } inputs { key: "x" value { dtype: 1 } }`)
	if got := grpcstatus.Convert(err); got.Code() != codes.Unavailable || got.Message() != strings.Repeat("m", 1024)+"...TRUNCATED" {
		t.Errorf("got %v", err)
	}
}

func TestGRPCStatusAndMetadata(t *testing.T) {
	_, connection := serveGRPC(t, halfPlusTwo)
	got, err := invoke(t, connection, "ModelService/GetModelStatus", "GetModelStatusRequest", "GetModelStatusResponse", `model_spec { name: "m" }`)
	if err != nil {
		t.Fatal(err)
	}
	sameMessage(t, got, `model_version_status { version: 1 state: 30 status { } }`)
	_, err = invoke(t, connection, "ModelService/GetModelStatus", "GetModelStatusRequest", "GetModelStatusResponse", `model_spec { name: "o" }`)
	if grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
	got, err = invoke(t, connection, "PredictionService/GetModelMetadata", "GetModelMetadataRequest", "GetModelMetadataResponse",
		`model_spec { name: "m" } metadata_field: "signature_def"`)
	if err != nil {
		t.Fatal(err)
	}
	packed := get(got, "metadata").Map().Get(protoreflect.ValueOfString("signature_def").MapKey()).Message()
	unpacked := newMessage("SignatureDefMap")
	if err := proto.Unmarshal(get(packed, "value").Bytes(), unpacked); err != nil {
		t.Fatal(err)
	}
	sameMessage(t, unpacked, `signature_def { key: "serving_default" value {
		inputs { key: "x" value { name: "x:0" dtype: 1 tensor_shape { dim { size: -1 } dim { size: 1 } } } }
		outputs { key: "y" value { name: "y:0" dtype: 1 tensor_shape { dim { size: -1 } dim { size: 1 } } } }
		method_name: "tensorflow/serving/predict" } }`)
	_, err = invoke(t, connection, "PredictionService/GetModelMetadata", "GetModelMetadataRequest", "GetModelMetadataResponse",
		`model_spec { name: "m" } metadata_field: "other"`)
	if grpcstatus.Convert(err).Message() != "Metadata field other is not supported" {
		t.Errorf("got %v", err)
	}
}
