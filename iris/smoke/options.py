"""The flow's absl flags and what they amount to."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from iris.config import parse_size
from iris.model.errors import InvalidArgument

DEFAULT_REPORT_DIR = "smoke-report"
# Where the build puts //iris/smoke:workspace_bundle.
BUILT_BUNDLE = Path(__file__).with_name("workspace_bundle.tar.gz")

CONFIG = flags.DEFINE_string("config", None, "Cluster configuration to start a cluster from.")
LOCAL = flags.DEFINE_bool(
    "local",
    False,
    "Turn --config into a local one first (make_local_config); without --config: a cluster on this machine.",
)
ADDRESS = flags.DEFINE_string(
    "address", None, "host:port of a running cluster to test instead of starting one."
)
TOKEN_FILE = flags.DEFINE_string(
    "token_file", None, "File with the token of the cluster at --address."
)
WORKSPACE_BUNDLE = flags.DEFINE_string(
    "workspace_bundle",
    None,
    "The packed workspace; its digest stands beside it (default: what was built).",
)
CASES = flags.DEFINE_list("cases", [], "Run only these cases (default: all).")
TIMEOUT = flags.DEFINE_float(
    "timeout", 120, "Seconds for the whole flow; interrupts any wait.", lower_bound=1
)
CASE_TIMEOUT = flags.DEFINE_float("case_timeout", 60, "Seconds for each case.", lower_bound=0.1)
REPORT_DIR = flags.DEFINE_string(
    "report_dir", None, "Where the reports and the cluster's logs go (default: smoke-report)."
)
CPU_LIMIT = flags.DEFINE_integer(
    "cpu_limit", 0, "Processors for the flow and all it starts; 0: no bound.", lower_bound=0
)
MEMORY_LIMIT = flags.DEFINE_string(
    "memory_limit", "", "Memory for the flow and all it starts, e.g. 512MiB; empty: no bound."
)
SEED = flags.DEFINE_integer(
    "seed", None, "What the flow's random choices follow from (default: TEST_RANDOM_SEED, or any)."
)
KEEP_ON_FAILURE = flags.DEFINE_bool(
    "keep_on_failure", False, "Leave a cluster that was started running if anything failed."
)
PYTHON = flags.DEFINE_string(
    "python", None, "Python interpreter of the tasks (default: this one on a local cluster)."
)
LABEL_PREFIX = flags.DEFINE_string(
    "label_prefix", "", "Prefix of the names of the flow's jobs (default: a fresh one)."
)


@dataclass(frozen=True, slots=True)
class SmokeOptions:
    """What a run is asked to do. Bytes; seconds; None or 0 where there is no bound."""

    config: Path | None
    local: bool
    address: str | None
    token_file: Path | None
    bundle: Path
    cases: tuple[str, ...]
    timeout: float
    case_timeout: float
    report_dir: Path
    cpu_limit: int
    memory_limit: int
    python: str | None
    label_prefix: str
    seed: int = 0
    keep_on_failure: bool = False


def options_from_flags() -> SmokeOptions:
    """Checks the flags against each other. Raises InvalidArgument."""
    starts = CONFIG.value is not None or LOCAL.value
    if starts == (ADDRESS.value is not None):
        raise InvalidArgument(
            "Name exactly one of --config (or --local) and --address.",
            hint="One starts a cluster, one uses it.",
        )
    if ADDRESS.value is not None and TOKEN_FILE.value is None:
        raise InvalidArgument(
            "--address needs --token_file.",
            hint="It is the file `token` in the cluster's state folder.",
        )
    bundle = Path(_caller_folder(), WORKSPACE_BUNDLE.value or BUILT_BUNDLE)
    if not bundle.is_file():
        raise InvalidArgument(
            f"There is no workspace bundle {str(bundle)!r}.",
            hint="--workspace_bundle names it; //iris/smoke:workspace_bundle builds it.",
        )
    return SmokeOptions(
        config=Path(_caller_folder(), CONFIG.value) if CONFIG.value else None,
        local=LOCAL.value,
        address=ADDRESS.value,
        token_file=Path(_caller_folder(), TOKEN_FILE.value) if TOKEN_FILE.value else None,
        bundle=bundle,
        cases=tuple(CASES.value),
        timeout=TIMEOUT.value,
        case_timeout=CASE_TIMEOUT.value,
        report_dir=Path(_caller_folder(), REPORT_DIR.value or DEFAULT_REPORT_DIR),
        cpu_limit=CPU_LIMIT.value,
        memory_limit=parse_size(MEMORY_LIMIT.value) if MEMORY_LIMIT.value else 0,
        python=PYTHON.value,
        label_prefix=LABEL_PREFIX.value,
        seed=_seed(),
        keep_on_failure=KEEP_ON_FAILURE.value,
    )


def _seed() -> int:
    if SEED.value is not None:
        return int(SEED.value)
    given = os.environ.get("TEST_RANDOM_SEED", "")
    return int(given) if given.isdecimal() else secrets.randbelow(1 << 31)


def _caller_folder() -> str:
    """Where `bazel run` was called: relative paths are meant from there."""
    return os.environ.get("BUILD_WORKING_DIRECTORY", "")
