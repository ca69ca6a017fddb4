package main

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// grpcStatus answers ModelService.GetModelStatus.
func (c *core) grpcStatus(_ context.Context, request protoreflect.Message) (*dynamicpb.Message, *status) {
	if !has(request, "model_spec") {
		return nil, invalid("Missing ModelSpec")
	}
	spec, _ := readSpec(request)
	versions, failure := c.manager.states(spec.name, spec.version)
	if failure != nil {
		return nil, failure
	}
	response := newMessage("GetModelStatusResponse")
	list := mutable(response, "model_version_status").List()
	for _, version := range versions {
		entry := list.AppendMutable().Message()
		set(entry, "version", version.version)
		set(entry, "state", stateNumbers[version.state])
		health := mutable(entry, "status").Message()
		if version.health != nil {
			set(health, "error_code", int32(version.health.code))
			set(health, "error_message", version.health.message)
		}
	}
	return response, nil
}

const signatureDefField = "signature_def"

// grpcMetadata answers PredictionService.GetModelMetadata.
func (c *core) grpcMetadata(_ context.Context, request protoreflect.Message) (*dynamicpb.Message, *status) {
	if !has(request, "model_spec") {
		return nil, invalid("Missing ModelSpec")
	}
	fields := get(request, "metadata_field").List()
	if fields.Len() == 0 {
		return nil, invalid("GetModelMetadataRequest must specify at least one metadata_field")
	}
	for i := range fields.Len() {
		if asked := fields.Get(i).String(); asked != signatureDefField {
			return nil, invalid("Metadata field " + asked + " is not supported")
		}
	}
	spec, _ := readSpec(request)
	_, version, failure := c.find(spec)
	if failure != nil {
		return nil, failure
	}
	response := newMessage("GetModelMetadataResponse")
	writeSpec(response, spec.name, "", version)
	packed, err := proto.Marshal(signatures())
	if err != nil {
		return nil, &status{codeInternal, err.Error()}
	}
	metadata := mutable(response, "metadata").Map()
	entry := metadata.Mutable(protoreflect.ValueOfString(signatureDefField).MapKey()).Message()
	set(entry, "type_url", "type.googleapis.com/"+apiPackage+".SignatureDefMap")
	set(entry, "value", packed)
	return response, nil
}

// signatures is the SignatureDefMap of every model.
func signatures() *dynamicpb.Message {
	all := newMessage("SignatureDefMap")
	key := protoreflect.ValueOfString(defaultSignature).MapKey()
	signature := mutable(all, "signature_def").Map().Mutable(key).Message()
	for side, alias := range map[protoreflect.Name]string{"inputs": inputName, "outputs": outputName} {
		info := mutable(signature, side).Map().Mutable(protoreflect.ValueOfString(alias).MapKey()).Message()
		set(info, "name", alias+":0")
		set(info, "dtype", int32(dtFloat))
		dims := mutable(mutable(info, "tensor_shape").Message(), "dim").List()
		set(dims.AppendMutable().Message(), "size", int64(-1))
		set(dims.AppendMutable().Message(), "size", int64(1))
	}
	set(signature, "method_name", predictMethod)
	return all
}
