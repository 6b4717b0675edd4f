"""Which cluster a command is for: the one that was named, or the one that runs on this machine."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris.cli.cluster_arguments import ClusterFlags
from iris.cli.context import Context
from iris.cli.errors import UsageError
from iris.client import Client
from iris.lifecycle.discovery import LocalCluster, find_local_cluster, find_local_clusters
from iris.lifecycle.state_folder import StateFolder, state_root
from iris.model.errors import DeadlineExceeded, FailedPrecondition, Unavailable

_ANSWER_WITHIN = timedelta(seconds=5)
# One that was named may be as busy as it likes, as in any call.
_NAMED_ANSWERS_WITHIN = timedelta(seconds=30)
_START = "./bazelw run //tools:local_cluster"
_STATE_DIR_VARIABLE = "IRIS_STATE_DIR"


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """How a cluster that has just answered is reached."""

    address: str
    token: str


async def find_cluster(flags: ClusterFlags, context: Context) -> ClusterAccess:
    """The cluster that is meant. Raises IrisError saying what to do when there is none, more than
    one, or no answer.
    """
    if flags.config is not None:
        return await _by_configuration(flags, context)
    if flags.address is not None:
        return await _by_address(flags.address, flags, context)
    cluster = await find_state_folder(flags, context)
    if not cluster.status.address or (not cluster.status.healthy and not cluster.status.version):
        raise Unavailable(
            f"The cluster {cluster.name} runs but does not answer: {cluster.status.problem}",
            hint=f"Its log may say why: {cluster.folder.controller_log}",
        )
    if not cluster.status.healthy:
        context.terminal.note(f"the cluster is not well: {cluster.status.problem}")
    connection = cluster.connection()
    return ClusterAccess(connection.address, connection.token)


async def find_state_folder(flags: ClusterFlags, context: Context) -> LocalCluster:
    """The cluster of this machine that is meant, whether it is well or not. Raises like
    `find_cluster`.
    """
    path = _named_folder(flags, context)
    if path is None:
        root = state_root(context.environment)
        return the_only_one(
            await asyncio.to_thread(find_local_clusters, root, timeout=_ANSWER_WITHIN)
        )
    found = await asyncio.to_thread(find_local_cluster, path, timeout=_ANSWER_WITHIN)
    if found is None:
        raise FailedPrecondition(
            f"No cluster runs with the state folder {path}.",
            hint=f"Start one: {_START} -- --state_dir={path}",
        )
    return found


async def _by_configuration(flags: ClusterFlags, context: Context) -> ClusterAccess:
    # Imported here: it needs to find state folders as well.
    from iris.cli.find_controller import configured_controller

    found = await asyncio.to_thread(configured_controller, flags, context)
    way = found.controller.connect()
    # It stays open until the command has ended.
    connection = await asyncio.to_thread(context.opened.enter_context, way)
    return ClusterAccess(connection.address, connection.token)


def find_stopped(flags: ClusterFlags, context: Context) -> StateFolder:
    """The state folder of a cluster of this machine that need not run. Raises UsageError where it
    is not clear which.
    """
    state_dir = _named_folder(flags, context)
    if state_dir is not None:
        return StateFolder(state_dir)
    root = state_root(context.environment)
    found = [StateFolder(path) for path in (sorted(root.iterdir()) if root.is_dir() else ())]
    found = [folder for folder in found if folder.config_file.is_file()]
    if len(found) != 1:
        names = ", ".join(str(folder.path) for folder in found)
        raise UsageError(
            f"{len(found)} clusters have their state in {root}{f': {names}' if names else ''}.",
            hint="Name the state folder: --state-dir.",
        )
    return found[0]


def _named_folder(flags: ClusterFlags, context: Context) -> Path | None:
    """The state folder that was named, if one was."""
    if flags.address is not None or flags.token_file is not None:
        raise UsageError(
            f"{'--address' if flags.address else '--token-file'} does not go with this.",
            hint="A cluster of this machine is named by its state folder: --state-dir.",
        )
    state_dir = flags.state_dir or context.environment.get(_STATE_DIR_VARIABLE)
    return (context.folder / state_dir).absolute() if state_dir else None


def the_only_one(clusters: Sequence[LocalCluster]) -> LocalCluster:
    """The cluster, if there is exactly one. Raises FailedPrecondition or UsageError."""
    if not clusters:
        raise FailedPrecondition(
            "No cluster runs on this machine.",
            hint=f"Start one: {_START}. Or name one: --state-dir, or --address and --token-file.",
        )
    if len(clusters) > 1:
        names = ", ".join(f"{cluster.name} ({cluster.folder.path})" for cluster in clusters)
        raise UsageError(
            f"{len(clusters)} clusters run on this machine: {names}.",
            hint="Choose one with --state-dir.",
        )
    return clusters[0]


async def _by_address(address: str, flags: ClusterFlags, context: Context) -> ClusterAccess:
    if flags.token_file is None or flags.state_dir is not None:
        raise UsageError(
            "--address goes with --token-file, and with nothing else.",
            hint="The token is in the cluster's state folder.",
        )
    token = read_token_file(context.folder / flags.token_file)
    async with Client.connect(address, token) as client:
        try:
            health = await client.health(_NAMED_ANSWERS_WITHIN)
        except (Unavailable, DeadlineExceeded):
            raise Unavailable(
                f"No cluster answers at {address}.",
                hint="Is the address right, and does the cluster run?",
            ) from None
    if not health.healthy:
        context.terminal.note(f"the cluster is not well: {health.problem}")
    return ClusterAccess(address, token)


def read_token_file(path: Path) -> str:
    """The token in a file. Raises FailedPrecondition."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise FailedPrecondition(
            f"The token file {path} cannot be read: {error.strerror}.", hint="Check --token-file."
        ) from None
    except UnicodeDecodeError:
        token = ""
    if not token:
        raise FailedPrecondition(
            f"The token file {path} holds no token.", hint="Check --token-file."
        )
    return token
