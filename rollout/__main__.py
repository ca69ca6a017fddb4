"""`python -m rollout`."""

from rollout.cli import app

if __name__ == "__main__":
    app(prog_name="python -m rollout")
