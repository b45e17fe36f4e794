"""Jobs: the YAML file, one execution of it, and what that leaves."""
