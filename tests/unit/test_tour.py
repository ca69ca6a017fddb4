"""What `make up` ends with."""

from sandbox.tour import VersionView, answered_by, next_step, table


def metadata(version: str) -> str:
    return f'{{"model_spec":{{"name":"half-plus","signature_name":"","version":"{version}"}},"metadata":{{"signa...'


def view(name: str, configured: int) -> VersionView:
    return VersionView(name, int(name[1:]), "1/1", configured, configured, 10 * configured)


def test_answers_are_counted_by_the_version_that_gave_them_though_they_are_cut_short() -> None:
    assert answered_by({metadata("1"): 940, metadata("2"): 60}) == {1: 940, 2: 60}


def test_an_answer_of_no_version_is_not_counted_as_one() -> None:
    assert answered_by({"upstream connect error": 7, '{"error":"version"}': 3, metadata("1"): 1}) == {0: 10, 1: 1}


def test_the_next_step_is_one_that_can_be_typed() -> None:
    one = {"half-plus": [view("v1", 95), view("v2", 5)]}
    assert next_step(one) == ["pulumi config set v2Weight 25", "pulumi up"]
    several = {**one, "resnet": [view("v1", 100)]}
    assert next_step(several)[0] == "pulumi config set half-plus:v2Weight 25"


def test_a_finished_rollout_proposes_no_step() -> None:
    assert next_step({"half-plus": [view("v1", 100)]}) == []
    assert next_step({"half-plus": [view("v1", 50), view("v2", 50)]}) == []


def test_a_proxy_without_the_route_is_not_shown_as_zero() -> None:
    blind = VersionView("v2", 2, "1/1", 5, None, 0)
    cells = [list(column.cells) for column in table({"half-plus": [blind]}).columns]
    assert cells[5] == ["no route"]
