"""The Python language host as a user of `pulumi up` meets it; the same with the real host and with the stand-in."""

from __future__ import annotations

import concurrent.futures
import json
import sys
from importlib import metadata

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine


def test_a_run_error_is_shown_without_a_traceback(project: Project) -> None:
    project.program("""
        import pulumi
        raise pulumi.RunError("v2Weight is 120; a weight is 0-100. Run: pulumi config set v2Weight 25")
    """)
    outcome = project.up(fails=True)
    assert "v2Weight is 120; a weight is 0-100. Run: pulumi config set v2Weight 25" in outcome.errors
    assert "Traceback" not in outcome.text


def test_an_exception_is_shown_with_the_users_lines_only(project: Project) -> None:
    project.write("helper.py", "def divide(a: int, b: int) -> float:\n    return a / b\n")
    project.program("""
        from helper import divide
        divide(1, 0)
    """)
    outcome = project.up(fails=True)
    [error] = outcome.errors
    assert "ZeroDivisionError: division by zero" in error
    assert "divide(1, 0)" in error
    assert "return a / b" in error
    for internal in ("runpy", "run_in_stack", "asyncio"):
        assert internal not in error


def test_a_failed_program_creates_nothing_after_the_failure(project: Project) -> None:
    project.program("""
        import pulumi
        raise ValueError("before any resource")
        pulumi.Stash("late", input=1)
    """)
    outcome = project.up(fails=True)
    assert outcome.ops("late") == []


def test_a_failure_inside_an_output_fails_the_update(project: Project) -> None:
    project.program("""
        import pulumi
        kept = pulumi.Stash("kept", input=1)
        pulumi.export("bad", kept.output.apply(lambda value: value / 0))
    """)
    outcome = project.up(fails=True)
    assert "ZeroDivisionError" in outcome.text


def test_a_syntax_error_names_file_and_line(project: Project) -> None:
    project.program("import pulumi\npulumi.export(\n")
    outcome = project.up(fails=True)
    assert "SyntaxError" in outcome.text
    assert "__main__.py" in outcome.text


def test_the_programs_own_exit_code_is_reported(project: Project) -> None:
    project.program("import sys\nsys.exit(3)")
    assert "non-zero exit code: 3" in project.up(fails=True).text.lower()


def test_a_folder_without_a_program_says_so(project: Project) -> None:
    assert "unable to find main python program `__main__.py`" in project.up(fails=True).text


def test_a_program_knows_what_it_is_run_for(project: Project) -> None:
    project.program("""
        import os, pulumi
        print(f"dry run {pulumi.runtime.is_dry_run()}")
        pulumi.export("project", pulumi.get_project())
        pulumi.export("stack", pulumi.get_stack())
        pulumi.export("organization", pulumi.get_organization())
        pulumi.export("root", os.path.realpath(pulumi.get_root_directory()))
        pulumi.export("folder", os.path.realpath(os.getcwd()))
        pulumi.export("main", __name__)
    """)
    assert "dry run True" in project.preview().text
    assert "dry run False" in project.up().text
    folder = str(project.folder.resolve())
    assert project.outputs() == {
        "project": "engine-test",
        "stack": "test",
        "organization": "organization",
        "root": folder,
        "folder": folder,
        "main": "__main__",
    }


def test_the_program_may_lie_in_another_folder(project: Project) -> None:
    project.project_file(main="program/")
    project.write("program/near.py", "VALUE = 'near'")
    project.write("program/__main__.py", "import pulumi, near\npulumi.export('value', near.VALUE)")
    project.up()
    assert project.outputs() == {"value": "near"}


def test_config_and_the_defaults_of_its_schema_reach_the_program(project: Project) -> None:
    schema = {
        "greeting": {"type": "string", "default": "hello"},
        "v2Weight": {"type": "integer", "default": 10},
        "models": {"type": "object"},
    }
    project.project_file(config=schema)
    project.program("""
        import pulumi
        config = pulumi.Config()
        pulumi.export("greeting", config.require("greeting"))
        pulumi.export("weight", config.require_int("v2Weight"))
        pulumi.export("path", config.require_object("models")["a"]["path"])
    """)
    project.set("v2Weight", "0")
    project.set("models.a.path", "/models/a", "--path")
    project.up()
    assert project.outputs() == {"greeting": "hello", "weight": 0, "path": "/models/a"}


def test_config_of_the_wrong_type_is_refused(project: Project) -> None:
    project.project_file(config={"v2Weight": {"type": "integer"}})
    project.program("import pulumi")
    # Both the command and the update check it; whichever comes first names the key.
    outcome = project.run("config", "set", "v2Weight", "many", check=False)
    if outcome.code == 0:
        outcome = project.up(fails=True)
    assert "v2Weight" in outcome.text


