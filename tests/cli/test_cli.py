#!/usr/bin/env python3
"""Runs the tests of the command line: RNNC=build/rnnc test_cli.py [NAME ...]"""
import sys
import unittest

sys.dont_write_bytecode = True

from test_bench import *  # noqa: F401,F403,E402
from test_compile import *  # noqa: F401,F403,E402
from test_features import *  # noqa: F401,F403,E402
from test_grad import *  # noqa: F401,F403,E402
from test_machine import *  # noqa: F401,F403,E402
from test_places import *  # noqa: F401,F403,E402
from test_remarks import *  # noqa: F401,F403,E402
from test_run import *  # noqa: F401,F403,E402
from test_train import *  # noqa: F401,F403,E402
from test_tune import *  # noqa: F401,F403,E402
from test_verify import *  # noqa: F401,F403,E402

if __name__ == "__main__":
    unittest.main(verbosity=1)
