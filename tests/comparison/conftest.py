"""The predictions table of the tests of reports, for the pictures of comparisons."""

from tests.report.conftest import table

__all__ = ["table"]
