"""Everything in the tests starts with mxnet's engine as the command line sets it on a CPU, and without MXNet's server."""

import os

from ssdzoo import runtime

runtime.tune_cpu()
os.environ["SSDZOO_OFFLINE"] = "1"
for variable in ("SSDZOO_REPO", "MXNET_GLUON_REPO", "MXNET_HOME"):
    os.environ.pop(variable, None)
