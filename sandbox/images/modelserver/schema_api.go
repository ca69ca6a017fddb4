package main

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The messages of the gRPC API. An enum of which only a number is needed is described as the int32 that it is on the wire.

const tensorPackage = "tensorflow"

const dtFloat = 1

// The numbers of ModelVersionStatus.State.
var stateNumbers = map[versionState]int32{
	stateStart: 10, stateLoading: 20, stateAvailable: 30, stateUnloading: 40, stateEnd: 50,
}

var tensorSchema = compileSchema(&descriptorpb.FileDescriptorProto{
	Name:    proto.String("modelserver/tensor.proto"),
	Package: proto.String(tensorPackage),
	Syntax:  proto.String("proto3"),
	MessageType: []*descriptorpb.DescriptorProto{
		message("TensorShapeProto", message("Dim", field("size", 1, typeInt64), field("name", 2, typeString)),
			repeated(of("dim", 2, tensorPackage+".TensorShapeProto.Dim")), field("unknown_rank", 3, typeBool)),
		message("TensorProto", field("dtype", 1, typeInt32), of("tensor_shape", 2, tensorPackage+".TensorShapeProto"),
			field("version_number", 3, typeInt32), field("tensor_content", 4, typeBytes),
			repeated(field("float_val", 5, typeFloat))),
		message("TensorInfo", field("name", 1, typeString), field("dtype", 2, typeInt32),
			of("tensor_shape", 3, tensorPackage+".TensorShapeProto")),
		message("SignatureDef",
			mapEntry("InputsEntry", of("value", 2, tensorPackage+".TensorInfo")),
			mapEntry("OutputsEntry", of("value", 2, tensorPackage+".TensorInfo")),
			repeated(of("inputs", 1, tensorPackage+".SignatureDef.InputsEntry")),
			repeated(of("outputs", 2, tensorPackage+".SignatureDef.OutputsEntry")),
			field("method_name", 3, typeString)),
	},
})

var apiSchema = compileSchema(&descriptorpb.FileDescriptorProto{
	Name:    proto.String("modelserver/api.proto"),
	Package: proto.String(apiPackage),
	Syntax:  proto.String("proto3"),
	Dependency: []string{
		wrapperspb.File_google_protobuf_wrappers_proto.Path(), anypb.File_google_protobuf_any_proto.Path(), tensorSchema.Path(),
	},
	MessageType: apiMessages(),
})

func apiMessages() []*descriptorpb.DescriptorProto {
	spec := func() *descriptorpb.FieldDescriptorProto { return of("model_spec", 1, apiPackage+".ModelSpec") }
	return []*descriptorpb.DescriptorProto{
		message("ModelSpec", field("name", 1, typeString),
			oneof{"version_choice", []*descriptorpb.FieldDescriptorProto{
				of("version", 2, "google.protobuf.Int64Value"), field("version_label", 4, typeString),
			}},
			field("signature_name", 3, typeString)),
		message("PredictRequest", spec(), mapEntry("InputsEntry", of("value", 2, tensorPackage+".TensorProto")),
			repeated(of("inputs", 2, apiPackage+".PredictRequest.InputsEntry")), repeated(field("output_filter", 3, typeString))),
		message("PredictResponse", mapEntry("OutputsEntry", of("value", 2, tensorPackage+".TensorProto")),
			repeated(of("outputs", 1, apiPackage+".PredictResponse.OutputsEntry")), of("model_spec", 2, apiPackage+".ModelSpec")),
		message("ExamplesRequest", spec()), // what ClassificationRequest and RegressionRequest begin with
		message("GetModelStatusRequest", spec()),
		message("StatusProto", field("error_code", 1, typeInt32), field("error_message", 2, typeString)),
		message("ModelVersionStatus", field("version", 1, typeInt64), field("state", 2, typeInt32),
			of("status", 3, apiPackage+".StatusProto")),
		message("GetModelStatusResponse", repeated(of("model_version_status", 1, apiPackage+".ModelVersionStatus"))),
		message("SignatureDefMap", mapEntry("SignatureDefEntry", of("value", 2, tensorPackage+".SignatureDef")),
			repeated(of("signature_def", 1, apiPackage+".SignatureDefMap.SignatureDefEntry"))),
		message("GetModelMetadataRequest", spec(), repeated(field("metadata_field", 2, typeString))),
		message("GetModelMetadataResponse", spec(), mapEntry("MetadataEntry", of("value", 2, "google.protobuf.Any")),
			repeated(of("metadata", 2, apiPackage+".GetModelMetadataResponse.MetadataEntry"))),
	}
}
