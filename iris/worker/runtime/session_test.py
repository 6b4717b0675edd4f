"""What a task does to its process group or its terminal, it does to itself only."""

import os

from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import Output, python, request


async def test_a_task_that_kills_its_group_kills_nobody_else() -> None:
    runtime = ProcessRuntime()
    try:
        for number in (2, 9, 15):
            handle = await runtime.run(request(*python(f"import os; os.kill(0, {number})")))
            await Output.follow(handle)
            assert (await handle.wait()).signal == number
        spawner = runtime.spawner_pid
        code = "import os; print(os.getpgid(0) == os.getsid(0) == os.getpid())"
        handle = await runtime.run(request(*python(code)))
        output = await Output.follow(handle)
        assert await output.line() == "True\n"
        await handle.wait()
        assert runtime.spawner_pid == spawner
        assert os.getsid(spawner) == os.getsid(0)
    finally:
        await runtime.close()
