"""The flow's absl flags and what they amount to."""

from dataclasses import dataclass
from pathlib import Path

from absl import flags

from iris.config import parse_size
from iris.model.errors import InvalidArgument

CONFIG = flags.DEFINE_string("config", None, "Cluster configuration to start a cluster from.")
LOCAL = flags.DEFINE_bool(
    "local", False, "Turn --config into a local one first (make_local_config)."
)
ADDRESS = flags.DEFINE_string(
    "address", None, "host:port of a running cluster to test instead of starting one."
)
TOKEN_FILE = flags.DEFINE_string(
    "token_file", None, "File with the token of the cluster at --address."
)
WORKSPACE_BUNDLE = flags.DEFINE_string(
    "workspace_bundle", None, "The packed workspace; its digest stands beside it."
)
CASES = flags.DEFINE_list("cases", [], "Run only these cases (default: all).")
TIMEOUT = flags.DEFINE_float(
    "timeout", 120, "Seconds for the whole flow; interrupts any wait.", lower_bound=1
)
CASE_TIMEOUT = flags.DEFINE_float("case_timeout", 60, "Seconds for each case.", lower_bound=0.1)
REPORT_DIR = flags.DEFINE_string("report_dir", None, "Where the reports and the cluster's logs go.")
CPU_LIMIT = flags.DEFINE_integer(
    "cpu_limit", 0, "Processors for the flow and all it starts; 0: no bound.", lower_bound=0
)
MEMORY_LIMIT = flags.DEFINE_string(
    "memory_limit", "", "Memory for the flow and all it starts, e.g. 512MiB; empty: no bound."
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


def options_from_flags() -> SmokeOptions:
    """Checks the flags against each other. Raises InvalidArgument."""
    if (CONFIG.value is None) == (ADDRESS.value is None):
        raise InvalidArgument(
            "Name exactly one of --config and --address.", hint="One starts a cluster, one uses it."
        )
    if ADDRESS.value is not None and TOKEN_FILE.value is None:
        raise InvalidArgument(
            "--address needs --token_file.",
            hint="It is the file `token` in the cluster's state folder.",
        )
    for flag in (WORKSPACE_BUNDLE, REPORT_DIR):
        if flag.value is None:
            raise InvalidArgument(f"--{flag.name} is missing.", hint="See --help.")
    return SmokeOptions(
        config=Path(CONFIG.value) if CONFIG.value else None,
        local=LOCAL.value,
        address=ADDRESS.value,
        token_file=Path(TOKEN_FILE.value) if TOKEN_FILE.value else None,
        bundle=Path(WORKSPACE_BUNDLE.value or ""),
        cases=tuple(CASES.value),
        timeout=TIMEOUT.value,
        case_timeout=CASE_TIMEOUT.value,
        report_dir=Path(REPORT_DIR.value or ""),
        cpu_limit=CPU_LIMIT.value,
        memory_limit=parse_size(MEMORY_LIMIT.value) if MEMORY_LIMIT.value else 0,
        python=PYTHON.value,
        label_prefix=LABEL_PREFIX.value,
    )
