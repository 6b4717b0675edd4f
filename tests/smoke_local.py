"""The smoke flow against a local cluster, as a hermetic test: reports go where Bazel keeps a test's outputs."""

import os
import sys

from absl import app, flags

from iris.smoke import main

if __name__ == "__main__":
    flags.FLAGS.set_default("report_dir", os.environ["TEST_UNDECLARED_OUTPUTS_DIR"])
    sys.exit(app.run(main.main))
