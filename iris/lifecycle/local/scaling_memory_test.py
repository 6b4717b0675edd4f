"""What the autoscaler knows of its groups is kept beside the controller's state."""

import asyncio
from pathlib import Path

from iris.autoscaler.memory import GroupMemory
from iris.controller.back_ups import DATABASE_NAME
from iris.controller.store import Database
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.sample_cluster import sample_config
from iris.testing.eventually import assert_eventually


def test_it_outlives_the_controller(state_dir: Path) -> None:
    config = sample_config(state_dir)
    config.scale_groups["cpu"].min_slices = 1
    controller = LocalController(config, attached=True)
    try:
        controller.start()
        log = controller.state_folder.controller_log

        def attached() -> bool:
            return "attached with 0 attempts" in log.read_text()

        asyncio.run(assert_eventually(attached, "the worker attaches"))
    finally:
        controller.stop()
    assert "not saved" not in log.read_text()
    database = Database.open(state_dir / DATABASE_NAME)
    kept = GroupMemory.from_bytes(database.load_scaling()["cpu"])
    database.close()
    assert kept.pace.taken_until is not None
    assert kept.backoff.failures == 0
