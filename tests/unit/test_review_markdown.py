"""No name breaks the comment, no plan ends in a traceback, and every bar is as wide as the next."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.review import review
from rollout.review_markdown import LIMIT, block, code, prose
from rollout.review_routes import cells
from rollout.review_values import parsed_path, path_text
from tests.unit.test_review import DEPLOYMENT, ROUTE, STEP, UNKNOWN, digest, moved, reviewed, route, step

MANY = settings(max_examples=300, deadline=None, database=None)
NASTY = "`x` | </details><script> --> @all\n# [a](http://b) \u202e **b** &amp; \\"


@MANY
@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 40))
def test_the_cells_of_a_bar_add_up_and_no_share_is_invisible(shares: list[int], width: int) -> None:
    given_cells = cells(shares, width)
    shown = sum(1 for share in shares if share > 0)
    assert sum(given_cells) == (max(width, shown) if shown else 0)
    assert [cell > 0 for cell in given_cells] == [share > 0 for share in shares]


@MANY
@given(st.lists(st.integers(0, 100).filter(bool), min_size=2, max_size=2))
def test_a_larger_share_never_has_fewer_cells(shares: list[int]) -> None:
    assert cells(sorted(shares), 20) == sorted(cells(sorted(shares), 20))


def bars(markdown: str) -> list[str]:
    return [line for line in markdown.split("\n") if re.match(r"^\S+ .*[█░]", line)]


def test_the_bars_of_all_versions_together_fill_the_whole() -> None:
    old, new = {"v1": 90, "v2": 10, "gone": 0}, {"v1": 33, "v2": 33, "v3": 34}
    lines = bars(reviewed(moved(old, new)))
    assert [line.split()[0] for line in lines] == ["v1", "v2", "v3", "gone"]
    assert sum(line.count("█") for line in lines) == 2 * 20
    assert lines[2].endswith("new")
    assert lines[3].endswith("removed")


def test_weights_that_do_not_share_the_whole_are_remarked() -> None:
    assert "the weights sum to 90, not 100" in reviewed(moved({"v1": 95, "v2": 5}, {"v1": 75, "v2": 15}))


def test_an_unknown_weight_is_no_zero() -> None:
    markdown = reviewed(moved({"v1": 95, "v2": 5}, {"v1": 95, "v2": UNKNOWN}))
    assert "`v2` 5 % → known after apply" in markdown


def test_rules_before_the_default_one_and_routes_through_a_gateway_have_splits_of_their_own() -> None:
    def rules(share: int, **spec: Any) -> dict[str, Any]:
        manifest = route({"v1": 100 - share, "v2": share}, **spec)
        destination = {"destination": {"host": "inception.models.svc.cluster.local", "subset": "v2"}}
        early = {"match": [{"headers": {"x-tester": {"exact": "1"}}}], "route": [destination]}
        manifest["spec"]["http"] = [{"redirect": {"uri": "/"}}, early, *manifest["spec"]["http"]]
        return manifest

    markdown = reviewed(
        step("update", ROUTE, "a", rules(5), rules(25)),
        step(
            "update", ROUTE, "b", rules(5, gateways=["x/y"], hosts=["a.b"]), rules(9, gateways=["x/y"], hosts=["a.b"])
        ),
    )
    assert markdown.split("\n")[1].endswith(
        "`inception`: `v2` 5 % → 25 %; `inception` (`through a.b`): `v2` 5 % → 9 %, nothing else changes"
    )
    assert "- `inception` (`by headers x-tester`): `v2` 100 %" in markdown


def test_rules_for_the_mesh_and_for_the_gateway_in_one_route_are_told_by_what_the_gateway_matches() -> None:
    def all_of(share: int) -> dict[str, Any]:
        manifest = route({"v1": 100 - share, "v2": share}, gateways=["mesh", "models/ingress"])
        (rule,) = manifest["spec"]["http"]
        header = {"model-name": {"exact": "inception"}}
        rest = {"gateways": ["models/ingress"], "uri": {"regex": "/v1/models/inception"}}
        grpc = {"gateways": ["models/ingress"], "uri": {"prefix": "/tensorflow.serving."}, "headers": header}
        manifest["spec"]["http"] = [{**rule, "match": [match]} for match in ({"gateways": ["mesh"]}, rest, grpc)]
        return manifest

    told = reviewed(step("update", ROUTE, "a", all_of(5), all_of(25))).split("\n")[1]
    assert "`inception`: `v2` 5 % → 25 %; " in told
    assert "`inception` (`by uri /v1/models/inception`): `v2` 5 % → 25 %" in told
    assert "`inception` (`by uri /tensorflow.serving. and headers model-name`): `v2` 5 % → 25 %" in told
    assert told.endswith("nothing else changes")


def test_two_rules_that_look_alike_are_two_splits() -> None:
    old, new = route({"v1": 95, "v2": 5}), route({"v1": 75, "v2": 25})
    for manifest in (old, new):
        manifest["spec"]["http"] = [*manifest["spec"]["http"], *route({"v1": 50, "v2": 50})["spec"]["http"]]
    markdown = reviewed(step("update", ROUTE, "x", old, new))
    assert markdown.split("\n")[1].endswith("`v2` 5 % → 25 %, nothing else changes")
    assert "- `inception`: `v1` 50 %, `v2` 50 %" in markdown


def test_a_name_breaks_neither_code_nor_table_nor_list() -> None:
    for shown in (code(NASTY), prose(NASTY, 200)):
        assert not re.search(r"[|<>\\\n\u202e@*\[\]]", shown.removeprefix("<code>").removesuffix("</code>"))
    assert code("inception-v2") == "`inception-v2`"
    lines = block("a\n````\nb")
    assert lines[0] == "`````text"
    assert lines[-1] == "`````"


def test_a_plan_full_of_nasty_names_keeps_the_comments_frame() -> None:
    manifest = route({NASTY: 95, "v2": 5}), route({NASTY: 75, "v2": 25})
    for entry in manifest:
        entry["metadata"] = {"name": NASTY, "namespace": NASTY}
        entry[NASTY] = {NASTY: NASTY}
    markdown = review(
        digest(
            step("update", ROUTE, NASTY, *manifest),
            step("create", f"kubernetes:{NASTY}:{NASTY}", NASTY, None, {}),
            step(NASTY, "gcp:x:Y", NASTY, {}, {}),
            diagnostics=[{"severity": "error", "message": f"{NASTY}\n```\n</details>"}],
        ),
        f"{NASTY}dev",
        weights_only=True,
    ).markdown
    assert markdown.split("\n")[0].endswith("dev -->")
    outside, fence = [], ""
    for line in markdown.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif found := re.match(r"^(`{3,})text$", line):
            fence = found[1]
        else:
            outside.append(line)
    assert fence == ""
    text = "\n".join(outside[1:])
    assert "<script" not in text
    assert "-->" not in text
    assert text.count("<details>") == text.count("</details>")
    rows = [line for line in outside if line.startswith("| ")]
    assert len({row.count("|") for row in rows}) == 1


def test_githubs_limit_is_kept_and_the_details_go_first() -> None:
    old, new = ({f"key{number}": "x" * 50 + side for number in range(30)} for side in "ab")
    many = [step("update", DEPLOYMENT, f"deployment-{number}", old, new) for number in range(60)]
    markdown = reviewed(STEP, *many)
    assert LIMIT * 0.8 < len(markdown) <= LIMIT
    assert re.search(r"^- … and \d+ more\n\n</details>", markdown, re.MULTILINE)
    assert "████" in markdown
    assert "| Deployment | 60 |" in markdown


def test_hundreds_of_models_keep_to_the_limit_too() -> None:
    models = []
    for number in range(400):
        old, new = route({"v1": 95, "v2": 5}), route({"v1": 75, "v2": 25})
        for entry in (old, new):
            for destination in entry["spec"]["http"][0]["route"]:
                destination["destination"]["host"] = f"model-{number}.models.svc.cluster.local"
        models.append(step("update", ROUTE, f"model-{number}", old, new))
    markdown = reviewed(*models)
    assert len(markdown) <= LIMIT
    assert "and 397 more" in markdown.split("\n")[1]


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(UNKNOWN)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
DESTINATIONS = st.fixed_dictionaries(
    {"weight": VALUES, "destination": st.dictionaries(st.sampled_from(["host", "subset"]), VALUES)}
)
RULES = st.fixed_dictionaries({"match": VALUES, "route": st.lists(DESTINATIONS, max_size=3) | VALUES})
SPECS = st.fixed_dictionaries({"http": st.lists(RULES | VALUES, max_size=2)}) | VALUES
STATES = st.fixed_dictionaries(
    {"inputs": st.fixed_dictionaries({"spec": SPECS, "metadata": VALUES}) | VALUES, "outputs": VALUES}
)
KINDS = st.sampled_from([ROUTE, DEPLOYMENT, "pulumi:pulumi:Stack", "kubernetes:core/v1:Secret", "a", "gcp:b/c:D", ""])
STEPS = st.builds(
    lambda op, kind, name, old, new, diff: step(op, kind, name, detailedDiff=diff) | {"oldState": old, "newState": new},
    st.sampled_from(["create", "update", "replace", "delete", "same", "read", "delete-replaced", "x"]),
    KINDS,
    st.text(max_size=5),
    STATES | st.none() | VALUES,
    STATES | st.none(),
    st.none() | st.dictionaries(st.text(max_size=6), st.just({"kind": "update"})),
)


@settings(MANY, max_examples=120)
@given(st.lists(STEPS, max_size=3), VALUES, st.booleans())
def test_no_plan_ends_in_a_traceback(steps: list[Any], diagnostics: Any, weights_only: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    text = json.dumps({"steps": steps, "diagnostics": diagnostics})
    result = review(text, weights_only=weights_only)
    result.markdown.encode()
    assert result.markdown.startswith("<!-- tfserving-mesh review: ")


@MANY
@given(st.text(max_size=40) | VALUES.map(json.dumps))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    assert review(text).markdown.count("The preview failed") >= 1


@MANY
@given(
    st.lists(
        st.text(st.sampled_from("ab.[]\"'-/"), min_size=1, max_size=4) | st.integers(0, 20), min_size=1, max_size=4
    )
)
def test_a_property_path_is_read_as_it_is_written(steps: list[str | int]) -> None:
    path = ("x", *steps)
    assert parsed_path(path_text(path)) == path
