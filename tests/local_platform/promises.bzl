"""The promises of local clusters, each with the tests that hold it."""

_HERE = "//tests/local_platform:"

PROMISES = {
    "worker bootstrap dependencies": [
        _HERE + "worker_dependencies_test",
        "//iris/worker:providers_test",
    ],
    "provider.local and controller_vm.local": [
        _HERE + "local_config_test",
        "//iris/config:local_test",
    ],
    "full ControllerProtocol with real health": [
        "//iris/lifecycle/local:conformance_test",
        "//iris/lifecycle/local:stop_test",
    ],
    "shared ports": [
        _HERE + "shared_ports_test",
        "//iris/host:ports_test",
    ],
    "deterministic cleanup": [
        _HERE + "deterministic_cleanup_test",
        "//iris/lifecycle/local:stop_test",
    ],
    "resource limits": [
        _HERE + "resource_limits_test",
        "//iris/host:budget_test",
        "//iris/worker/runtime:limits_test",
    ],
    "bundle strategy": [
        _HERE + "bundle_strategy_test",
    ],
    "local settings in the configuration": [
        "//iris/config:local_settings_test",
        _HERE + "local_config_test",
    ],
    "integration test": [
        "//tests:smoke_local",
    ],
}
