from infra import naming


def test_a_service_is_named_in_full_so_that_a_rule_means_the_same_in_every_namespace() -> None:
    assert naming.service_host("inception", "models") == "inception.models.svc.cluster.local"


def test_callers_are_told_the_rest_port_and_tf_servings_path() -> None:
    assert (
        naming.model_url("inception", "models") == "http://inception.models.svc.cluster.local:8501/v1/models/inception"
    )


def test_versions_are_found_under_the_names_that_operators_look_for() -> None:
    assert naming.version_name("inception", "v2") == "inception-v2"


def test_a_model_finds_the_pods_of_all_versions_and_a_version_only_its_own() -> None:
    first, second = naming.version_labels("inception", "v1"), naming.version_labels("inception", "v2")
    other = naming.version_labels("resnet", "v1")
    assert naming.selector("inception").items() <= first.items()
    assert naming.selector("inception").items() <= second.items()
    assert not naming.selector("inception").items() <= other.items()
    assert naming.version_selector("inception", "v1").items() <= first.items()
    assert not naming.version_selector("inception", "v1").items() <= second.items()
    assert not naming.version_selector("inception", "v1").items() <= other.items()


def test_telemetry_and_kubectl_tell_the_same_name_and_version() -> None:
    labels = naming.version_labels("inception", "v2")
    assert labels["app"] == labels["app.kubernetes.io/name"] == "inception"
    assert labels["version"] == labels["app.kubernetes.io/version"] == "v2"


def test_everything_of_this_program_can_be_found_by_one_label() -> None:
    for labels in (naming.part_of(), naming.labels("inception"), naming.version_labels("inception", "v2")):
        assert labels["app.kubernetes.io/part-of"] == "tfserving-mesh"


def test_no_selector_of_a_deployment_holds_a_label_that_may_change() -> None:
    assert set(naming.version_selector("inception", "v2")) == {"app", "version"}


def test_istio_can_tell_the_protocol_from_the_ports_names() -> None:
    assert naming.GRPC_PORT_NAME.startswith("grpc-")
    assert naming.HTTP_PORT_NAME.startswith("http-")


def test_type_tokens_stay_for_they_are_part_of_every_urn() -> None:
    assert naming.type_token("RouteRule") == "tfserving-mesh:index:RouteRule"
