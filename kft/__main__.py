"""`python -m kft`: the command line, which does not import from the working directory."""

from kft.import_path import leave_out_working_directory

leave_out_working_directory()  # before any import outside of the standard library

from kft.cli import main  # noqa: E402

main()