def test_a_secret_of_the_config_stays_secret(project: Project) -> None:
    project.program("""
        import pulumi
        password = pulumi.Config().require_secret("password")
        pulumi.Stash("kept", input=password)
        pulumi.export("password", password)
        pulumi.export("length", password.apply(len))
    """)
    project.set("password", "correct-horse", "--secret")
    previewed, outcome = project.preview(), project.up()
    for text in (previewed.text, outcome.text, json.dumps(outcome.events), json.dumps(project.export())):
        assert "correct-horse" not in text
    assert project.outputs() == {"password": "[secret]", "length": "[secret]"}
    assert project.outputs(show_secrets=True) == {"password": "correct-horse", "length": 13}


def test_what_the_program_prints_reaches_the_user(project: Project) -> None:
    project.program("""
        import sys, pulumi
        print("on standard output")
        print("on standard error", file=sys.stderr)
        pulumi.log.info("by the log")
        pulumi.warn("a warning")
        sys.stdout.write("without a newline at the end")
    """)
    outcome = project.up()
    for text in ("on standard output", "on standard error", "by the log", "without a newline at the end"):
        assert text in outcome.stdout
    assert "a warning" in outcome.diagnostics("warning")


def test_a_dynamic_provider_creates_updates_and_deletes(project: Project) -> None:
    project.program("""
        import pulumi
        from pathlib import Path
        from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

        class Files(ResourceProvider):
            def create(self, props):
                Path(props["path"]).write_text(props["content"])
                return CreateResult(props["path"], {**props, "size": len(props["content"])})
            def diff(self, id, old, new):
                return DiffResult(changes=old["content"] != new["content"], replaces=[])
            def update(self, id, old, new):
                Path(new["path"]).write_text(new["content"])
                return UpdateResult({**new, "size": len(new["content"])})
            def delete(self, id, props):
                Path(props["path"]).unlink()

        class File(Resource):
            size: pulumi.Output[int]
            def __init__(self, name, content):
                path = str(Path("made.txt").absolute())
                super().__init__(Files(), name, {"path": path, "content": content, "size": None})

        file = File("file", pulumi.Config().require("content"))
        pulumi.export("size", file.size)
    """)
    made = project.folder / "made.txt"
    project.set("content", "one")
    assert project.up().step("file").op == "create"
    assert made.read_text() == "one"
    project.set("content", "three")
    assert project.up().changes == {"update": 1}
    assert made.read_text() == "three"
    assert project.outputs() == {"size": 5}
    assert project.up().changes == {}
    project.destroy()
    assert not made.exists()


def test_two_runs_at_once_do_not_mix(project: Project, pulumi_environ: dict[str, str]) -> None:
    other = Project(
        project.folder.parent / "other",
        pulumi_environ | {"PULUMI_BACKEND_URL": project.environ["PULUMI_BACKEND_URL"]},
        name="other",
    )
    for each, value in ((project, "one"), (other, "two")):
        each.program("""
            import os, pulumi
            os.environ["LEFT_BEHIND"] = value = pulumi.Config().require("value")
            pulumi.Stash("kept", input=value)
            pulumi.export("value", value)
        """)
        each.set("value", value)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: each.up(), (project, other)))
    assert (project.outputs(), other.outputs()) == ({"value": "one"}, {"value": "two"})


def test_nothing_of_a_run_is_left_for_the_next(project: Project) -> None:
    source = """
        import os, sys, pulumi
        pulumi.export("seen", [os.environ.get("LEFT_BEHIND"), "left_behind" in sys.modules])
        os.environ["LEFT_BEHIND"] = "yes"
        sys.modules["left_behind"] = sys
    """
    project.program(source)
    project.operation("up", "--yes")  # a preview and an update: two runs of one engine
    assert project.outputs() == {"seen": [None, False]}


def test_pulumi_about_names_the_interpreter_and_the_plugins_of_the_packages(project: Project) -> None:
    project.program("import pulumi")
    about = json.loads(project.run("about", "--json").stdout)
    assert about["runtime"]["version"] == ".".join(str(part) for part in sys.version_info[:3])
    assert about["runtime"]["executable"].startswith(sys.prefix)
    plugins = {plugin["name"]: plugin["version"] for plugin in about["plugins"]}
    assert plugins["kubernetes"] == metadata.version("pulumi-kubernetes")


def test_a_missing_sdk_says_how_to_install_it(project: Project) -> None:
    venv = project.folder / "venv"
    project.project_file(runtime={"name": "python", "options": {"virtualenv": "venv"}})
    project.program("import pulumi")
    (venv / "bin").mkdir(parents=True)
    # An interpreter without site-packages of its own.
    (venv / "bin" / "python").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    (venv / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    assert "pip install" in project.up(fails=True).text
