"""`python -m headrace`: the command, run by the Python that is named."""

from headrace.cli import command

if __name__ == "__main__":
    command()
