"""``pytest hil --rig sim`` runs the suite by the settings of this repository."""

pytest_plugins = ("cryoctl_hil.suite_plugin",)
