"""The `trimtab` command. It imports `steering` and `probes`; nothing imports it."""
