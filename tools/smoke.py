"""The smoke flow against any cluster: `./bazelw run //tools:smoke -- --config=FILE`.

Instead of `--config`: `--local`, or `--address=HOST:PORT`. See `--help`; the report is in
./smoke-report unless `--report_dir` says otherwise.
"""

from absl import app

from iris.smoke.main import main

if __name__ == "__main__":
    app.run(main)
