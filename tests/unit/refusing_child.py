# SPDX-License-Identifier: BSD-3-Clause
"""A child of an evaluation that can do nothing; a process of its own, for test_evaluate_results.py."""

from pydpdk_defer.errors import UsageError
from pydpdk_defer.evaluate._remote import keep_stdout_for_answers, serve


def use(*, wrong: bool) -> None:
    if wrong:
        raise UsageError("such a thing cannot be")
    raise ValueError("zip() argument 2 is longer than argument 1")


if __name__ == "__main__":
    keep_stdout_for_answers()
    serve({"use": use})
