package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxElements bounds the tensors of a request: a shape of a few bytes can ask for any amount of memory.
const maxElements = 1 << 24

// maxGRPCMessage is where the real server cuts error messages.
const maxGRPCMessage = 1024

// handler answers one call; ctx carries its deadline.
type handler func(ctx context.Context, request protoreflect.Message) (*dynamicpb.Message, *status)

func newMessage(name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(apiSchema.Messages().ByName(name))
}

func set(m protoreflect.Message, name protoreflect.Name, value any) {
	m.Set(m.Descriptor().Fields().ByName(name), protoreflect.ValueOf(value))
}

func mutable(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	return m.Mutable(m.Descriptor().Fields().ByName(name))
}

// registerAPI adds PredictionService and ModelService. MultiInference and config reload over gRPC are not served.
func registerAPI(server *grpc.Server, core *core) {
	examples := func(kind string) handler {
		return func(_ context.Context, request protoreflect.Message) (*dynamicpb.Message, *status) {
			spec, signature := readSpec(request)
			if _, _, failure := core.find(spec); failure != nil {
				return nil, failure
			}
			return nil, core.refuseExamples(signature, kind)
		}
	}
	server.RegisterService(describeService("PredictionService", core, map[string]method{
		"Predict":          {"PredictRequest", core.grpcPredict},
		"GetModelMetadata": {"GetModelMetadataRequest", core.grpcMetadata},
		"Classify":         {"ExamplesRequest", examples("classification")},
		"Regress":          {"ExamplesRequest", examples("regression")},
	}), core)
	server.RegisterService(describeService("ModelService", core, map[string]method{
		"GetModelStatus": {"GetModelStatusRequest", core.grpcStatus},
	}), core)
}

// method is one rpc: the message that it takes and what answers it.
type method struct {
	request protoreflect.Name
	handle  handler
}

func describeService(name string, core *core, methods map[string]method) *grpc.ServiceDesc {
	described := &grpc.ServiceDesc{ServiceName: apiPackage + "." + name, HandlerType: (*any)(nil)}
	for _, rpc := range sortedKeys(methods) {
		answers := methods[rpc]
		counted := name == "PredictionService" && rpc != "GetModelMetadata"
		described.Methods = append(described.Methods, grpc.MethodDesc{MethodName: rpc, Handler: func(
			_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := newMessage(answers.request)
			if err := decode(request); err != nil {
				return nil, err
			}
			started := time.Now()
			response, failure := answers.handle(ctx, request)
			outcome := codeOK
			if failure != nil {
				outcome = failure.code
			}
			if counted {
				spec, _ := readSpec(request)
				core.metrics.recordRequest(spec.name, rpc, "GRPC", outcome, time.Since(started))
			}
			if failure != nil {
				return nil, grpcError(failure)
			}
			return response, nil
		}})
	}
	return described
}

func grpcError(failure *status) error {
	message := failure.message
	if len(message) > maxGRPCMessage {
		message = message[:maxGRPCMessage] + "...TRUNCATED"
	}
	return grpcstatus.Error(codes.Code(failure.code), strings.ToValidUTF8(message, ""))
}

// readSpec reads the model_spec that every request has.
func readSpec(request protoreflect.Message) (spec modelSpec, signature string) {
	read := get(request, "model_spec").Message()
	spec = modelSpec{name: get(read, "name").String(), label: get(read, "version_label").String()}
	if has(read, "version") {
		version := get(get(read, "version").Message(), "value").Int()
		spec.version = &version
	}
	return spec, orDefault(get(read, "signature_name").String(), defaultSignature)
}

func writeSpec(response protoreflect.Message, name, signature string, version int64) {
	spec := mutable(response, "model_spec").Message()
	set(spec, "name", name)
	set(spec, "signature_name", signature)
	set(mutable(spec, "version").Message(), "value", version)
}

