"""`python -m kft`: the command line, for which the working directory holds no modules either."""

from kft.import_path import leave_out_working_directory

leave_out_working_directory()  # before anything that is not Python's own is imported

from kft.cli import main  # noqa: E402

main()
