"""The cases, a file for each subject. `ALL` is every one, in the order of the report."""

from iris.smoke.case import Case
from iris.smoke.cases.bundles import BUNDLE_CASES
from iris.smoke.cases.bystanders import BYSTANDER_CASES
from iris.smoke.cases.cluster import CLUSTER_CASES
from iris.smoke.cases.command_line import COMMAND_LINE_CASES
from iris.smoke.cases.controller import CONTROLLER_CASES
from iris.smoke.cases.inside import INSIDE_CASES
from iris.smoke.cases.jobs import JOB_CASES
from iris.smoke.cases.leftovers import SETTLE_CASES
from iris.smoke.cases.limits import LIMIT_CASES
from iris.smoke.cases.links import LINK_CASES
from iris.smoke.cases.logs import LOG_CASES
from iris.smoke.cases.machines import MACHINE_CASES
from iris.smoke.cases.scaling import SCALING_CASES
from iris.smoke.cases.scheduling import SCHEDULING_CASES

ALL: tuple[Case, ...] = (
    *CLUSTER_CASES,
    *JOB_CASES,
    *COMMAND_LINE_CASES,
    *INSIDE_CASES,
    *LIMIT_CASES,
    *LOG_CASES,
    *BUNDLE_CASES,
    *LINK_CASES,
    *SCHEDULING_CASES,
    *SCALING_CASES,
    *MACHINE_CASES,
    *BYSTANDER_CASES,
    *CONTROLLER_CASES,
    *SETTLE_CASES,
)
