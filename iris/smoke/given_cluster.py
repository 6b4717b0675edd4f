"""A cluster that was there before the flow: what is known of it beforehand."""

from pathlib import Path

from iris.lifecycle.state_folder import StateFolder
from iris.model.errors import IrisError
from iris.smoke.context import Cluster
from iris.smoke.needs import KEPT_STATE, LOCAL_PROCESSES


def given_cluster(address: str, token_file: Path) -> Cluster:
    """The cluster that answers there. If its token lies in the state folder of a controller of this machine which
    serves at that address, its processes and its files can be looked at.
    """
    token = token_file.read_text().strip()
    folder = token_file.absolute().parent
    if not _serves_here(folder, address):
        return Cluster(address, token, frozenset(), started_here=False)
    offers = {LOCAL_PROCESSES}
    if (folder / "cache").is_dir():
        offers.add(KEPT_STATE)  # all of it lies there, also what may lie elsewhere
    return Cluster(address, token, frozenset(offers), started_here=False, state_dir=folder)


def _serves_here(folder: Path, address: str) -> bool:
    try:
        record = StateFolder(folder).running()
    except IrisError:
        return False
    return record is not None and record.address == address
