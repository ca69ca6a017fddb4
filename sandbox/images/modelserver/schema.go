package main

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The messages of TF Serving's public API that this server reads or sends, by their published names and numbers. They
// are described here rather than compiled from .proto files: nothing has to be generated, and what is not listed is
// rejected as an unknown field, as the real server does.

const apiPackage = "tensorflow.serving"

type fieldType = descriptorpb.FieldDescriptorProto_Type

const (
	typeString  = descriptorpb.FieldDescriptorProto_TYPE_STRING
	typeBool    = descriptorpb.FieldDescriptorProto_TYPE_BOOL
	typeInt32   = descriptorpb.FieldDescriptorProto_TYPE_INT32
	typeInt64   = descriptorpb.FieldDescriptorProto_TYPE_INT64
	typeUint32  = descriptorpb.FieldDescriptorProto_TYPE_UINT32
	typeDouble  = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE
	typeFloat   = descriptorpb.FieldDescriptorProto_TYPE_FLOAT
	typeBytes   = descriptorpb.FieldDescriptorProto_TYPE_BYTES
	typeMessage = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	typeEnum    = descriptorpb.FieldDescriptorProto_TYPE_ENUM
)

// message describes a message by its fields, oneofs and nested types.
func message(name string, parts ...any) *descriptorpb.DescriptorProto {
	described := &descriptorpb.DescriptorProto{Name: proto.String(name)}
	for _, part := range parts {
		switch part := part.(type) {
		case *descriptorpb.FieldDescriptorProto:
			described.Field = append(described.Field, part)
		case *descriptorpb.DescriptorProto:
			described.NestedType = append(described.NestedType, part)
		case oneof:
			index := int32(len(described.OneofDecl))
			described.OneofDecl = append(described.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: &part.name})
			for _, field := range part.fields {
				field.OneofIndex = proto.Int32(index)
				described.Field = append(described.Field, field)
			}
		}
	}
	return described
}

type oneof struct {
	name   string
	fields []*descriptorpb.FieldDescriptorProto
}

func field(name string, number int32, kind fieldType) *descriptorpb.FieldDescriptorProto {
	label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
	return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &kind, Label: &label}
}

// typed is a field of a message or enum type, given by its full name without the leading dot.
func typed(name string, number int32, kind fieldType, typeName string) *descriptorpb.FieldDescriptorProto {
	described := field(name, number, kind)
	described.TypeName = proto.String("." + typeName)
	return described
}

func of(name string, number int32, typeName string) *descriptorpb.FieldDescriptorProto {
	return typed(name, number, typeMessage, typeName)
}

func repeated(described *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	label := descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	described.Label = &label
	return described
}

// mapEntry is the nested type behind a map field with string keys.
func mapEntry(name string, value *descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	entry := message(name, field("key", 1, typeString), value)
	entry.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	return entry
}

func enum(name string, values map[string]int32) *descriptorpb.EnumDescriptorProto {
	described := &descriptorpb.EnumDescriptorProto{Name: &name}
	for number := range int32(len(values)) {
		for value, its := range values {
			if its == number {
				described.Value = append(described.Value,
					&descriptorpb.EnumValueDescriptorProto{Name: proto.String(value), Number: proto.Int32(number)})
			}
		}
	}
	return described
}

func configMessages() []*descriptorpb.DescriptorProto {
	const policy = apiPackage + ".FileSystemStoragePathSourceConfig.ServableVersionPolicy"
	const modelConfig = apiPackage + ".ModelConfig"
	wrapped := func(name string, number int32, kind string) *descriptorpb.FieldDescriptorProto {
		return of(name, number, "google.protobuf."+kind+"Value")
	}
	return []*descriptorpb.DescriptorProto{
		message("FileSystemStoragePathSourceConfig", message("ServableVersionPolicy",
			message("Latest", field("num_versions", 1, typeUint32)),
			message("All"),
			message("Specific", repeated(field("versions", 1, typeInt64))),
			oneof{"policy_choice", []*descriptorpb.FieldDescriptorProto{
				of("latest", 100, policy+".Latest"), of("all", 101, policy+".All"), of("specific", 102, policy+".Specific"),
			}})),
		message("LogCollectorConfig", field("type", 1, typeString), field("filename_prefix", 2, typeString)),
		message("SamplingConfig", field("sampling_rate", 1, typeDouble)),
		message("LoggingConfig", of("log_collector_config", 1, apiPackage+".LogCollectorConfig"),
			of("sampling_config", 2, apiPackage+".SamplingConfig")),
		message("ModelConfig", field("name", 1, typeString), field("base_path", 2, typeString),
			typed("model_type", 3, typeEnum, apiPackage+".ModelType"), field("model_platform", 4, typeString),
			of("logging_config", 6, apiPackage+".LoggingConfig"), of("model_version_policy", 7, policy),
			mapEntry("VersionLabelsEntry", field("value", 2, typeInt64)),
			repeated(of("version_labels", 8, modelConfig+".VersionLabelsEntry"))),
		message("ModelConfigList", repeated(of("config", 1, modelConfig))),
		message("ModelServerConfig", oneof{"config", []*descriptorpb.FieldDescriptorProto{
			of("model_config_list", 1, apiPackage+".ModelConfigList"),
		}}),
		message("PrometheusConfig", field("enable", 1, typeBool), field("path", 2, typeString)),
		message("MonitoringConfig", of("prometheus_config", 1, apiPackage+".PrometheusConfig")),
		message("BatchingParameters", wrapped("max_batch_size", 1, "Int64"), wrapped("batch_timeout_micros", 2, "Int64"),
			wrapped("max_enqueued_batches", 3, "Int64"), wrapped("num_batch_threads", 4, "Int64"),
			wrapped("thread_pool_name", 5, "String"), repeated(field("allowed_batch_sizes", 6, typeInt64)),
			field("pad_variable_length_inputs", 7, typeBool), wrapped("enable_large_batch_splitting", 8, "Bool"),
			wrapped("max_execution_batch_size", 9, "Int64")),
	}
}

var configSchema = compileSchema(&descriptorpb.FileDescriptorProto{
	Name:        proto.String("modelserver/config.proto"),
	Package:     proto.String(apiPackage),
	Syntax:      proto.String("proto3"),
	Dependency:  []string{wrapperspb.File_google_protobuf_wrappers_proto.Path()},
	MessageType: configMessages(),
	EnumType: []*descriptorpb.EnumDescriptorProto{
		enum("ModelType", map[string]int32{"MODEL_TYPE_UNSPECIFIED": 0, "TENSORFLOW": 1, "OTHER": 2}),
	},
})

// compileSchema links a description and makes it known to those that import it. It can only fail by a mistake in such a
// description, which every test would show.
func compileSchema(described *descriptorpb.FileDescriptorProto) protoreflect.FileDescriptor {
	file, err := protodesc.NewFile(described, protoregistry.GlobalFiles)
	if err == nil {
		err = protoregistry.GlobalFiles.RegisterFile(file)
	}
	if err != nil {
		panic(err)
	}
	return file
}
