"""The cases, a file for each subject. `ALL` is every one, in the order of the report."""

from iris.smoke.case import Case
from iris.smoke.cases.cluster import CLUSTER_CASES
from iris.smoke.cases.jobs import JOB_CASES
from iris.smoke.cases.leftovers import SETTLE_CASES

ALL: tuple[Case, ...] = (*CLUSTER_CASES, *JOB_CASES, *SETTLE_CASES)