func (c *core) grpcPredict(ctx context.Context, request protoreflect.Message) (*dynamicpb.Message, *status) {
	if !has(request, "model_spec") {
		return nil, invalid("Missing ModelSpec")
	}
	spec, signature := readSpec(request)
	model, version, failure := c.find(spec)
	if failure != nil {
		return nil, failure
	}
	if signature != defaultSignature {
		return nil, &status{codeFailedPrecondition, fmt.Sprintf("Serving signature key \"%s\" not found.", signature)}
	}
	inputs, failure := readNamedTensor(get(request, "inputs").Map())
	if failure != nil {
		return nil, failure
	}
	if failure := checkOutputs(get(request, "output_filter").List()); failure != nil {
		return nil, failure
	}
	timeout := time.Duration(0)
	if deadline, limited := ctx.Deadline(); limited {
		timeout = max(time.Until(deadline), time.Nanosecond)
	}
	started := time.Now()
	if failure := model.run(inputs.values, timeout); failure != nil {
		return nil, failure
	}
	c.metrics.recordRun(spec.name, time.Since(started))
	response := newMessage("PredictResponse")
	writeSpec(response, spec.name, signature, version)
	outputs := mutable(response, "outputs").Map()
	inputs.write(outputs.Mutable(protoreflect.ValueOfString(outputName).MapKey()).Message())
	return response, nil
}

// readNamedTensor takes the one input out of a request's map.
func readNamedTensor(inputs protoreflect.Map) (tensor, *status) {
	given := map[string]protoreflect.Message{}
	inputs.Range(func(name protoreflect.MapKey, value protoreflect.Value) bool {
		given[name.String()] = value.Message()
		return true
	})
	names := sortedKeys(given)
	value, present := given[inputName]
	if len(names) != 1 {
		missing, extra := inputName, []string{}
		for _, name := range names {
			if name == inputName {
				missing = ""
			} else {
				extra = append(extra, name)
			}
		}
		return tensor{}, invalid(fmt.Sprintf("input size does not match signature: %d!=1 len({%s}) != len({%s}). Sent extra: {%s}. "+
			"Missing but required: {%s}.", len(names), strings.Join(names, ","), inputName, strings.Join(extra, ","), missing))
	}
	if !present {
		return tensor{}, invalid("input tensor alias not found in signature: " + names[0] +
			". Inputs expected to be in the set {" + inputName + "}.")
	}
	return readTensor(value)
}

// readTensor decodes a TensorProto: raw content, or float_val, of which the last value fills what is missing.
func readTensor(m protoreflect.Message) (tensor, *status) {
	broken := invalid("tensor parsing error: " + inputName)
	if get(m, "dtype").Int() != dtFloat {
		return tensor{}, invalid("Expects arg[0] to be float but another type is provided")
	}
	var read tensor
	count := int64(1)
	dims := get(get(m, "tensor_shape").Message(), "dim").List()
	for i := range dims.Len() {
		size := get(dims.Get(i).Message(), "size").Int()
		if size < 0 || (size > 0 && count > maxElements/size) {
			return tensor{}, broken
		}
		count *= size
		read.shape = append(read.shape, int(size))
	}
	read.values = make([]float32, count)
	if content := get(m, "tensor_content").Bytes(); len(content) > 0 {
		if int64(len(content)) != 4*count {
			return tensor{}, broken
		}
		for i := range read.values {
			read.values[i] = math.Float32frombits(binary.LittleEndian.Uint32(content[4*i:]))
		}
		return read, nil
	}
	if given := get(m, "float_val").List(); given.Len() > 0 {
		for i := range read.values {
			read.values[i] = float32(given.Get(min(i, given.Len()-1)).Float())
		}
	}
	return read, nil
}

// write fills a TensorProto.
func (t *tensor) write(m protoreflect.Message) {
	set(m, "dtype", int32(dtFloat))
	dims := mutable(mutable(m, "tensor_shape").Message(), "dim").List()
	for _, size := range t.shape {
		set(dims.AppendMutable().Message(), "size", int64(size))
	}
	values := mutable(m, "float_val").List()
	for _, value := range t.values {
		values.Append(protoreflect.ValueOfFloat32(value))
	}
}

func checkOutputs(filter protoreflect.List) *status {
	for i := range filter.Len() {
		if alias := filter.Get(i).String(); alias != outputName {
			return invalid("output tensor alias not found in signature: " + alias + " Outputs expected to be in the set {" + outputName + "}.")
		}
		if i > 0 {
			return invalid("duplicate output tensor alias: " + outputName)
		}
	}
	return nil
}
